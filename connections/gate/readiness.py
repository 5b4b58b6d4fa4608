"""What an application behind the gate holds in its hands: `scope["readiness"]`.

    from connections.gate import readiness

    async def chat(websocket):
        ready = readiness(websocket.scope)
        await websocket.accept()
        ready.authenticated()
        ready.service_ready("database")
        await ready.wait_ready()

Using it is optional. Marks may be made from any thread and any number of times; waiting is for the connection's own
event loop.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connections.gate.connection import Connection

SCOPE_KEY = "readiness"


class Readiness:
    """One connection's readiness, as the application sees and reports it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    @property
    def connection_id(self) -> str:
        return self._connection.connection_id

    @property
    def strategy(self) -> str:
        """Name of the strategy that this connection got."""
        return self._connection.strategy_name

    @property
    def flags_revision(self) -> int | None:
        """Revision of the flags that chose it; None: coded or static."""
        return self._connection.flags_revision

    @property
    def state(self) -> str:
        """One of the twelve states."""
        return self._connection.lifecycle.state.value

    @property
    def is_ready(self) -> bool:
        """Messages flow to the application, degraded or not."""
        return self._connection.lifecycle.state.open

    @property
    def missing(self) -> tuple[str, ...]:
        """Optional things that are missing while degraded."""
        return self._connection.opening.missing

    @property
    def client_gone(self) -> bool:
        """The connection is over for the client: it left, or was closed."""
        return self._connection.left

    def authenticated(self) -> None:
        """The client is who it says, or an admitted guest."""
        self._connection.on_loop(self._connection.opening.mark_authenticated)

    def service_ready(self, name: str) -> None:
        """`name` serves. Marking it again after a failure announces the recovery."""
        self._connection.on_loop(self._connection.opening.mark_service, name, True, "")

    def service_failed(self, name: str, why: str = "") -> None:
        """`name` will not serve: a required one closes 1013, an optional one degrades. Not for what may still succeed:
        say nothing while retrying, and the connection is held."""
        self._connection.on_loop(self._connection.opening.mark_service, name, False, why)

    def ready(self) -> None:
        """Everything of the application's own is ready: authentication and all declared services."""
        self._connection.on_loop(self._connection.opening.mark_ready)

    async def wait_ready(self) -> None:
        """Return when messages may flow. Raises EndedBeforeReady with the cause where the connection ends first."""
        await self._connection.wait_open()

    async def wait_client_gone(self) -> None:
        """Return when the connection is over for the client, also while the application is busy elsewhere."""
        await self._connection.wait_left()


def readiness(scope: Mapping[str, Any]) -> Readiness:
    """The connection's Readiness. Raises LookupError where no gate is installed."""
    found = scope.get(SCOPE_KEY)
    if not isinstance(found, Readiness):
        raise LookupError("no ReadinessGate is installed around this application: wrap it in ReadinessGate(app, ...)")
    return found
