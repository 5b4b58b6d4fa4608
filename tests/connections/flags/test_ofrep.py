"""OFREP answers are shaped so that the strictest real client reads them."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags import ofrep
from connections.flags.evaluation import ErrorCode


def flag(variants: dict[str, Any], default: str | None, **more: Any) -> dict[str, Any]:
    return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}


FLAGS = {
    "float": flag({"one": 1, "half": 0.5}, "one"),
    "whole": flag({"one": 1, "two": 2}, "two"),
    "switch": flag({"on": True, "off": False}, "on"),
    "mixed": flag({"on": True, "half": 0.5}, "on"),
    "off": flag({"on": True}, "on", state="DISABLED"),
    "undecided": flag({"on": True}, None),
    "broken": flag({"on": True}, "on", targeting={"nonsense": []}),
    "described": flag({"on": True}, "on", metadata={"text": "why", "nested": {"a": 1}}),
}


def answered(key: str, context: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    answer = ofrep.single(FLAGS, key, context or {})
    assert answer.body is not None
    return answer.status, json.loads(answer.body)


def test_a_success_names_value_variant_and_reason() -> None:
    status, body = answered("whole")
    assert status == 200
    assert body == {"key": "whole", "value": 2, "variant": "two", "reason": "STATIC", "metadata": {}}


def test_whole_numbers_of_a_float_flag_keep_their_point() -> None:
    """The Python client checks isinstance(value, float): a 1 would be served as the caller's default."""
    answer = ofrep.single(FLAGS, "float", {})
    assert answer.body is not None
    assert b'"value":1.0' in answer.body


def test_booleans_never_become_numbers() -> None:
    assert answered("mixed")[1]["value"] is True


@pytest.mark.parametrize("key", ["off", "undecided"])
def test_no_value_leaves_the_default_to_the_caller_but_variant_and_reason_stand(key: str) -> None:
    """Clients read `variant` and `reason` of every success: absent, the Python client raises KeyError."""
    status, body = answered(key)
    assert status == 200
    assert "value" not in body
    assert body["variant"] is None
    assert body["reason"] in ("DISABLED", "DEFAULT")


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("absent", 404, "FLAG_NOT_FOUND"), ("a/b", 404, "FLAG_NOT_FOUND"), ("broken", 400, "PARSE_ERROR")],
)
def test_a_failure_names_code_details_variant_and_reason(key: str, status: int, code: str) -> None:
    found, body = answered(key)
    assert (found, body["errorCode"], body["key"]) == (status, code, key)
    assert body["errorDetails"]
    assert (body["variant"], body["reason"]) == (None, "ERROR")


def test_metadata_is_flat() -> None:
    assert answered("described")[1]["metadata"] == {"text": "why"}


def bulk(revision: int = 3, stream: str = "/events?token=a") -> ofrep.Answer:
    return ofrep.bulk(FLAGS, {}, revision=revision, stream=stream, metadata={"revision": revision})


def test_bulk_carries_every_flag_and_where_to_listen() -> None:
    body = json.loads(bulk().body or b"")
    assert [one["key"] for one in body["flags"]] == sorted(FLAGS)
    assert body["eventStreams"] == [
        {"type": "sse", "endpoint": {"requestUri": "/events?token=a"}, "inactivityDelaySec": 120}
    ]


def test_the_etag_is_strong_and_changes_with_revision_and_credential() -> None:
    """A dead stream address must not survive through a 304."""
    tags = {bulk().headers["ETag"], bulk(revision=4).headers["ETag"], bulk(stream="/events?token=b").headers["ETag"]}
    assert len(tags) == 3
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
    assert bulk().headers["ETag"] == bulk().headers["ETag"]


@pytest.mark.parametrize("header", ["{tag}", 'W/{tag}, "x"', '"x" , {tag}', "*"])
def test_what_the_client_holds_is_not_sent_again(header: str) -> None:
    answer = bulk()
    again = ofrep.unless_matched(answer, header.format(tag=answer.headers["ETag"]))
    assert (again.status, again.body, again.headers["ETag"]) == (304, None, answer.headers["ETag"])


@pytest.mark.parametrize("header", [None, "", '"other"'])
def test_anything_else_is_sent(header: str | None) -> None:
    assert ofrep.unless_matched(bulk(), header).status == 200


@pytest.mark.parametrize(
    ("body", "context"),
    [
        (b"", {}),
        (b"{}", {}),
        (b'{"context": null}', {}),
        (b'{"context": {"targetingKey": "a", "n": 1}}', {"targetingKey": "a", "n": 1}),
    ],
)
def test_contexts_are_read(body: bytes, context: dict[str, Any]) -> None:
    assert ofrep.read_context(body) == context


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", ErrorCode.PARSE_ERROR),
        (b"\xff", ErrorCode.PARSE_ERROR),
        (b"[]", ErrorCode.PARSE_ERROR),
        (b"[" * 100_000, ErrorCode.PARSE_ERROR),
        (b'{"context": {"n": NaN}}', ErrorCode.PARSE_ERROR),
        (b'{"context": {"n": ' + b"9" * 5000 + b"}}", ErrorCode.PARSE_ERROR),
        (b'{"context": []}', ErrorCode.INVALID_CONTEXT),
        (b'{"context": {"targetingKey": 7}}', ErrorCode.INVALID_CONTEXT),
    ],
)
def test_bodies_that_are_no_request_are_refused_with_a_code(body: bytes, code: ErrorCode) -> None:
    with pytest.raises(ofrep.BadRequest) as refused:
        ofrep.read_context(body)
    assert refused.value.code == code
    assert refused.value.details


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with suppress(ofrep.BadRequest):
        assert isinstance(ofrep.read_context(body), dict)


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (90.0, "90")])
def test_retry_after_is_a_whole_number_of_seconds(seconds: float, header: str) -> None:
    """As a date it raises ValueError in the Python client and pauses the Node client for half an hour."""
    assert ofrep.retry_after(seconds) == header
