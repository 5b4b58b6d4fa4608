"""The evaluation scenarios of the OpenFeature specification (appendix B, `evaluation_v2.feature`), as our own data.

What is left out is the clients' own: hooks, provider states, caching, asynchronous calls.
"""

from dataclasses import dataclass, field
from typing import Any

from connections.flags.evaluation import Reason

PICTURES = {"showImages": True, "title": "Check out these pics!", "imagesPerPage": 100}
ADMIN = "ballmer@macrosoft.com"


def _flag(variants: dict[str, Any], default: str | None, **more: Any) -> dict[str, Any]:
    return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}


def _zero(zero: Any, other: Any, *, targeted: bool = False) -> dict[str, Any]:
    rule = {"if": [{"==": [{"var": "email"}, ADMIN]}, "zero"]}
    return _flag({"zero": zero, "non-zero": other}, "zero", **({"targeting": rule} if targeted else {}))


_ZEROS = {
    "boolean": (False, True),
    "string": ("", "str"),
    "integer": (0, 1),
    "float": (0.0, 1.0),
    "object": ({}, PICTURES),
}
_METADATA = {"string": "1.0.2", "integer": 2, "boolean": True, "float": 0.1}

FLAGS: dict[str, Any] = {
    "boolean-flag": _flag({"on": True, "off": False}, "on"),
    "string-flag": _flag({"greeting": "hi", "parting": "bye"}, "greeting"),
    "integer-flag": _flag({"one": 1, "ten": 10}, "ten"),
    "float-flag": _flag({"tenth": 0.1, "half": 0.5}, "half"),
    "object-flag": _flag({"empty": {}, "template": PICTURES}, "template"),
    **{f"{kind}-zero-flag": _zero(*values) for kind, values in _ZEROS.items()},
    **{f"{kind}-targeted-zero-flag": _zero(*values, targeted=True) for kind, values in _ZEROS.items()},
    "context-aware": _flag(
        {"internal": "INTERNAL", "external": "EXTERNAL"},
        "external",
        targeting={"if": [{"and": [{"==": [{"var": "customer"}, False]}, {">=": [{"var": "age"}, 18]}]}, "internal"]},
    ),
    "metadata-flag": _flag({"on": True, "off": False}, "on", metadata=_METADATA),
    "boolean-disabled-flag": _flag({"on": True, "off": False}, "on") | {"state": "DISABLED"},
    "string-disabled-flag": _flag({"greeting": "hi"}, "greeting") | {"state": "DISABLED"},
    "null-default-flag": _flag({"on": True, "off": False}, None),
}


@dataclass(frozen=True)
class Scenario:
    """What one evaluation comes to. `variant` None: the caller's own default holds."""

    flag: str
    value: Any
    variant: str | None
    reason: Reason
    context: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def _zeros(reason: Reason, targeted: str, context: dict[str, Any]) -> list[Scenario]:
    return [
        Scenario(f"{kind}{targeted}-zero-flag", zero, "zero", reason, context) for kind, (zero, _) in _ZEROS.items()
    ]


SCENARIOS = [
    Scenario("boolean-flag", True, "on", Reason.STATIC),
    Scenario("string-flag", "hi", "greeting", Reason.STATIC),
    Scenario("integer-flag", 10, "ten", Reason.STATIC),
    Scenario("float-flag", 0.5, "half", Reason.STATIC),
    Scenario("object-flag", PICTURES, "template", Reason.STATIC),
    *_zeros(Reason.STATIC, "", {}),
    *_zeros(Reason.TARGETING_MATCH, "-targeted", {"email": ADMIN}),
    *_zeros(Reason.DEFAULT, "-targeted", {"email": "ballmer@none.com"}),
    *_zeros(Reason.DEFAULT, "-targeted", {}),
    *_zeros(Reason.DEFAULT, "-targeted", {"email": None}),
    Scenario(
        "context-aware",
        "INTERNAL",
        "internal",
        Reason.TARGETING_MATCH,
        {"email": ADMIN, "role": "admin", "age": 65, "customer": False},
    ),
    Scenario("context-aware", "EXTERNAL", "external", Reason.DEFAULT, {"customer": True, "age": 65}),
    Scenario("metadata-flag", True, "on", Reason.STATIC, {}, _METADATA),
    Scenario("boolean-disabled-flag", None, None, Reason.DISABLED),
    Scenario("string-disabled-flag", None, None, Reason.DISABLED),
    Scenario("null-default-flag", None, None, Reason.DEFAULT),
]
