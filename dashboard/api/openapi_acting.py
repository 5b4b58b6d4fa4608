"""The part of `/api/v1/openapi.json` that is about reading and changing flags, and rolling back."""

from typing import Any

from dashboard.api.openapi import _COUNT, _TEXT, _TOKEN, Json, _answers, _object, _operation, _path, _ref, _refused

_ROOT = "/api/v1/environments"
_ONCE = {"Idempotency-Key": "the same request again within a day gets its first answer, and nothing is done"}
_SEEN = {"If-Match": 'the version that was seen, as an ETag: "12". Or expected_version in the body'}
_MOMENT: Json = {"type": "string", "format": "date-time"}
_OPTIONAL_COUNT: Json = {"type": ["integer", "null"], "minimum": 0}
_ACTING = (400, 401, 403, 404, 409, 412, 413, 422)


def paths() -> Json:
    """Every address below an environment."""
    one = f"{_ROOT}/{{environment}}"
    return {
        _ROOT: {"get": _reads("The environments", _object({"environments": _list("Environment")}), 401, 403)},
        one: _at("environment", get=_reads("What one serves now", _ref("Environment"))),
        **_flags(f"{one}/flags"),
        **_rollouts(one),
        **_history(one),
        **_rollback(f"{one}/rollback"),
        **_deploys(),
    }


def _deploys() -> Json:
    named = {name: _TEXT | {"minLength": 1, "maxLength": 100} for name in ("environment", "service", "version")}
    more = {
        "link": _TEXT | {"maxLength": 500, "description": "where to read more: http or https"},
        "who": _TEXT | {"maxLength": 150, "description": "who deployed it; without it, the token"},
        "at": _MOMENT | {"description": "when; without it, now"},
    }
    marked = _object({"changed": {"type": "boolean"}, "deploy": _ref("Deploy"), "message": _TEXT})
    marked["required"] = ["changed", "deploy"]
    asked = [
        {"name": "environment", "in": "query", "schema": _TEXT, "description": "of this one alone"},
        {"name": "service", "in": "query", "schema": _TEXT, "description": "of this one alone"},
        {"name": "before", "in": "query", "schema": _COUNT, "description": "`next` of the page before"},
    ]
    page = _object({"deploys": _list("Deploy"), "next": _OPTIONAL_COUNT})
    marking = _acts("Mark a deploy; the same one again is the same one", {**named, **more}, list(named), answer=marked)
    marking["responses"].pop("202")
    listing = _reads("Deploys, newest first", page, 400, 401, 403, parameters=asked)
    return {"/api/v1/deploys": {"get": listing, "post": marking}}


def _flags(root: str) -> Json:
    values = {"values": {"type": "object", "additionalProperties": _TEXT, "description": "{flag: variant}"}}
    limits = {"for_seconds": _COUNT | {"description": "how long; without it until somebody lifts it"}}
    kinds = {"kind": {"type": "string", "enum": ["kill", "breaker"], "default": "kill"}}
    changing = _acts("Serve other variants, as one version", values, ["values"], seen=True)
    changing["responses"] |= _refused(428)
    return {
        root: _at(
            "environment", get=_reads("The newest version; its ETag is for If-Match", _ref("Version")), post=changing
        ),
        f"{root}/{{key}}/kill": _at("environment", "key", post=_acts("Serve the flag's safe variant to all", limits)),
        f"{root}/{{key}}/lift": _at("environment", "key", post=_acts("Lift a kill or a breaker", kinds)),
    }


def _rollouts(one: str) -> Json:
    step = _object(
        {
            "percentage": {"type": "number", "minimum": 0.1, "maximum": 100},
            "hold_seconds": {"type": "number", "minimum": 0},
            "needs_pass": {"type": "boolean", "description": "go on only when the flag's guard says pass"},
        },
        required=["percentage"],
    )
    start = {"variant": _TEXT, "steps": {"type": "array", "items": step, "description": "percentages rising"}}
    moved = {"oneOf": [_ref("Changed"), _object({"changed": {"const": True}, "ramp": _ref("Ramp")})]}
    shown = {"source": _TEXT, "source_version": _COUNT, "version": _COUNT, "changes": _list("Difference")}
    chosen = {"flags": _texts() | {"description": "these alone"}, "source_version": _COUNT}
    promoting = _acts("Define here what the environment before defines", chosen, seen=True)
    promoting["responses"] |= _refused(428)
    preview = _reads("What a promotion would change now", _object(shown), 401, 403, 404, 422)
    ramp = _object({"ramp": {"anyOf": [_ref("Ramp"), {"type": "null"}]}})
    return {
        f"{one}/flags/{{key}}/ramp": _at(
            "environment",
            "key",
            get=_reads("The flag's newest ramp, also one that has ended", ramp),
            post=_acts("Serve a variant to a growing share", start, ["variant", "steps"]),
        ),
        f"{one}/flags/{{key}}/ramp/{{verb}}": _at(
            "environment", "key", "verb", post=_acts("pause, resume, back, finish, abort or reopen", {}, answer=moved)
        ),
        f"{one}/promotion": _at("environment", get=preview, post=promoting),
    }


