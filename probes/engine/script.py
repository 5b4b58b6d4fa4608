"""What a probe sends, what counts as claimed and ready, which events must come. Validated data, from JSON or YAML."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal, get_args

from jmespath.exceptions import JMESPathError
from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from probes.engine import steps
from probes.engine.connection import Connection
from probes.engine.fields import Reader, ScriptError, read_yaml
from probes.engine.presets import PRESETS
from probes.engine.steps import Step, matcher
from probes.engine.wires import WIRES, faults

__all__ = ["CRITICAL_EVENTS", "NONCE", "TOKEN", "Script", "ScriptError", "TargetSpec", "endpoint", "matcher"]

CRITICAL_EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
"""The five events of the origin's chat, in order."""

ClaimRule = Literal["upgrade", "pong", "first_message", "match"]

AuthPlace = Literal["subprotocol", "header", "query", "message"]

NONCE, TOKEN = steps.NONCE, steps.TOKEN

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2: header names and subprotocols
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_COOKIE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")  # RFC 6265 section 4.1.1
_OWN_HEADERS = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Script:
    """The conversation of one probe. The default speaks the origin's chat behind a ReadinessGate."""

    subprotocols: tuple[str, ...] = ("readywire.chat.v1",)
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed: ClaimRule = "match"
    claimed_match: str = "type == 'connection_ready'"
    """JMESPath over a JSON message; the claim is the first message for which it is true."""
    trigger: str = '{"type": "user_message", "run_id": "{nonce}", "text": "readywire probe"}'
    """Sent when claimed. `{nonce}` becomes a fresh token. Empty: a target that only listens has no proof."""
    events: tuple[str, ...] = CRITICAL_EVENTS
    """JSON `type`s that must come after the trigger, in order. Empty: proof is an echo of the nonce."""
    events_within_s: float = 0.0
    """An event that comes later than this after the trigger, in seconds, is late. 0: the deadline alone bounds it."""
    early_send: bool = False
    """The trigger leaves the moment the 101 arrives, before any claim, and must be answered exactly once."""
    steps: tuple[Step, ...] = ()
    """What is said and awaited beside the claim and the trigger, in order. None: the claim, then the trigger."""
    auth: AuthPlace = "subprotocol"
    """Where the target's token goes; `message`: only to where a message says {token}."""
    auth_name: str = ""
    """The subprotocol's prefix (`bearer`), the header's scheme (`Bearer`) or the query's parameter (`token`)."""
    cookies: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    """Added to the URL."""
    compression: bool = False
    """Offer permessage-deflate (RFC 7692)."""
    wire: str = "json"
    """How messages stand in frames: a name of `wires.WIRES`."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` reverses it exactly."""
        return {
            **asdict(self),
            "subprotocols": list(self.subprotocols),
            "events": list(self.events),
            "steps": [step.to_json() for step in self.steps],
        }

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> "Script":
        """A validated script; absent fields take their defaults. Raises ScriptError."""
        return _script(mapping, {})

    @classmethod
    def from_yaml(cls, text: str) -> "Script":
        """The same from YAML that a person wrote. Raises ScriptError with the line of the mistake."""
        mapping, lines = read_yaml(text)
        return _script(mapping, lines)


_DEFAULT = Script()


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """All that a probe worker needs to know of a target; travels in the task, so that the worker needs no database."""

    target_id: int
    slug: str
    url: str
    deadline_s: float
    script: Script = field(default_factory=Script)
    token: str = field(default="", repr=False)
    """Decrypted bearer token; offered as the subprotocol `bearer.TOKEN`. Empty: a guest."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Secret headers (Authorization, cookies), sent beside the script's own; never in transcripts."""
    ca_pem: str = ""
    """Certificates (PEM) trusted instead of the system's. Empty: the system's."""
    connection: Connection = field(default_factory=Connection)
    """How the target is reached, where its URL alone does not say it."""

    def to_message(self) -> dict[str, Any]:
        """JSON-ready; `from_message` reverses it exactly. Holds secrets in clear: encrypt it before it travels."""
        return {
            "target_id": self.target_id,
            "slug": self.slug,
            "url": self.url,
            "deadline_s": self.deadline_s,
            "script": self.script.to_json(),
            "token": self.token,
            "headers": dict(self.headers),
            "ca_pem": self.ca_pem,
            "connection": self.connection.to_json(),
        }

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "TargetSpec":
        """Raises ScriptError on a bad script, OptionError on a bad connection, TypeError on fields that `to_message`
        did not write."""
        script, connection = Script.from_json(message["script"]), Connection.from_json(message.get("connection", {}))
        return cls(**{**message, "script": script, "connection": connection})


