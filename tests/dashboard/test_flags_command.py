"""`manage.py flags`: an environment's flags as a file, out and in."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from connections.flags import reading
from connections.flags.verifying import verify
from connections.models import Version
from dashboard.management.commands.flags import Command
from tests.dashboard.test_flags_page import change

pytestmark = pytest.mark.django_db
WHY = "--reason=as the file says"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    file = tmp_path / "flags.yaml"
    call_command("flags", "export", "--environment=staging", str(file))
    return file


def edited(file: Path, old: str, new: str) -> str:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return str(file)


def test_an_export_goes_to_standard_output_or_a_file_as_the_same_bytes(exported: Path, capsys: Captured) -> None:
    call_command("flags", "export", "--environment=staging")
    assert capsys.readouterr().out.encode() == exported.read_bytes()
    change("client-ack", "off")
    call_command("flags", "export", "--environment=staging", "--at-version=1")
    assert capsys.readouterr().out.encode() == exported.read_bytes()


def test_a_diff_ends_as_diff_does(exported: Path, capsys: Captured) -> None:
    call_command("flags", "diff", "--environment=staging", str(exported))
    assert "already so" in capsys.readouterr().out
    file = edited(exported, "legacy: open", "legacy: close")
    with pytest.raises(SystemExit) as ended:
        call_command("flags", "diff", "--environment=staging", file)
    assert ended.value.code == 1
    assert "readiness-parameters: default -> default" in capsys.readouterr().out


def test_an_import_shows_what_it_does_and_is_one_version(exported: Path, capsys: Captured) -> None:
    file = edited(exported, 'defaultVariant: "on"', "defaultVariant: off")
    call_command("flags", "import", "--environment=staging", file, "--dry-run")
    shown = capsys.readouterr().out
    assert "  adaptive-timing: on -> off\n" in shown
    assert shown.endswith("Dry run: nothing was changed.\n")
    assert Version.objects.filter(environment="staging").count() == 1
    call_command("flags", "import", "--environment=staging", file, WHY)
    assert capsys.readouterr().out.endswith("staging serves version 2, revision 2.\n")
    call_command("flags", "import", "--environment=staging", file)
    assert "already so" in capsys.readouterr().out


def test_flags_that_a_file_does_not_name_go_unless_they_are_kept(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"flags": {"beta": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}}}')
    call_command("flags", "import", "--environment=staging", str(file), WHY, "--keep-others")
    assert len(reading.flag_set("staging").definitions) == 7
    call_command("flags", "import", "--environment=staging", str(file), WHY)
    assert list(reading.flag_set("staging").definitions) == ["beta"]
    assert "client-ack: on -> absent" in capsys.readouterr().out


def test_a_bad_file_names_line_and_field_and_changes_nothing(exported: Path) -> None:
    file = edited(exported, 'defaultVariant: "on"', "defaultVariant: maybe")
    with pytest.raises(CommandError, match=r"flags.yaml, line 8, flags.adaptive-timing.defaultVariant: "):
        call_command("flags", "import", "--environment=staging", file, WHY)
    exported.write_bytes(b"format: readywire-flags-1\nflags: \xff")
    with pytest.raises(CommandError, match="line 2: no UTF-8"):
        call_command("flags", "import", "--environment=staging", file, WHY)
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("flags", "import", "--environment=staging", "/nowhere.yaml", WHY)
    assert Version.objects.filter(environment="staging").count() == 1


def test_a_flag_does_not_become_one_of_another_type(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"flags": {\n"beta": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}}}')
    call_command("flags", "import", "--environment=staging", str(file), WHY, "--keep-others")
    file.write_text(file.read_text().replace("true", "1"))
    with pytest.raises(
        CommandError, match=r"flags.json, line 2, flags.beta: it is a flag of type boolean, not integer"
    ):
        call_command("flags", "import", "--environment=staging", str(file), WHY, "--keep-others")


def test_an_import_asks_for_a_reason_and_for_the_version_that_was_meant(exported: Path) -> None:
    file = edited(exported, 'defaultVariant: "on"', "defaultVariant: off")
    with pytest.raises(CommandError, match="A reason is missing"):
        call_command("flags", "import", "--environment=staging", file)
    change("client-ack", "off")
    with pytest.raises(CommandError, match="you saw version 1, version 2 is served now"):
        call_command("flags", "import", "--environment=staging", file, WHY, "--expected-version=1")


def test_a_flag_is_killed_lifted_and_ramped(capsys: Captured) -> None:
    change("client-ack", "off")
    where = ("client-ack", "--environment=staging", "--reason=it does harm here")
    call_command("flags", "kill", *where, "--for=30m")
    assert reading.flag_set("staging").served["client-ack"]["defaultVariant"] == "on"
    call_command("flags", "lift", *where)
    call_command("flags", "ramp", "start", *where, "--variant=on", "--steps=10,50,100", "--hold=2h")
    call_command("flags", "ramp", "pause", *where)
    assert capsys.readouterr().out.splitlines() == [
        "staging serves version 2, revision 3.",
        "staging serves version 2, revision 4.",
        "staging serves version 2, revision 5.",
        "staging: the ramp of client-ack is paused, 10 %.",
    ]
    call_command("flags", "ramp", "finish", *where)
    assert reading.flag_set("staging").definitions["client-ack"]["defaultVariant"] == "on"
    assert verify().faults == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("kill", "no-flag"), "There is no flag 'no-flag' here"),
        (("kill", "client-ack", "--for=soon"), "--for: 'soon' is no span"),
        (("lift", "client-ack"), "No kill lies over client-ack"),
        (("ramp", "abort", "client-ack"), "client-ack"),
        (("ramp", "start", "client-ack"), "Say what to ramp"),
        (("ramp", "start", "client-ack", "--variant=off", "--steps=1,x"), "'1,x' are no percentages"),
        (("ramp", "start", "client-ack", "--variant=off", "--steps=50,10"), "."),
    ],
)
def test_what_cannot_be_laid_is_said(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("flags", *arguments, "--environment=staging", WHY)
    assert told in str(error.value)
    assert reading.environment("staging").revision == 1


@pytest.mark.django_db(transaction=True)  # a command closes its connections when it ends
def test_bad_usage_costs_one_line(capsys: Captured) -> None:
    for arguments in ([], ["exprot"], ["export"], ["export", "--environment", "nowhere"]):
        with pytest.raises(SystemExit) as ended:
            Command().run_from_argv(["manage.py", "flags", *arguments])
        assert ended.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
