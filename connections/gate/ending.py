"""How one connection ends: the reason is named once, the close or refusal goes on the wire once, and the application
meets its disconnect. Whoever asks first wins; asking again does nothing."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol

from connections.gate.inbound import Inbound, Message
from connections.gate.lifecycle import Cause, Lifecycle, State
from connections.gate.outbound import Outbound

DENIAL = "websocket.http.response"
_REFUSED_SEND = (OSError, RuntimeError)
"""What servers raise for a send after the connection is over: an OSError by the specification, a RuntimeError where
their own close came first."""

SERVICE_RESTART = 1012
"""What servers say for themselves when they stop (IANA WebSocket close code registry)."""

PRIVATE_CODES = 4000
"""Close codes from here on are for private use (RFC 6455, 7.4.2): 1012 becomes 4012."""

_STATUS = {1011: 500}
"""What a close code is for a client that has no upgrade yet; 503 for all others."""

_NO_STATUS = 1005
"""A close frame without a code, and with some servers no close frame at all (RFC 6455, 7.1.5)."""

_VIOLATIONS = {1002: "a protocol error", 1007: "text that is not UTF-8", 1009: "a message that is too big"}
"""What ended it where the client broke the protocol (RFC 6455, 7.4.1); Hypercorn, Daphne and Granian do not say."""

_CANCELLED_S = 0.5
"""What a close may take once the server has cancelled the application: it does not wait long for us."""

_REASON_BYTES = 120
"""A close frame holds 123 bytes of reason (RFC 6455, 5.5.1)."""


class Owner(Protocol):
    """The connection that ends."""

    def changed(self, until: float | None = None) -> None:
        """The state, or what is due next, changed."""

    def stop_reading(self) -> None:
        """Before any close: Granian sends none while a receive is outstanding."""


class Ending:
    """One connection's end, and what is known of it so far."""

    __slots__ = ("_can_deny", "_closing", "_grace_s", "_inbound", "_lifecycle", "_loop", "_outbound", "_owner",
                 "carries", "close_code", "closed_by", "error", "evict_at", "left_at", "upgraded", "why")  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        lifecycle: Lifecycle,
        inbound: Inbound,
        outbound: Outbound,
        *,
        scope: Mapping[str, Any],
        grace_s: float,
    ) -> None:
        self._owner = owner
        self._lifecycle = lifecycle
        self._inbound = inbound
        self._outbound = outbound
        self._can_deny = DENIAL in (scope.get("extensions") or {})
        self._grace_s = grace_s
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Future[None] | None = None
        self.carries = False
        """The application has accepted, and the connection is not over: its messages are taken."""
        self.upgraded = False
        """The accept is on the wire."""
        self.close_code: int | None = None
        self.closed_by = ""
        self.why = ""
        self.error = ""
        self.left_at: float | None = None
        """When the connection was over for the client."""
        self.evict_at: float | None = None
        """When an application that does not notice is cancelled."""

    @property
    def left(self) -> bool:
        return self.left_at is not None

    @property
    def grace_over(self) -> bool:
        return self.left_at is not None and self._loop.time() - self.left_at > self._grace_s

    def end(self, cause: Cause, why: str, *, through: State | None = None) -> None:
        """Name the terminal reason, if there is none yet, and close."""
        if self._lifecycle.end(cause, self._loop.time(), why, through=through):
            self.why = why
        self._owner.changed()

    # --- the client's side ----------------------------------------------------------------------------------------

    def disconnected(self, message: Message, *, in_setup: bool) -> None:
        """The connection is over for the client. First news wins."""
        if self.left_at is not None:
            return
        code = message.get("code") or _NO_STATUS
        if self._lifecycle.cause is None:
            self.close_code, self.closed_by = code, "server" if code == SERVICE_RESTART else "client"
        if code == SERVICE_RESTART:
            self.end(Cause.DRAINED, "the server is shutting down")
        else:
            violation = f": {_VIOLATIONS[code]}" if code in _VIOLATIONS else ""
            if in_setup:
                self.end(Cause.CLIENT_GONE, f"the client left before it was ready{violation}")
            else:
                self.end(Cause.CLIENT_CLOSED, f"the client left{violation}")
        self._leave(message, hold=in_setup, evict=in_setup)

    # --- the gate's side ------------------------------------------------------------------------------------------

    async def close(self, code: int, cause: Cause, why: str, *, through: State = State.CLOSING) -> None:
        """Close with `code`, or refuse the upgrade where it is still waited for. Does nothing where the connection
        already has a terminal reason."""
        if not self.upgraded:
            await self.refuse(_STATUS.get(code, 503), why, cause)
            return
        if self._lifecycle.cause is not None:
            return
        self.close_code, self.closed_by = code, "gate"
        self.end(cause, why, through=through)
        reason = why.encode()[:_REASON_BYTES].decode(errors="ignore")
        self._leave({"type": "websocket.disconnect", "code": code, "reason": reason}, hold=True, evict=True)
        self._owner.stop_reading()
        await self._settle(self._send_close(code, reason))
        self.end(cause, why)

    async def _settle(self, sending: Coroutine[Any, Any, None]) -> None:
        self._closing = self._loop.create_future()
        try:
            with suppress(*_REFUSED_SEND):
                await sending
        finally:
            self._closing.set_result(None)

    async def _send_close(self, code: int, reason: str) -> None:
        """With `code`, or with its private counterpart where the server refuses to send that one: Daphne's protocol
        library allows applications 1000 and 3000 to 4999 only, and raises a bare Exception."""
        try:
            await self._outbound.control({"type": "websocket.close", "code": code, "reason": reason})
        except _REFUSED_SEND:
            raise
        except Exception:
            if code >= PRIVATE_CODES:
                raise
            self.close_code = code % 1000 + PRIVATE_CODES
            await self._outbound.control({"type": "websocket.close", "code": self.close_code, "reason": reason})

    async def cancelled(self) -> None:
        """The server cancels the application. Servers do so when they stop: Hypercorn would close 1011, Daphne not at
        all, so the client is told 1012."""
        why = "the server cancelled the application"
        if self._lifecycle.state is State.CONNECTING:
            self.end(Cause.CANCELLED, why, through=State.FAILED)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCELLED_S):
                await self.close(SERVICE_RESTART, Cause.CANCELLED, why, through=State.FAILED)

    async def settled(self) -> None:
        """Return when a close or refusal of the gate is no longer on its way. Granian closes without a code where the
        application returns before."""
        if self._closing is not None:
            await asyncio.wait([self._closing])

    async def refuse(self, status: int, why: str, cause: Cause = Cause.NEVER_ACCEPTED) -> None:
        """Refuse the upgrade with an HTTP status; with 403 where the server cannot say another."""
        if self._lifecycle.cause is not None:
            return
        self.closed_by = "gate"
        self.end(cause, why)
        self._leave({"type": "websocket.disconnect", "code": 1006, "reason": why}, hold=True, evict=True)
        await self._settle(self._send_refusal(status, why))

    async def _send_refusal(self, status: int, why: str) -> None:
        if self._can_deny:
            headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
            await self._outbound.control({"type": f"{DENIAL}.start", "status": status, "headers": headers})
            await self._outbound.control({"type": f"{DENIAL}.body", "body": why.encode()})
        else:
            await self._outbound.control({"type": "websocket.close", "code": 1013, "reason": why})

    # --- the application's side -----------------------------------------------------------------------------------

    async def close_for_application(self, message: Message) -> None:
        """The application sends its own close."""
        cause, why = Cause.SELF_CLOSED, "the application closed"
        if self._lifecycle.state is State.CONNECTING:
            cause, why = Cause.NEVER_ACCEPTED, "the application refused it"
        self.close_code, self.closed_by = message.get("code", 1000), "application"
        self.end(cause, why, through=State.CLOSING)
        self._owner.stop_reading()
        with suppress(OSError):
            await self._outbound.control(message)
        self.end(cause, why)
        self._leave({"type": "websocket.disconnect", "code": self.close_code, "reason": message.get("reason") or ""})

    async def deny_for_application(self, message: Message) -> None:
        """The application refuses the upgrade with an HTTP response of its own (ASGI extension)."""
        await self._outbound.control(message)
        if message["type"] == f"{DENIAL}.body" and not message.get("more_body", False):
            self.closed_by = "application"
            self.end(Cause.NEVER_ACCEPTED, "the application refused it")

    def torn_down(self) -> None:
        """The application has returned or raised, and nothing more can happen."""
        self.end(Cause.CANCELLED, "the application was torn down")
        self.carries = False
        if self.left_at is None:
            self.left_at = self._loop.time()

    def _leave(self, disconnect: Message, *, hold: bool = False, evict: bool = False) -> None:
        if self.left_at is None:
            self.left_at = self._loop.time()
        self.carries = False
        if hold:
            self._inbound.hold()
        if evict:
            self.evict_at = self.left_at + self._grace_s
        self._inbound.end(disconnect)
        self._outbound.leave()
        self._owner.changed()