@lru_cache(maxsize=4096)
def endpoint(url: str) -> WebSocketURI:
    """The parts of a ws:// or wss:// URL. Raises ScriptError for any other."""
    cure = "Write it as ws://host[:port]/path or wss://host[:port]/path"
    try:
        uri = parse_uri(url)
    except InvalidURI as error:
        raise ScriptError("url", f"{error.msg} in {error.uri!r}", cure) from error
    except ValueError as error:
        raise ScriptError("url", f"{error} in {url!r}", cure) from error
    if re.search(r"[\x00-\x20\x7f]", url):
        raise ScriptError("url", "holds spaces or control characters", cure)
    return uri


def _script(mapping: Mapping[str, Any], lines: Mapping[str, int]) -> Script:
    if not isinstance(mapping, Mapping):
        raise ScriptError("script", f"must be a mapping, not {type(mapping).__name__}", "Write `field: value` lines")
    mapping = _with_preset(mapping, lines)
    known = [each.name for each in fields(Script)]
    for name in mapping:
        if name not in known:
            raise ScriptError(str(name), "is no field of a script", f"Use {', '.join(known)}", lines.get(str(name)))
    reader = Reader(mapping, lines)
    wire = _wire(reader)
    events = reader.words("events", _DEFAULT.events)
    claimed = _claimed(reader)
    return Script(
        subprotocols=_subprotocols(reader),
        headers=_headers(reader),
        claimed=claimed,
        claimed_match=_claimed_match(reader, claimed),
        trigger=_trigger(reader, events),
        events=events,
        events_within_s=_events_within(reader),
        early_send=_early_send(reader),
        steps=steps.read(reader),
        auth=_auth(reader),
        auth_name=_auth_name(reader),
        cookies=_cookies(reader),
        query=reader.texts("query"),
        compression=reader.truth("compression", _DEFAULT.compression),
        wire=wire,
    )


