"""A target's connection options: stored sealed, validated, and handed to the worker."""

import json
from typing import Any

import pytest

from connections.models import Environment
from probes.models import Location, Target
from probes.specification import message_of, specify
from probes.targets import TargetError, create_target, update_target

pytestmark = pytest.mark.django_db

OPTIONS = {"address": "10.1.2.3:8443", "proxy": "http://user:hidden-word@proxy:3128", "family": "ipv4"}


@pytest.fixture(autouse=True)
def _places() -> None:
    Location.objects.get_or_create(key="local", defaults={"name": "This machine"})
    Environment.objects.get_or_create(key="staging", defaults={"name": "Staging", "position": 2})


def create(**credentials: Any) -> Target:
    return create_target(
        by="Alice", environment="staging", name="Chat", url="wss://chat.example.org/ws", credentials=credentials
    )


def test_a_worker_gets_the_options_and_the_queue_only_their_seal() -> None:
    """A proxy's password is a secret like any other."""
    target = create(connection=OPTIONS)
    assert "hidden-word" not in json.dumps(message_of(target))
    assert specify(target).connection.to_json() == OPTIONS


def test_options_change_with_the_other_credentials() -> None:
    """And leave with them."""
    target = create(connection=OPTIONS)
    update_target(target, by="Alice", credentials={"connection": {"family": "ipv6"}})
    target.refresh_from_db()
    assert specify(target).connection.to_json() == {"family": "ipv6"}


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"connection": "ipv4"}, "connection"),
        ({"connection": {"family": "ipv5"}}, "family: 'ipv5'"),
        ({"connection": {"proxy": "ftp://proxy"}}, "proxy: must begin with http://"),
        ({"connection": {"client_pem": "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----"}}, "client_pem"),
        ({"ca_pem": "no certificate"}, "ca_pem: holds no certificates"),
        ({"proxy": "http://proxy"}, "connection"),
    ],
)
def test_options_that_cannot_be_used_are_refused_when_saved(credentials: dict[str, Any], words: str) -> None:
    """Not at three in the morning."""
    with pytest.raises(TargetError) as caught:
        create(**credentials)
    assert caught.value.field == "credentials"
    assert words in str(caught.value)
