"""`manage.py flags promote`."""

import pytest
from django.core.management import CommandError, call_command

from connections.models import Environment
from tests.dashboard.test_flags_page import change, served

pytestmark = pytest.mark.django_db
WHY = "--reason=healthy in staging"
HERE = ("flags", "promote", "--environment=production")


def test_a_promotion_is_shown_and_made(capsys: pytest.CaptureFixture[str]) -> None:
    change("client-ack", "off")
    change("degraded-mode", "off")
    call_command(*HERE, "--dry-run")
    shown = capsys.readouterr().out
    assert "production, version 3 of staging:\n  client-ack: on -> off\n  degraded-mode: on -> off" in shown
    assert served("production", "client-ack") == "on"
    call_command(*HERE, "client-ack", WHY)
    assert "production serves version 2, revision 2." in capsys.readouterr().out
    assert (served("production", "client-ack"), served("production", "degraded-mode")) == ("off", "on")
    call_command(*HERE, "client-ack", WHY)
    assert "already so" in capsys.readouterr().out


def test_a_promotion_that_cannot_be_made_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    change("client-ack", "off")
    with pytest.raises(CommandError, match="A reason is missing"):
        call_command(*HERE)
    with pytest.raises(CommandError, match="it comes first"):
        call_command("flags", "promote", "--environment=development", WHY)
    with pytest.raises(CommandError, match="There is no flag 'none'"):
        call_command(*HERE, "none", WHY)
    Environment.objects.filter(key="production").update(four_eyes=True)
    with pytest.raises(CommandError, match="two people approve this in production"):
        call_command(*HERE, WHY)
    assert served("production", "client-ack") == "on"
