"""Credentials at rest and in the queue."""

import pytest
from pytest_django import Settings

from connections.models import Environment
from probes.credentials import CredentialsError, seal, unseal
from probes.engine.script import Script
from probes.models import Target
from probes.specification import message_of, read_message, specify

SECRETS = {"token": "a-very-secret-token", "headers": {"X-Tenant": "blue"}}


def test_sealed_credentials_open_again_and_show_nothing() -> None:
    sealed = seal(SECRETS)
    assert unseal(sealed) == SECRETS
    assert "secret" not in sealed
    assert "blue" not in sealed


def test_no_credentials_need_no_sealing() -> None:
    assert seal({}) == ""
    assert unseal("") == {}


def test_another_secret_key_does_not_open_them(settings: Settings) -> None:
    """The message names the cure, and shows nothing of the credentials."""
    sealed = seal(SECRETS)
    settings.SECRET_KEY = "another"
    with pytest.raises(CredentialsError, match="same SECRET_KEY"):
        unseal(sealed)


def test_altered_credentials_do_not_open() -> None:
    sealed = seal(SECRETS)
    with pytest.raises(CredentialsError):
        unseal(sealed[:-8] + "AAAAAAA=")


def stored_target(credentials: str) -> Target:
    return Target(
        pk=7,
        slug="chat",
        environment=Environment(key="staging"),
        url="ws://127.0.0.1:1/ws",
        script=Script(headers={"X-Kind": "probe"}).to_json(),
        credentials=credentials,
        deadline_ms=1500,
    )


def test_a_message_carries_a_target_with_its_credentials_still_sealed() -> None:
    message = message_of(stored_target(seal(SECRETS)))
    assert "secret" not in str(message)
    spec = read_message(message)
    assert (spec.target_id, spec.slug, spec.url, spec.deadline_s) == (7, "chat", "ws://127.0.0.1:1/ws", 1.5)
    assert spec.token == "a-very-secret-token"
    assert spec.script.headers == {"X-Kind": "probe"}
    assert spec.headers == {"X-Tenant": "blue"}


def test_a_target_without_credentials_talks_as_a_guest() -> None:
    spec = specify(stored_target(""))
    assert spec.token == ""
    assert spec.script == Script(headers={"X-Kind": "probe"})
