"""Every error of the gate.

GateError
├── IllegalTransition      a lifecycle edge that the table does not have; nothing was changed
├── StillHeld              the buffer was asked to deliver before it was opened
├── NothingHeld            the buffer was asked to deliver and holds nothing
├── InvalidParameters      a strategy's parameters are not what its schema says; names the field and the cure
├── InvalidSetting         an argument of ReadinessGate; names it and the cure; also a ValueError
├── InvalidSource          an argument of FlagSource or OfrepSource; names it and the cure; also a ValueError
├── UnknownConnection      the registry was asked for a connection that it does not know; also a LookupError
├── OutOfOrder             the application sent a message before its accept; also a RuntimeError, as servers raise
├── EndedBeforeReady       `wait_ready()` on a connection that ended first
├── ClientGone             a send long after the client left; also a ConnectionError, as the ASGI specification asks
└── FlagSourceError        the flag server's answer cannot be used; the last known good stays
    ├── FlagServerRefused  it answered with an HTTP status that carries no definitions
    └── DefinitionsInvalid it answered 200 with something that is not a set of definitions
"""
# The names say what went wrong; the tree above says that all of them are errors.
# ruff: noqa: N818


class GateError(Exception):
    """Base of all errors raised by `connections.gate`."""


class IllegalTransition(GateError):
    """`current` has no edge to `target` in the transition table."""

    def __init__(self, current: str, target: str, why: str) -> None:
        super().__init__(f"a connection that is {current} cannot become {target} ({why})")
        self.current = current
        self.target = target
        self.why = why


class StillHeld(GateError):
    """Nothing is delivered before ready."""


class NothingHeld(GateError):
    """The buffer is empty."""


class InvalidParameters(GateError):
    """One parameter is wrong. `field` is `<strategy>.<parameter>`, `cure` says what would be right."""

    def __init__(self, field: str, message: str, cure: str) -> None:
        super().__init__(f"{field}: {message}; {cure}")
        self.field = field
        self.message = message
        self.cure = cure


class InvalidSetting(GateError, ValueError):
    """The argument `field` of ReadinessGate is wrong; `cure` says what would be right."""

    def __init__(self, field: str, value: object, cure: str) -> None:
        super().__init__(f"ReadinessGate({field}={value!r}): {cure}")
        self.field = field
        self.cure = cure


class InvalidSource(GateError, ValueError):
    """The argument `field` of a flag source is wrong; `cure` says what would be right. It never shows the value: one of
    them is a key."""

    def __init__(self, field: str, cure: str) -> None:
        super().__init__(f"flag source, {field}: {cure}")
        self.field = field
        self.cure = cure


class UnknownConnection(GateError, LookupError):
    """No such connection is open, nor among the last ones that ended."""

    def __init__(self, connection_id: str, keep_ended: int) -> None:
        super().__init__(
            f"no connection {connection_id!r} is open or among the last {keep_ended} that ended; "
            "ReadinessGate(keep_ended=...) says how many are remembered"
        )
        self.connection_id = connection_id


class OutOfOrder(GateError, RuntimeError):
    """The application sent what the ASGI specification does not allow yet; the message says what comes first."""


class EndedBeforeReady(GateError):
    """The connection ended before it was ready; `cause` is the terminal reason."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the connection ended before it was ready: {cause}")
        self.cause = cause


class ClientGone(GateError, ConnectionError):
    """The client left and the grace is over.

    A ConnectionError is an OSError, which is what ASGI servers raise from `send()` after a disconnect (ASGI WebSocket
    specification 2.4), so frameworks treat it as they treat the server's own.
    """


class FlagSourceError(GateError):
    """The flag server's answer cannot be used."""


class FlagServerRefused(FlagSourceError):
    """The flag server answered with `status`; it asked to be left alone for `retry_after_s` seconds, if at all."""

    def __init__(self, status: int, what: str, cure: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(f"the flag server answered {status} to {what}; {cure}")
        self.status = status
        self.retry_after_s = retry_after_s


class DefinitionsInvalid(FlagSourceError):
    """The answer is not a set of definitions; the message names the field."""
