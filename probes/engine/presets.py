"""Scripts of known protocols, as a person would write them; `preset: NAME` in a script takes one and changes fields."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_ECHO: dict[str, Any] = {"subprotocols": [], "claimed": "upgrade", "trigger": "{nonce}", "events": []}

_ORIGIN = {
    "subprotocols": ["jwt-auth"],
    "auth_name": "jwt",
    "claimed": "match",
    "claimed_match": (
        "type == 'connection_established' || (type == 'system_message' && data.event == 'connection_established')"
    ),
    # The service names its runs itself: nothing of ours comes back in its events.
    "trigger": {"type": "user_message", "payload": {"content": "readywire probe"}},
}

_GRAPHQL = {
    "wire": "graphql",
    "subprotocols": ["graphql-transport-ws"],
    "auth": "header",
    "steps": [{"send": {"type": "connection_init"}}, "claim", "trigger"],
    "claimed": "match",
    "claimed_match": "type == 'connection_ack'",
    "trigger": {"id": "{nonce}", "type": "subscribe", "payload": {"query": "query { __typename }"}},
    "events": [],
}

_PHOENIX = {
    "wire": "phoenix",
    "subprotocols": [],
    "query": {"vsn": "2.0.0"},
    "auth": "query",
    "steps": [
        {"send": {"join_ref": "1", "ref": "1", "topic": "room:lobby", "event": "phx_join", "payload": {}}},
        "claim",
        "trigger",
    ],
    "claimed": "match",
    "claimed_match": "type == 'phx_reply' && ref == '1' && payload.status == 'ok'",
    "trigger": {"join_ref": "1", "ref": "{nonce}", "topic": "room:lobby", "event": "ping", "payload": {}},
    "events": [],
}

_SIGNALR = {
    "wire": "signalr",
    "subprotocols": [],
    "auth": "query",
    "auth_name": "access_token",
    "steps": [{"send": {"protocol": "json", "version": 1}}, "claim", "trigger"],
    "claimed": "match",
    "claimed_match": "type == 'handshake'",
    "trigger": {"type": "invocation", "invocationId": "{nonce}", "target": "Echo", "arguments": ["{nonce}"]},
    "events": [],
}

_SOCKET_IO = {
    "wire": "socket.io",
    "subprotocols": [],
    "query": {"EIO": "4", "transport": "websocket"},
    "auth": "header",
    "steps": [{"expect": "type == 'open'"}, {"send": {"type": "connect"}}, "claim", "trigger"],
    "claimed": "match",
    "claimed_match": "type == 'connect'",
    "trigger": {"type": "event", "id": 1, "data": ["echo", "{nonce}"]},
    "events": [],
}

_STOMP = {
    "wire": "stomp",
    "subprotocols": ["v12.stomp"],
    "auth": "header",
    "steps": [
        {"send": {"type": "connect", "headers": {"accept-version": "1.2", "host": "/", "heart-beat": "0,0"}}},
        "claim",
        {"send": {"type": "subscribe", "headers": {"id": "0", "destination": "/topic/readywire.{nonce}"}}},
        "trigger",
    ],
    "claimed": "match",
    "claimed_match": "type == 'connected'",
    "trigger": {"type": "send", "headers": {"destination": "/topic/readywire.{nonce}"}, "body": "{nonce}"},
    "events": [],
}

_MQTT = {
    "wire": "mqtt",
    "subprotocols": ["mqtt"],
    "auth": "header",
    "steps": [
        {"send": {"type": "connect", "client_id": "rw-{nonce}"}},
        "claim",
        {"send": {"type": "subscribe", "topic": "readywire/{nonce}"}},
        {"expect": "type == 'suback'"},
        "trigger",
    ],
    "claimed": "match",
    "claimed_match": "type == 'connack'",
    "trigger": {"type": "publish", "topic": "readywire/{nonce}", "payload": "{nonce}"},
    "events": [],
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "readywire": {},
        "graphql-transport-ws": _GRAPHQL,
        "phoenix": _PHOENIX,
        "signalr": _SIGNALR,
        "socket.io": _SOCKET_IO,
        "stomp": _STOMP,
        "mqtt": _MQTT,
        "echo": _ECHO,
        "origin": _ORIGIN,
    }
)
"""By name. `readywire` is the default script itself."""