def _history(one: str) -> Json:
    versions = _object({"versions": _list("Version"), "next": _OPTIONAL_COUNT})
    revisions = _object({"revisions": _list("Revision"), "next": _OPTIONAL_COUNT})
    before = {"name": "before", "in": "query", "schema": _COUNT, "description": "`next` of the page before"}
    marked = _object({"changed": {"type": "boolean"}, "environment": _TEXT, "known_good": _COUNT})
    number = f"{one}/versions/{{number}}"
    return {
        f"{one}/versions": _at("environment", get=_reads("Versions, newest first", versions, parameters=[before])),
        f"{one}/revisions": _at("environment", get=_reads("Revisions, newest first", revisions, parameters=[before])),
        number: _at("environment", "number", get=_reads("A version of any age, with its flags", _ref("Version"))),
        f"{number}/revert": _at("environment", "number", post=_acts("Serve it again, as a new version", {}, seen=True)),
        f"{number}/known-good": _at(
            "environment", "number", post=_acts("Mark it known-good: an emergency restores it", {}, answer=marked)
        ),
    }


def _rollback(root: str) -> Json:
    drilled = _object({"changed": {"const": False}, "drill": _ref("Drill")})
    rehearse = _acts("Rehearse it: everything but the write, timed and recorded", {}, answer=drilled)
    return {
        root: _at("environment", get=_reads("The plans, each with its preview", _object({"plans": _list("Plan")}))),
        f"{root}/{{plan}}": _at(
            "environment",
            "plan",
            get=_reads("What a plan would change now", _ref("Plan")),
            post=_acts("Run it on whatever is served now; twice is the same as once", {}),
        ),
        f"{root}/{{plan}}/drill": _at("environment", "plan", post=rehearse),
    }


def schemas() -> Json:
    """What the answers are made of."""
    anything: Json = {"type": "object", "additionalProperties": True}
    layers, yes = {"type": "array", "items": anything}, {"type": "boolean"}
    sides = {"before": {"type": ["string", "null"]}, "after": {"type": ["string", "null"]}}
    signed = {"author": _TEXT, "reason": _TEXT, "at": _MOMENT}
    version = {"version": _COUNT, "kind": _TEXT, **signed, "set_hash": _TEXT, "known_good": yes}
    return {
        "Environment": _object(
            {
                "key": _TEXT,
                "name": _TEXT,
                "is_production": yes,
                "reason_required": yes,
                "revision": _COUNT,
                "version": _COUNT,
                "known_good": _OPTIONAL_COUNT,
                "layers": layers,
                "served": anything,
            }
        ),
        "Version": _object({**version, "flags": anything}, required=list(version)),
        "Revision": _object(
            {"revision": _COUNT, "version": _COUNT, "cause": _TEXT, **signed, "summary": layers, "layers": layers}
        ),
        "Difference": _object({"flag": _TEXT, **sides, "fields": anything}),
        "Changed": _object(
            {
                "changed": yes,
                "environment": _TEXT,
                "version": _COUNT,
                "revision": _COUNT,
                "summary": layers,
                "message": _TEXT,
                "proposal": anything,
            },
            required=["changed"],
        ),
        **_plan_schemas(layers),
        "Ramp": _ramp_schema(layers),
        "Deploy": _object(
            {
                "id": _COUNT,
                **dict.fromkeys(("environment", "service", "version", "link", "who", "told_by"), _TEXT),
                "at": _MOMENT,
            }
        ),
    }


def _plan_schemas(layers: Json) -> Json:
    """Plans, what each would change now, and their rehearsals."""
    preview = {
        "version": _COUNT,
        "restores": _OPTIONAL_COUNT,
        "changes": _list("Difference"),
        "ends_ramps": _texts(),
        "stays": layers,
    }
    plan = {
        "plan": _TEXT,
        "name": _TEXT,
        "effect": _TEXT,
        "own": {"type": "boolean"},
        "problem": _TEXT,
        "values": {"type": ["object", "null"], "additionalProperties": _TEXT},
        "last_drill": {"anyOf": [_ref("Drill"), {"type": "null"}]},
        "preview": {"anyOf": [_object(preview), {"type": "null"}]},
    }
    return {
        "Plan": _object(plan),
        "Drill": _object(
            {"at": _MOMENT, "by": _TEXT, "seconds": {"type": "number"}, "would_change": _COUNT, "problem": _TEXT}
        ),
    }


def _ramp_schema(layers: Json) -> Json:
    return _object(
        {
            "flag": _TEXT,
            "control": _TEXT,
            "variant": _TEXT,
            "state": _TEXT,
            "step": _COUNT,
            "percentage": {"type": "number"},
            "steps": layers,
            "paused_why": _TEXT,
            "author": _TEXT,
            "reason": _TEXT,
            "started_at": _MOMENT,
            "ended_at": {"type": ["string", "null"], "format": "date-time"},
        }
    )


def _at(*names: str, **operations: Json) -> Json:
    return {"parameters": [_path(name, _COUNT if name == "number" else _TEXT) for name in names], **operations}


def _reads(summary: str, schema: Json, *refusals: int, **more: Any) -> Json:
    return _operation(summary, _answers(200, schema, *(refusals or (401, 403, 404))), **more, **_TOKEN)


def _acts(
    summary: str, fields: Json, required: list[str] | None = None, *, seen: bool = False, answer: Json | None = None
) -> Json:
    members = {"reason": _TEXT | {"maxLength": 1000, "description": "why, in at least 3 words"}, **fields}
    expected = {"expected_version": _COUNT} if seen else {}
    body = _object({**members, **expected}, required=required or []) | {"additionalProperties": False}
    content = {"content": {"application/json": {"schema": body}}}
    answers = _answers(200, answer or _ref("Changed"), *_ACTING)
    waits = {"content": {"application/json": {"schema": _ref("Changed")}}}
    answers["202"] = {"description": "It waits for a second person; nothing is served yet.", **waits}
    return _operation(summary, answers, headers={**_ONCE, **(_SEEN if seen else {})}, requestBody=content, **_TOKEN)


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _texts() -> Json:
    return {"type": "array", "items": _TEXT}
