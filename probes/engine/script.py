"""What a probe sends, what counts as claimed and ready, which events must come. Validated data, from JSON or YAML."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal, get_args

import jmespath
import yaml
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from probes.engine.connection import Connection

CRITICAL_EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
"""The five events of the origin's chat, in order."""

ClaimRule = Literal["upgrade", "pong", "first_message", "match"]

NONCE = "{nonce}"

_MAX_YAML_CHARS = 65_536
_MAX_EVENTS = 100
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2: header names and subprotocols
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OWN_HEADERS = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})


class ScriptError(ValueError):
    """A script, URL or specification that cannot be used: names the field, the fault and the cure."""

    def __init__(self, field_name: str, fault: str, cure: str, line: int | None = None) -> None:
        place = f"line {line}: " if line else ""
        super().__init__(f"{place}{field_name}: {fault}. {cure}")
        self.field = field_name
        self.fault = fault
        self.cure = cure
        self.line = line


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

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` reverses it exactly."""
        return {**asdict(self), "subprotocols": list(self.subprotocols), "events": list(self.events)}

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> "Script":
        """A validated script; absent fields take their defaults. Raises ScriptError."""
        return _script(mapping, {})

    @classmethod
    def from_yaml(cls, text: str) -> "Script":
        """The same from YAML that a person wrote. Raises ScriptError with the line of the mistake."""
        mapping, lines = _read_yaml(text)
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


@lru_cache(maxsize=1024)
def matcher(expression: str) -> ParsedResult:
    """The compiled JMESPath expression. Raises JMESPathError."""
    return jmespath.compile(expression)


class _Reader:
    """Reads fields of a mapping, and says what is wrong with them and where."""

    def __init__(self, mapping: Mapping[str, Any], lines: Mapping[str, int]) -> None:
        self.mapping = mapping
        self.lines = lines

    def fail(self, name: str, fault: str, cure: str) -> ScriptError:
        return ScriptError(name, fault, cure, self.lines.get(name))

    def text(self, name: str, default: str) -> str:
        value = self.mapping.get(name, default)
        if not isinstance(value, str):
            raise self.fail(name, f"must be text, not {type(value).__name__}", "Put it in quotes")
        return value

    def words(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.mapping.get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) and word for word in value):
            raise self.fail(name, "must be a list of texts, none empty", "Write for example [one, two], or []")
        if len(set(value)) < len(value):
            raise self.fail(name, "names the same thing twice", "Keep one of them")
        if len(value) > _MAX_EVENTS:
            raise self.fail(name, f"lists more than {_MAX_EVENTS}", "Shorten the list")
        return tuple(value)


def _script(mapping: Mapping[str, Any], lines: Mapping[str, int]) -> Script:
    if not isinstance(mapping, Mapping):
        raise ScriptError("script", f"must be a mapping, not {type(mapping).__name__}", "Write `field: value` lines")
    known = [each.name for each in fields(Script)]
    for name in mapping:
        if name not in known:
            raise ScriptError(str(name), "is no field of a script", f"Use {', '.join(known)}", lines.get(str(name)))
    reader = _Reader(mapping, lines)
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
    )


def _subprotocols(reader: _Reader) -> tuple[str, ...]:
    names = reader.words("subprotocols", _DEFAULT.subprotocols)
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise reader.fail(
                "subprotocols", f"{name!r} is no subprotocol name", "Use letters, digits and -._~ (RFC 9110)"
            )
    return names


def _headers(reader: _Reader) -> Mapping[str, str]:
    value = reader.mapping.get("headers", {})
    if not isinstance(value, Mapping):
        raise reader.fail("headers", "must be a mapping of names to texts", "Write `Name: value` lines")
    for name, text in value.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise reader.fail("headers", f"{name!r} is no header name", "Use letters, digits and hyphens")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("sec-websocket-"):
            raise reader.fail("headers", f"{name} belongs to the WebSocket handshake", "Leave it out")
        if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
            raise reader.fail("headers", f"the value of {name} is no one-line ASCII text", "Put it in quotes")
    return dict(value)


def _claimed(reader: _Reader) -> ClaimRule:
    value = reader.text("claimed", _DEFAULT.claimed)
    rules: tuple[ClaimRule, ...] = get_args(ClaimRule)
    for rule in rules:
        if value == rule:
            return rule
    raise reader.fail("claimed", f"{value!r} is no rule", f"Use one of {', '.join(rules)}")


def _claimed_match(reader: _Reader, claimed: ClaimRule) -> str:
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


def _trigger(reader: _Reader, events: tuple[str, ...]) -> str:
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


def _events_within(reader: _Reader) -> float:
    value = reader.mapping.get("events_within_s", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise reader.fail("events_within_s", "must be seconds between 0 and 3600", "Write for example 1.5, or 0")
    return float(value)


def _read_yaml(text: str) -> tuple[Mapping[str, Any], dict[str, int]]:
    """The data, and the line of each field. Raises ScriptError."""
    if len(text) > _MAX_YAML_CHARS:
        raise ScriptError("script", f"is longer than {_MAX_YAML_CHARS} characters", "Shorten it")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ScriptError("script", f"is no YAML ({error.problem})", "Check indentation and quotes", line) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ScriptError("script", f"is no YAML ({error})", "Check indentation and quotes") from error
    lines = {}
    if isinstance(node, yaml.MappingNode):
        lines = {str(key.value): key.start_mark.line + 1 for key, _value in node.value}
    return data, lines
