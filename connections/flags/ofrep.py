"""The OpenFeature Remote Evaluation Protocol as data: requests in, answers out. Pure.

Source: OFREP OpenAPI 0.3.0 (open-feature/protocol). Where real clients are stricter than the document, the clients are
followed: `variant` and `reason` stand in every answer and `errorDetails` in every failure (the Python client raises
KeyError without), reasons are the SDKs' names, a float flag's whole numbers keep their ".0", metadata is flat, and
Retry-After is a whole number of seconds.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connections.flags.evaluation import ErrorCode, Evaluation, Reason, evaluate

MAX_BODY_BYTES = 256 * 1024
INACTIVITY_SECONDS = 120
_EXACT = 2**53
FLAG_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
"""Clients put keys into addresses as they are: other characters would break there."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: `body` None has none (304)."""

    status: int
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


class BadRequest(ValueError):  # noqa: N818 (named as HTTP names it)
    """A request body that is no evaluation request: the code and what is wrong with it."""

    def __init__(self, code: ErrorCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def read_context(body: bytes) -> dict[str, Any]:
    """The evaluation context of a request body; an empty body is an empty context. Raises BadRequest."""
    if not body.strip():
        return {}
    try:
        request = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        details = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest(ErrorCode.PARSE_ERROR, f"The body is not JSON: {details}") from None
    if not isinstance(request, dict):
        raise BadRequest(ErrorCode.PARSE_ERROR, 'The body is an object: {"context": {...}}')
    context = request.get("context")
    if context is None:
        return {}
    if not isinstance(context, dict):
        raise BadRequest(ErrorCode.INVALID_CONTEXT, "context is an object")
    if not isinstance(context.get("targetingKey", ""), str):
        raise BadRequest(ErrorCode.INVALID_CONTEXT, "context.targetingKey is text")
    return context


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def single(flags: Mapping[str, Any], key: str, context: Mapping[str, Any]) -> Answer:
    """The answer for one flag: 200, 404 for an unknown flag, 400 for what cannot be evaluated."""
    return answered(evaluated(flags, key, context), flags)


def evaluated(flags: Mapping[str, Any], key: str, context: Mapping[str, Any]) -> Evaluation:
    """One flag for a client; a key that none may have is an unknown flag."""
    if FLAG_KEY.fullmatch(key):
        return evaluate(flags, key, context)
    details = "a flag key has letters, digits, . _ -"
    return Evaluation(key[:100], None, None, Reason.ERROR, ErrorCode.FLAG_NOT_FOUND, details)


def answered(evaluation: Evaluation, flags: Mapping[str, Any]) -> Answer:
    """The answer that carries an evaluation."""
    status = {None: 200, ErrorCode.FLAG_NOT_FOUND: 404}.get(evaluation.error_code, 400)
    return Answer(status, dump(as_json(evaluation, flags)))


def bulk(
    flags: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    revision: int,
    stream: str,
    metadata: Mapping[str, Any],
    prepared: Mapping[str, bytes] | None = None,
) -> Answer:
    """The answer of `/ofrep/v1/evaluate/flags` with its strong ETag, which covers every byte of the body.

    `stream`: path and query of the caller's event stream; it is in the ETag too, so that a caller with another key
    never keeps a dead address through a 304. `prepared`: answers, as JSON, that are the same for everybody.
    """
    ready = prepared or {}
    answers = [ready.get(key) or dump(as_json(evaluate(flags, key, context), flags)) for key in sorted(flags)]
    streams = [{"type": "sse", "endpoint": {"requestUri": stream}, "inactivityDelaySec": INACTIVITY_SECONDS}]
    rest = dump({"metadata": dict(metadata), "eventStreams": streams})
    body = b'{"flags":[' + b",".join(answers) + b"]," + rest[1:]
    return Answer(200, body, {"ETag": f'"{revision}-{hashlib.sha256(body).hexdigest()[:16]}"'})


def depends_on_context(flags: Mapping[str, Any]) -> bool:
    """Whether two subjects may get different answers; if not, one answer serves everybody."""
    return any(definition.get("targeting") for definition in flags.values())


def unless_matched(answer: Answer, if_none_match: str | None) -> Answer:
    """The answer, or 304 where the client already has it (RFC 9110, 13.1.2: weak comparison, a list, or *)."""
    if not if_none_match or answer.status != 200:
        return answer
    held = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return Answer(304, None, answer.headers) if held & {answer.headers["ETag"], "*"} else answer


def as_json(evaluation: Evaluation, flags: Mapping[str, Any]) -> dict[str, Any]:
    """One flag's success or failure. No `value`: the caller's own default holds."""
    if evaluation.error_code is not None:
        return _failure(evaluation.key, evaluation.error_code, evaluation.error_details or "")
    answer: dict[str, Any] = {
        "key": evaluation.key,
        "reason": str(evaluation.reason),
        "variant": evaluation.variant,
        "metadata": dict(evaluation.metadata),
    }
    if evaluation.variant is not None:
        answer["value"] = _typed(evaluation.value, flags[evaluation.key]["variants"])
    return answer


def failure(code: ErrorCode, details: str, key: str | None = None) -> dict[str, Any]:
    """The body of a refused request: the same shape whatever the status."""
    return _failure(key, code, details)


def retry_after(seconds: float) -> str:
    """A Retry-After header that every client reads: whole seconds, at least one. A date would stop clients for long."""
    return str(max(1, math.ceil(seconds)))


def dump(body: Any) -> bytes:
    """JSON bytes; Python writes a float as 1.0, never as 1."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _typed(value: Any, variants: Mapping[str, Any]) -> Any:
    """Whole numbers of a flag with any fractional variant are floats too: typed clients refuse a 1 for a 1.0."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _EXACT:
        return value
    return float(value) if any(isinstance(variant, float) for variant in variants.values()) else value


def _failure(key: str | None, code: ErrorCode, details: str) -> dict[str, Any]:
    answer = {"reason": "ERROR", "variant": None, "errorCode": str(code), "errorDetails": details}
    return answer if key is None else {"key": key, **answer}
