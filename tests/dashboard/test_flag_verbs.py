"""`manage.py flags kill|lift|ramp|promote`."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from connections.flags import reading
from connections.models import Environment, Overlay, Ramp, Revision
from tests.dashboard.test_flags_page import change, served

pytestmark = pytest.mark.django_db
FLAG = "readiness-strategy"
WHY = "chat answers vanish"


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `manage.py flags ...` in staging and returns what it printed."""

    def run(*words: str, environment: str = "staging", reason: str = WHY) -> str:
        call_command("flags", *words, "--environment", environment, "--reason", reason, "--author", "Rosa")
        return capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")

    return run


def test_a_flag_is_killed_for_a_while_and_lifted(shell: Any) -> None:
    change(FLAG, "immediate")
    told = shell("kill", FLAG, "--minutes", "30")
    assert told == f"staging serves revision 3: {FLAG} killed: immediate → dependency_gate.\n"
    overlay = Overlay.objects.get()
    assert (overlay.author, overlay.reason, overlay.expires_at is not None) == ("Rosa", WHY, True)
    assert shell("lift", FLAG).startswith("staging serves revision 4: ")
    assert not reading.flag_set("staging").layers


def test_a_ramp_is_led_from_a_shell(shell: Any) -> None:
    steps = ("--step", "10 % for 5 min", "--step", "50 % for 5 min if the guard passes")
    assert "ramp to ready_ack started, 10 %" in shell("ramp", "start", FLAG, "--variant", "ready_ack", *steps)
    assert Ramp.objects.get().steps[1] == {"percentage": 50.0, "hold_seconds": 300.0, "needs_pass": True}
    assert shell("ramp", "pause", FLAG) == f"staging: the ramp of {FLAG} is paused at 10 %.\n"
    assert shell("ramp", "resume", FLAG) == f"staging: the ramp of {FLAG} is running at 10 %.\n"
    assert "ended at 10 %" in shell("ramp", "abort", FLAG)
    shell("ramp", "reopen", FLAG)
    assert "completed, everybody" in shell("ramp", "finish", FLAG)
    assert served("staging", FLAG) == "ready_ack"


def test_a_promotion_is_shown_and_made(shell: Any) -> None:
    change("client-ack", "off")
    shown = shell("promote", "--dry-run", environment="production", reason="")
    assert "client-ack: on -> off" in shown
    assert served("production", "client-ack") == "on"
    assert "production serves revision 2" in shell("promote", "client-ack", environment="production")
    assert "already so" in shell("promote", environment="production")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("kill", "none"), "There is no flag 'none' here."),
        (("kill", FLAG, "--minutes", "0"), "--minutes is 1 or more."),
        (("lift", FLAG), "No kill lies over"),
        (("ramp", "start", FLAG), "Name the variant"),
        (("ramp", "start", FLAG, "--variant", "ready_ack", "--step", "ten"), "Line 1 is not a step"),
        (("ramp", "pause", FLAG, "--step", "10"), "only start a ramp"),
        (("ramp", "pause", FLAG), "No ramp of"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(shell: Any, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        shell(*words)
    assert Revision.objects.filter(environment="staging").count() == 1


def test_a_shell_proposes_where_two_people_are_asked_for(shell: Any) -> None:
    Environment.objects.filter(key="staging").update(four_eyes=True)
    with pytest.raises(CommandError, match="two people approve this in staging"):
        shell("ramp", "start", FLAG, "--variant", "ready_ack", "--step", "10 % for 5 min")
    shell("kill", FLAG)
    assert not Ramp.objects.exists()
