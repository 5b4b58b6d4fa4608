"""What OFREP 0.3.0 says of answers, as JSON Schema in our own words: the OpenAPI document's rules without its mistakes.

Relaxed, because a strict reading refuses the document's own examples: a flag's success or failure is told by
`errorCode` (in the document's `oneOf`, the value that is left to the caller's code matches everything); a reason may be
any name of the SDKs, DEFAULT among them; a bulk answer's failure may be FLAG_NOT_FOUND; a variant may be null.
"""

from typing import Any

Json = dict[str, Any]

REASONS = ["STATIC", "DEFAULT", "TARGETING_MATCH", "SPLIT", "CACHED", "DISABLED", "UNKNOWN", "STALE", "ERROR"]
CODES = ["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]

METADATA: Json = {"type": "object", "additionalProperties": {"type": ["boolean", "string", "number"]}}
SUCCESS: Json = {
    "type": "object",
    "required": ["key", "reason"],
    "properties": {
        "key": {"type": "string"},
        "reason": {"enum": REASONS},
        "variant": {"type": ["string", "null"]},
        "value": {"type": ["boolean", "string", "number", "object", "array"]},
        "metadata": METADATA,
        "errorCode": False,
    },
}
FAILURE: Json = {
    "type": "object",
    "required": ["key", "errorCode"],
    "properties": {"key": {"type": "string"}, "errorCode": {"enum": CODES}, "errorDetails": {"type": "string"}},
}
NOT_FOUND: Json = {**FAILURE, "properties": {**FAILURE["properties"], "errorCode": {"const": "FLAG_NOT_FOUND"}}}
REFUSAL: Json = {
    "type": "object",
    "properties": {"errorCode": {"enum": CODES}, "errorDetails": {"type": "string"}},
}
BULK_FAILURE: Json = {**REFUSAL, "required": ["errorCode"]}
STREAM: Json = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string"},
        "url": {"type": "string", "format": "uri"},
        "endpoint": {
            "type": "object",
            "required": ["requestUri"],
            "properties": {"origin": {"type": "string"}, "requestUri": {"type": "string", "pattern": "^/"}},
        },
        "inactivityDelaySec": {"type": "integer", "minimum": 1},
    },
    "oneOf": [{"required": ["url"]}, {"required": ["endpoint"]}],
}
BULK: Json = {
    "type": "object",
    "required": ["flags"],
    "properties": {
        "flags": {"type": "array", "items": {"anyOf": [SUCCESS, FAILURE]}},
        "metadata": METADATA,
        "eventStreams": {"type": "array", "items": STREAM},
    },
}
EVENT: Json = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"const": "refetchEvaluation"},
        "etag": {"type": "string"},
        "lastModified": {"type": ["integer", "string"]},
    },
}
EVERY_CLIENT: Json = {
    "type": "object",
    "required": ["key", "reason", "variant"],
    "if": {"required": ["errorCode"]},
    "then": {"required": ["errorDetails"]},
}
"""What the clients ask for beyond the document."""
