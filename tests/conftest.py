"""Fixtures that every room's tests share: a real Redis of our own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.db import connections as database_connections
from pytest_django.plugin import DjangoDbBlocker, blocking_manager_key

from tests.support.seeds import Seeds, empty_quickly
from tests.support.servers import free_port, redis_server_binary
from tests.support.waiting import wait_until

LONGEST = (
    "end_to_end/", "browser/", "proof/", "connections/servers/", "connections/gate/test_model.py",
    "connections/reference/test_faults_probed.py", "dashboard/api/test_flag_sources.py", "dashboard/terminal/",
    "probes/engine/test_hostile_memory.py", "probes/test_generating.py", "probes/test_killed.py",
    "probes/test_race_check_process.py", "probes/test_stability.py",
)  # fmt: skip
"""Files with few tests that take long. They go first, or one core would wait for the other at the end."""

CASES_AGAIN = 2
"""Of a test with cases, so many run a second time, on PostgreSQL."""

WITHOUT_DATABASE = (
    "browser", "connections/gate", "connections/reference", "connections/servers", "docs", "end_to_end",
    "probes/engine", "proof",
)  # fmt: skip
"""Folders whose tests meet no database, or one of their own: importing them again for PostgreSQL takes ten seconds."""


def _after_the_longest(item: pytest.Item) -> bool:
    return not item.nodeid.removeprefix("tests/").startswith(LONGEST)


def _commits(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    return marker is not None and bool(marker.kwargs.get("transaction"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only-database", action="store_true", help="run what meets a database, few cases of each")


def _meets_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or "db" in fixtures or "transactional_db" in fixtures


def _fewest(items: list[pytest.Item]) -> list[pytest.Item]:
    """Of each test with cases, the first CASES_AGAIN: the same queries met SQLite with all of them."""
    kept: dict[str, list[tuple[int, ...]]] = {}
    for item in items:
        kept.setdefault(_function(item), []).append(_case(item))
    kept = {function: sorted(cases)[:CASES_AGAIN] for function, cases in kept.items()}
    return [item for item in items if _is_about_postgresql(item) or _case(item) in kept[_function(item)]]


def _function(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _case(item: pytest.Item) -> tuple[int, ...]:
    """Where a test stands among those of its function; empty where it has no cases."""
    callspec = getattr(item, "callspec", None)
    return tuple(callspec.indices.values()) if callspec else ()


def _is_about_postgresql(item: pytest.Item) -> bool:
    return item.get_closest_marker("postgresql") is not None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """True where a folder need not be read; None leaves it to others to say."""
    folders = {Path(__file__).parent / folder for folder in WITHOUT_DATABASE}
    return True if config.getoption("--only-database") and collection_path in folders else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests about PostgreSQL alone run there alone; every test that commits leaves a database without any row."""
    prefixes = tuple(f"tests/{folder}/" for folder in WITHOUT_DATABASE)
    lost = [item.nodeid for item in items if item.nodeid.startswith(prefixes) and _meets_database(item)]
    if lost:
        raise pytest.UsageError(f"PostgreSQL would miss them; see WITHOUT_DATABASE in tests/conftest.py: {lost}")
    if database_connections["default"].vendor != "postgresql":
        items[:] = [item for item in items if not _is_about_postgresql(item)]
    if config.getoption("--only-database"):
        items[:] = _fewest([item for item in items if _meets_database(item)])
    items.sort(key=_after_the_longest)
    for item in items:
        if _commits(item):
            item.add_marker(pytest.mark.django_db(transaction=True, serialized_rollback=True), append=False)


_seeds = pytest.StashKey[Seeds]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """After a test that committed, whatever test comes next finds again what the migrations seeded."""
    yield
    if nextitem is None:
        return  # The test database is gone: what "default" names now is a person's own.
    if _commits(item) and (seeds := item.config.stash.get(_seeds, None)):
        with item.config.stash[blocking_manager_key].unblock():
            seeds.restore()
            database_connections["default"].close()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker, pytestconfig: pytest.Config) -> None:
    """Remember what the migrations seeded; a test that commits is cleaned up after by pytest_runtest_teardown alone."""
    database = database_connections["default"]
    with django_db_blocker.unblock():
        pytestconfig.stash[_seeds] = Seeds(database)
        database.close()
    database.creation.deserialize_db_from_string = lambda data: None  # type: ignore[method-assign]
    if database.vendor == "postgresql":
        empty_quickly(database)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory,
    django_db_modify_db_settings_parallel_suffix: None,  # each core has a database of its own
) -> None:
    """SQLite in a file, as in production: an in-memory database shared by threads refuses to wait for its writer."""
    database = database_connections["default"]
    if database.vendor == "sqlite":
        database.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real redis-server on a loopback port of its own."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("redis")
    command = [redis_server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        wait_until(lambda: _answers(url), what="redis-server answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def redis_client(redis_url: str) -> Iterator["redis.Redis"]:
    """A client of the session's Redis, emptied first."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.flushall()
        yield client


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False
