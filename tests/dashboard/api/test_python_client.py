"""The official Python OpenFeature client with its OFREP provider reads flags from the running product."""

from collections.abc import Callable, Iterator

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from tests.dashboard.api.conftest import Web
from tests.support.waiting import wait_until

SOMEBODY = EvaluationContext("somebody")


@pytest.fixture
def connect() -> Iterator[Callable[[Web, str], OpenFeatureClient]]:
    def client(web: Web, key: str) -> OpenFeatureClient:
        provider = OFREPProvider(web.url, headers_factory=lambda: {"Authorization": f"Bearer {key}"})
        api.set_provider(provider)
        return api.get_client()

    yield client
    api.clear_providers()


Connect = Callable[[Web, str], OpenFeatureClient]


def test_it_reads_every_type_that_the_product_brings(web: Web, connect: Connect) -> None:
    client = connect(web, web.key("production"))
    assert client.get_boolean_value("dependency-validation", False, SOMEBODY) is True
    details = client.get_string_details("readiness-strategy", "fallback", SOMEBODY)
    assert (details.value, details.variant, details.reason) == ("dependency_gate", "dependency_gate", Reason.STATIC)
    assert details.flag_metadata["safeVariant"] == "dependency_gate"
    parameters = client.get_object_value("readiness-parameters", {}, SOMEBODY)
    assert isinstance(parameters, dict)
    assert parameters["dependency_gate"] == {"timeout_seconds": 12}


def test_it_sends_no_context_at_all_without_trouble(web: Web, connect: Connect) -> None:
    assert connect(web, web.key("production")).get_boolean_value("client-ack", False) is True


@pytest.mark.parametrize("key", ["absent", "a/b", "..", "a?b", "a#b"])
def test_an_unknown_flag_is_its_default_and_flag_not_found(web: Web, connect: Connect, key: str) -> None:
    """The client does not escape keys: `a?b` and `a#b` ask for `a`, and `..` leaves the path."""
    details = connect(web, web.key("production")).get_string_details(key, "fallback", SOMEBODY)
    assert details.value == "fallback"
    assert details.error_code in (ErrorCode.FLAG_NOT_FOUND, ErrorCode.GENERAL, ErrorCode.TYPE_MISMATCH)


def test_a_wrong_key_is_the_default_with_an_error(web: Web, connect: Connect) -> None:
    details = connect(web, "rws_wrong").get_boolean_details("client-ack", False, SOMEBODY)
    assert (details.value, details.error_code) == (False, ErrorCode.GENERAL)


def test_floats_disabled_flags_and_splits_are_read_as_they_are_meant(
    own_web: Callable[..., Web], connect: Connect
) -> None:
    """A 1 for a 1.0, a missing `variant` or a reason of our own would each serve the default with an error."""
    web = own_web()
    ratio = {"state": "ENABLED", "variants": {"whole": 1, "half": 0.5}, "defaultVariant": "whole"}
    off = {"state": "DISABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    split = {**off, "state": "ENABLED", "targeting": {"fractional": [["on", 100], ["off", 0]]}}
    added = {"ratio": ratio, "switched.off": off, "split": split}
    web.control(f"define('staging', {added!r}, expected_version=1, **who)")
    client = connect(web, web.key("staging"))
    wait_until(lambda: client.get_float_value("ratio", -1.0, SOMEBODY) == 1.0)
    assert client.get_float_details("ratio", -1.0, SOMEBODY).error_code is None
    disabled = client.get_boolean_details("switched.off", True, SOMEBODY)
    assert (disabled.value, disabled.reason, disabled.error_code) == (True, Reason.DISABLED, None)
    drawn = client.get_boolean_details("split", False, SOMEBODY)
    assert (drawn.value, drawn.reason, drawn.variant) == (True, Reason.SPLIT, "on")


def test_too_many_requests_pause_it_for_the_seconds_it_is_told(own_web: Callable[..., Web], connect: Connect) -> None:
    """Retry-After as a date raises ValueError inside this client: the pause would never end."""
    web = own_web(SERVER_KEY_REQUESTS_PER_SECOND="0.01")
    client = connect(web, web.key("staging"))
    assert client.get_boolean_details("client-ack", False, SOMEBODY).error_code is None
    refused = client.get_boolean_details("client-ack", False, SOMEBODY)
    assert "Rate limited, retry after:" in (refused.error_message or "")
    paused = client.get_boolean_details("client-ack", False, SOMEBODY)
    assert "paused" in (paused.error_message or "")


def test_it_sees_a_change(web: Web, connect: Connect) -> None:
    client = connect(web, web.key("staging"))
    before = client.get_string_value("readiness-strategy", "", SOMEBODY)
    web.toggle("staging")
    wait_until(lambda: client.get_string_value("readiness-strategy", before, SOMEBODY) != before)
