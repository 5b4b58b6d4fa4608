"""Rolling back and making keys by hand, with nothing but the database running."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import timezone

from connections.flags import control, keys, reading
from connections.models import AuditRecord, ServerKey, Version
from dashboard.env import BASE_DIR
from dashboard.management.commands.rollback import Command as Rollback
from dashboard.management.commands.server_key import Command as ServerKeyCommand
from dashboard.management.usage import OneLineCommand

# A command closes its connections when it ends: nothing could be rolled back after it.
pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
WHY = "chat answers vanish"
Captured = pytest.CaptureFixture[str]


def run(command: type[OneLineCommand], name: str, *arguments: str) -> int:
    """What the shell would see: the exit code. Output is in `capsys`."""
    try:
        command().run_from_argv(["manage.py", name, *arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def rollback(*arguments: str) -> int:
    return run(Rollback, "rollback", *arguments)


def server_key(*arguments: str) -> int:
    return run(ServerKeyCommand, "server_key", *arguments)


def test_it_prints_the_diff_and_then_what_is_served(capsys: Captured) -> None:
    assert rollback("phase-1", "--environment", "staging", "--reason", WHY) == 0
    assert capsys.readouterr().out.splitlines() == [
        "staging, phase-1, after version 1:",
        "  dependency-validation: on -> off",
        "staging serves version 2, revision 2.",
    ]
    record = AuditRecord.objects.get()
    assert (record.action, record.reason) == ("flags.plan", WHY)
    assert record.actor.endswith("command line)")


def test_a_dry_run_needs_no_reason_and_changes_nothing(capsys: Captured) -> None:
    assert rollback("phase-2", "--environment", "staging", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "adaptive-timing: on -> off" in out
    assert "Dry run: nothing was changed." in out
    assert reading.environment("staging").revision == 1


def test_run_again_it_says_that_nothing_would_change(capsys: Captured) -> None:
    for _ in range(2):
        assert rollback("phase-1", "--environment", "staging", "--reason", WHY) == 0
    assert capsys.readouterr().out.endswith("staging, phase-1: nothing would change: already so.\n")


def test_emergency_names_the_version_that_it_restores(capsys: Captured) -> None:
    values = {"readiness-strategy": "immediate"}
    control.change("staging", values, author="alice", reason=WHY, expected_version=1)
    assert rollback("emergency", "--environment", "staging", "--reason", WHY, "--author", "bob") == 0
    assert "(back to version 1), after version 2:" in capsys.readouterr().out
    assert reading.current_version("staging").author == "bob"


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ([], "phase-1, phase-2, emergency"),
        (["phase-9", "--environment", "staging"], "phase-1, phase-2, emergency"),
        (["phase-1"], "--environment staging"),
        (["phase-1", "--environment", "stagin"], "development, staging, production"),
        (["phase-1", "--environment", "staging"], "Say why, in at least 3 words"),
        (["phase-1", "--environment", "staging", "--reason", "because"], "Say why, in at least 3 words"),
        (["phase-1", "--environment"], "expected one argument"),
        (["phase-1", "--nonsense"], "--nonsense"),
        (["emergency", "--environment", "staging", "--reason", WHY], "last versions: 1"),
    ],
)
def test_bad_usage_is_one_line_with_the_cure_and_exit_code_2(capsys: Captured, arguments: list[str], cure: str) -> None:
    Version.objects.update(known_good_at=None)
    assert rollback(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert cure in captured.err
    assert reading.environment("staging").revision == 1


def test_a_database_that_is_down_is_one_line_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "rollback", "phase-1", "--environment", "staging", "--reason", WHY],
        env={"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://x@127.0.0.1:1/x"},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Check DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_key_is_printed_alone(capsys: Captured) -> None:
    assert server_key("create", "--environment", "staging", "--name", "chat-1") == 0
    out = capsys.readouterr().out
    assert out.endswith("\n")
    holder = keys.verify(out.strip())
    assert holder is not None
    assert (holder.environment, holder.name) == ("staging", "chat-1")


def test_keys_are_listed_by_prefix_and_revoked_by_it_or_whole(capsys: Captured) -> None:
    _, one = keys.create("staging", "chat-1", author="alice")
    _, other = keys.create("production", "chat-2", author="alice")
    assert server_key("revoke", one[:12]) == 0
    assert server_key("revoke", other) == 0
    capsys.readouterr()
    assert server_key("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        [one[:12], "staging", "chat-1"],
        [other[:12], "production", "chat-2"],
    ]
    assert all("revoked" in line for line in lines)
    assert one not in "".join(lines)
    assert server_key("list", "--environment", "staging") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_key_is_rotated_while_both_work(capsys: Captured) -> None:
    _, old = keys.create("staging", "chat-1", author="alice", scope="read")
    assert server_key("rotate", old[:12], "--reason", "Rotated each quarter") == 0
    told = capsys.readouterr()
    new = told.out.strip()
    assert f"server_key revoke {old[:12]}" in told.err
    holders = keys.verify(old), keys.verify(new)
    assert [(holder.name, holder.read_only) for holder in holders if holder] == [("chat-1", True)] * 2
    assert server_key("list") == 0
    assert f"{new[:12]}  staging  chat-1  read-only  replaces {old[:12]}  never used" in capsys.readouterr().out


def test_a_rotated_key_may_end_by_itself(capsys: Captured) -> None:
    row, old = keys.create("staging", "chat-1", author="alice")
    assert server_key("rotate", old, "--grace", "24") == 0
    capsys.readouterr()
    assert server_key("list") == 0
    assert re.search(rf"{old[:12]}  staging  chat-1  ends 20.+ UTC, never used", capsys.readouterr().out)
    ServerKey.objects.filter(pk=row.pk).update(expires_at=timezone.now())
    assert keys.verify(old) is None
    assert server_key("rotate", old[:12]) == 2
    assert server_key("rotate", old[:12], "--grace", "never") == 2


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ([], "create, list, rotate or revoke"),
        (["make"], "create, list, rotate or revoke"),
        (["create", "--name", "chat-1"], "--environment"),
        (["create", "--environment", "staging"], "--name"),
        (["create", "--environment", "nowhere", "--name", "chat-1"], "development, staging, production"),
        (["create", "--environment", "staging", "--name", "chat", "--scope", "all"], "--scope read"),
        (["revoke"], "prefix"),
        (["rotate", "rws_aaaaaaaa"], "0 working keys"),
        (["revoke", "rws_aaaaaaaa"], "0 working keys"),
        (["list", "--environment", "nowhere"], "development, staging, production"),
    ],
)
def test_bad_usage_of_keys_is_one_line_with_the_cure(capsys: Captured, arguments: list[str], cure: str) -> None:
    assert server_key(*arguments) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert cure in error
