"""Static files outside Django: immutable, compressed, and never an endless response."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from servestatic import ServeStaticASGI

from dashboard.static_files import Storage, WholeOrNotFound
from tests.support.asgi import Served, serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("page.0123456789ab.css", "page.0123456789ab.css.br", "page.0123456789ab.css.gz"):
        (tmp_path / name).write_bytes(b"body{}" * 200)
    return tmp_path


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    files = ServeStaticASGI(None, root=folder, prefix="/static/", allow_all_origins=False)
    with serving(WholeOrNotFound(files), lifespan="off") as running:
        yield running


def test_a_hashed_file_may_be_kept_for_ever(served: Served) -> None:
    answer = httpx.get(f"{served.http}/static/page.0123456789ab.css", headers={"Accept-Encoding": "identity"})
    assert (answer.status_code, len(answer.content)) == (200, 1200)
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
def test_a_file_removed_since_the_start_is_not_found(served: Served, folder: Path, encoding: str) -> None:
    """Before, the response began and never ended: pages hung until their time-out after an upgrade in place."""
    for file in folder.iterdir():
        file.unlink()
    answer = httpx.get(f"{served.http}/static/page.0123456789ab.css", headers={"Accept-Encoding": encoding}, timeout=5)
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_name_that_never_was_is_not_found(served: Served) -> None:
    assert httpx.get(f"{served.http}/static/nothing.css").status_code == 404
    assert httpx.get(f"{served.http}/static/../secret").status_code == 404


def test_only_our_own_modules_are_rewritten() -> None:
    """Comments of other people's scripts look like imports."""
    storage = Storage()
    others = storage.url_converter("vendor/some.js", {})
    assert storage.support_js_module_import_aggregation
    assert others.__name__ == "<lambda>"
