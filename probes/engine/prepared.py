"""What every probe of a target needs and its specification alone decides: worked out once, not per probe."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from probes.engine import request, steps
from probes.engine.connection import node_of
from probes.engine.names import literal_address
from probes.engine.protocol import Protocol, logger
from probes.engine.script import NONCE, TOKEN, TargetSpec, endpoint
from probes.engine.steps import Step
from probes.engine.transcript import Redactor, secrets_of

USER_AGENT = "Readywire-Probe/1"

_DEFLATE = [ClientPerMessageDeflateFactory(client_max_window_bits=True)]
_KEY = "\0key\0"
_MOST_KEPT = 8_192


class Prepared:
    """One specification, taken apart. Raises ScriptError where its URL, or its token, is unusable."""

    def __init__(self, spec: TargetSpec) -> None:
        script = spec.script
        self.spec = spec
        self.uri: WebSocketURI = endpoint(request.url_of(spec))
        self.subprotocols = [Subprotocol(name) for name in request.subprotocols_of(spec)] or None
        self.extensions = _DEFLATE if script.compression else None
        self.plan: Sequence[Step] = steps.plan(script.steps, early=script.early_send)
        self.own_runs_only = NONCE in script.trigger
        self.trigger = request.with_token(spec, script.trigger) if TOKEN in script.trigger else script.trigger
        self.deadline_ns = int(spec.deadline_s * 1e9)
        self.late_ns = int(script.events_within_s * 1e9)

    @cached_property
    def direct(self) -> tuple[str, int] | None:
        """Address and port to dial, where no name need be resolved and no proxy be asked."""
        options, uri = self.spec.connection, endpoint(self.spec.url)
        host, port = node_of(options.address, uri.port) if options.address else (uri.host, uri.port)
        plain = not options.proxy and options.family == "any" and literal_address(host) is not None
        return (host, port) if plain else None

    def protocol(self, max_size: int) -> Protocol:
        """The protocol of a new connection that takes messages up to `max_size` bytes."""
        new = self._first_protocol.fresh()
        new.max_message_size = max_size
        return new

    @cached_property
    def _first_protocol(self) -> Protocol:
        return Protocol(self.uri, subprotocols=self.subprotocols, extensions=self.extensions, logger=logger)

    def request(self, key: str) -> str:
        """The text of an upgrade request with this key."""
        return self._request.replace(_KEY, key)

    @cached_property
    def _request(self) -> str:
        protocol = self._first_protocol
        return _request_text(protocol, request.headers_of(self.spec)).replace(protocol.key, _KEY)

    @cached_property
    def redactor(self) -> Redactor:
        """Hides the secrets of the target."""
        spec = self.spec
        secrets = secrets_of(spec.token, spec.headers, all_headers=True) | secrets_of("", spec.script.headers)
        secrets |= spec.connection.secrets()
        secrets |= set(spec.script.cookies.values()) | secrets_of("", spec.script.query)
        user_info = endpoint(spec.url).user_info
        return Redactor(secrets | {user_info[1]} if user_info else secrets)


def _request_text(protocol: ClientProtocol, headers: Mapping[str, str]) -> str:
    ours = protocol.connect()
    ours.headers["User-Agent"] = USER_AGENT
    for name, value in headers.items():
        if name in ours.headers:
            del ours.headers[name]
        ours.headers[name] = value
    return ours.serialize().decode("latin-1")


# By identity, for a specification cannot be hashed; each entry keeps its own alive, so that no identity is used twice.
_kept: dict[int, Prepared] = {}


def prepared(spec: TargetSpec) -> Prepared:
    """The specification taken apart, kept for the next probe that is given the same object."""
    known = _kept.get(id(spec))
    if known is None:
        known = Prepared(spec)
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[id(spec)] = known
    return known