def _with_preset(mapping: Mapping[str, Any], lines: Mapping[str, int]) -> Mapping[str, Any]:
    """The fields of the preset that the script names, and the script's own instead of them."""
    if "preset" not in mapping:
        return mapping
    name = mapping["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise ScriptError("preset", f"{name!r} is none", f"Use one of {', '.join(PRESETS)}", lines.get("preset"))
    return {**PRESETS[name], **{key: value for key, value in mapping.items() if key != "preset"}}


def _wire(reader: Reader) -> str:
    wire = reader.text("wire", _DEFAULT.wire)
    if wire not in WIRES:
        raise reader.fail("wire", f"{wire!r} is none", f"Use one of {', '.join(WIRES)}")
    if wire == "json":
        return wire
    sent = [("trigger", reader.mapping.get("trigger"))] if reader.mapping.get("trigger") else []
    sent += [(f"steps[{at}]", each.text) for at, each in enumerate(steps.read(reader)) if each.kind == "send"]
    texts = [text if isinstance(text, str) else json.dumps(text) for _place, text in sent]
    for at, fault in faults(wire, texts):
        raise reader.fail(sent[at][0], fault.partition(". ")[0], fault.partition(". ")[2] or f"See the wire {wire}")
    return wire


def _subprotocols(reader: Reader) -> tuple[str, ...]:
    names = reader.words("subprotocols", _DEFAULT.subprotocols)
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise reader.fail(
                "subprotocols", f"{name!r} is no subprotocol name", "Use letters, digits and -._~ (RFC 9110)"
            )
    return names


def _headers(reader: Reader) -> Mapping[str, str]:
    headers = reader.texts("headers")
    for name, text in headers.items():
        if not _TOKEN.fullmatch(name):
            raise reader.fail("headers", f"{name!r} is no header name", "Use letters, digits and hyphens")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("sec-websocket-"):
            raise reader.fail("headers", f"{name} belongs to the WebSocket handshake", "Leave it out")
        if not _HEADER_VALUE.fullmatch(text):
            raise reader.fail("headers", f"the value of {name} is no one-line ASCII text", "Put it in quotes")
    return headers


def _cookies(reader: Reader) -> Mapping[str, str]:
    cookies = reader.texts("cookies")
    for name, text in cookies.items():
        if not _TOKEN.fullmatch(name) or not _COOKIE_VALUE.fullmatch(text):
            raise reader.fail("cookies", f"{name!r} is no cookie as RFC 6265 has them", "Percent-encode its value")
    return cookies


def _auth(reader: Reader) -> AuthPlace:
    value = reader.text("auth", _DEFAULT.auth)
    places: tuple[AuthPlace, ...] = get_args(AuthPlace)
    for place in places:
        if value == place:
            return place
    raise reader.fail("auth", f"{value!r} is no place for a token", f"Use one of {', '.join(places)}")


def _auth_name(reader: Reader) -> str:
    name = reader.text("auth_name", _DEFAULT.auth_name)
    if name and not _TOKEN.fullmatch(name):
        raise reader.fail("auth_name", f"{name!r} is no single word", "Write for example bearer, jwt or access_token")
    return name


def _claimed(reader: Reader) -> ClaimRule:
    value = reader.text("claimed", _DEFAULT.claimed)
    rules: tuple[ClaimRule, ...] = get_args(ClaimRule)
    for rule in rules:
        if value == rule:
            return rule
    raise reader.fail("claimed", f"{value!r} is no rule", f"Use one of {', '.join(rules)}")


def _claimed_match(reader: Reader, claimed: ClaimRule) -> str:
    expression = reader.text("claimed_match", _DEFAULT.claimed_match)
    if claimed != "match":
        return expression
    try:
        matcher(expression)
    except JMESPathError as error:
        fault = str(error).replace("\n", " ")
        raise reader.fail(
            "claimed_match", f"is no JMESPath ({fault})", "Write for example type == 'connection_ready'"
        ) from error
    return expression


def _trigger(reader: Reader, events: tuple[str, ...]) -> str:
    value = reader.mapping.get("trigger", _DEFAULT.trigger)
    if isinstance(value, Mapping | list):
        value = json.dumps(value)
    if not isinstance(value, str):
        raise reader.fail("trigger", "must be text or a JSON object", "Put it in quotes")
    if events and not value:
        raise reader.fail(
            "trigger", "is empty, but events are expected", "Give the message that starts them, or write events: []"
        )
    if value and not events and NONCE not in value:
        raise reader.fail(
            "trigger", "has no {nonce}, so its echo proves nothing", "Put {nonce} into it, or name the events expected"
        )
    return value


def _events_within(reader: Reader) -> float:
    value = reader.mapping.get("events_within_s", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise reader.fail("events_within_s", "must be seconds between 0 and 3600", "Write for example 1.5, or 0")
    return float(value)


def _early_send(reader: Reader) -> bool:
    early = reader.truth("early_send", _DEFAULT.early_send)
    if early and not reader.mapping.get("trigger", _DEFAULT.trigger):
        raise reader.fail("early_send", "has no message to send", "Give a trigger, or leave early_send out")
    if early and steps.opens(steps.read(reader)):
        raise reader.fail("early_send", "has steps before the claim", "Their first message already leaves at the 101")
    return early
