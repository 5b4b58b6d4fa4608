"""A real web server, and keys to speak to it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.daphne import Daphne

WHY = "chat answers vanish"


class Web:
    """The web server as a watched server or an OFREP client meets it."""

    def __init__(self, daphne: Daphne) -> None:
        self.daphne = daphne
        self.url = daphne.url
        self._keys: dict[str, str] = {}

    def key(self, environment: str) -> str:
        """One key per environment, made once."""
        if environment not in self._keys:
            self._keys[environment] = self.daphne.server_key(environment)
        return self._keys[environment]

    def headers(self, environment: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key(environment)}"}

    def get(self, path: str, environment: str = "production", **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={**self.headers(environment), **headers})

    def post(self, path: str, body: Any, environment: str = "production", **headers: str) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers={**self.headers(environment), **headers})

    def control(self, statement: str) -> None:
        """Carry out one statement of connections.flags.control in a process of its own, as another person would."""
        lines = (
            "from connections.flags import control, reading",
            f"who = {{'author': 'alice', 'reason': {WHY!r}}}",
            "def newest(environment): return reading.current_version(environment).number",
            f"control.{statement}",
        )
        self.daphne.manage("shell", "-v0", "-c", "\n".join(lines))

    def revision(self, environment: str) -> int:
        """The revision that the web server serves now."""
        number: int = self.get("/api/v1/definitions", environment).json()["revision"]
        return number

    def toggle(self, environment: str) -> None:
        """Serve another strategy than before."""
        flags = self.get("/api/v1/definitions", environment).json()["flags"]
        now = flags["readiness-strategy"]["defaultVariant"]
        self.serve_strategy(environment, "fixed_delay" if now == "immediate" else "immediate")

    def serve_strategy(self, environment: str, strategy: str) -> None:
        values = {"readiness-strategy": strategy}
        self.control(f"change({environment!r}, {values!r}, expected_version=newest({environment!r}), **who)")


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One web server for all tests that leave `production` as it is, and other environments at any revision.

    There is no Redis.
    """
    with Daphne(tmp_path_factory.mktemp("web")) as daphne:
        yield Web(daphne)


@pytest.fixture
def own_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Web]]:
    """A web server for one test alone, with settings of its own."""
    started: list[Daphne] = []

    def start(**settings: str) -> Web:
        daphne = Daphne(tmp_path_factory.mktemp("own-web"), **settings)
        started.append(daphne)
        return Web(daphne)

    yield start
    for daphne in started:
        daphne.__exit__(None, None, None)
