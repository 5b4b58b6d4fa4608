"""`manage.py probe`: one probe or a burst by hand."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from connections.models import Environment
from probes.credentials import seal
from probes.models import Target
from tests.support.certificates import authority
from tests.support.chat_server import ChatServer, run_of, serving

pytestmark = pytest.mark.django_db


def probe(*arguments: Any) -> tuple[int, str]:
    """The exit status, and what was printed."""
    out = StringIO()
    try:
        call_command("probe", *map(str, arguments), stdout=out)
    except SystemExit as stop:
        return int(str(stop.code)), out.getvalue()
    return 0, out.getvalue()


def test_json_is_a_line_per_probe_and_a_summary() -> None:
    """For machines."""
    with serving(ChatServer()) as server:
        status, text = probe(server.url, "--count", 4, "--concurrency", 2, "--json")
    *lines, last = map(json.loads, text.splitlines())
    assert status == 0
    assert [line["ok"] for line in lines] == [True] * 4
    assert last["summary"]["ok"] == 4
    unflagged = last["summary"]["race_window_ms"]["p50"]
    assert unflagged is None or unflagged > 0
    assert all(line["race_window_ms"] > 0 for line in lines)


def test_people_read_a_waterfall_a_verdict_and_advice() -> None:
    """A failing target exits 1 and says what to check."""
    with serving(ChatServer(answer=lambda run: run_of(run)[:1], close=(1011, "boom"))) as server:
        status, text = probe(server.url)
    assert status == 1
    assert "race window" in text
    assert "closed_early  whose fault: the server, after ready" in text
    assert "1011" in text
    assert "Next: " in text


def test_people_read_a_bursts_figures_and_advice() -> None:
    """The same target, twice."""
    with serving(ChatServer(answer=lambda run: run_of(run)[:1], close=(1011, "boom"))) as server:
        status, text = probe(server.url, "--count", 2)
    assert status == 1
    assert "2 of 2: 100 %" in text
    assert "closed_early" in text
    assert "Next: " in text


def test_a_stored_target_uses_its_own_script_and_credentials() -> None:
    """By slug and by URL alike."""
    with serving(ChatServer()) as server:
        Target.objects.create(
            slug="chat", name="Chat", environment=Environment.objects.get(key="staging"), url=server.url,
            script={"claimed": "upgrade"}, credentials=seal({"token": "stored-token"}),
        )  # fmt: skip
        for name in ("chat", server.url):
            status, text = probe(name, "--json")
            assert status == 0
            assert json.loads(text.splitlines()[0])["claimed_ms"] == 0
    assert server.offered.count("bearer.stored-token") == 2
    assert "stored-token" not in text


def test_a_script_file_replaces_the_script(tmp_path: Path) -> None:
    """YAML from a file."""
    path = tmp_path / "script.yaml"
    path.write_text("events: [agent_started, agent_completed]\n")
    with serving(ChatServer(answer=lambda run: run_of(run, ["agent_started", "agent_completed"]))) as server:
        status, text = probe(server.url, "--json", "--script", path)
    assert status == 0
    assert json.loads(text.splitlines()[0])["events"]["expected"] == 2


def test_a_mistake_in_the_script_names_file_and_line(tmp_path: Path) -> None:
    """Nothing is dialled."""
    path = tmp_path / "script.yaml"
    path.write_text("claimed: upgrade\nevents: nothing\n")
    with pytest.raises(CommandError, match=r"script\.yaml: line 2: events: must be a list") as caught:
        probe("ws://127.0.0.1:1/", "--script", path)
    assert caught.value.returncode == 2


@pytest.mark.parametrize("target", ["http://127.0.0.1/", "no-such-slug", "ws://"])
def test_an_unusable_target_is_one_clear_line(target: str) -> None:
    """Exit status 2."""
    with pytest.raises(CommandError, match=r"ws://host") as caught:
        probe(target)
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)


def test_an_unreachable_server_is_a_failure_not_a_usage_error() -> None:
    """Exit status 1, with the kind."""
    status, text = probe("ws://127.0.0.1:1/", "--timeout", 1)
    assert status == 1
    assert "connect_refused  whose fault: network" in text


def test_the_early_variant_loses_its_message_where_nobody_listens_yet() -> None:
    """--early-send on a service that loses what comes first."""
    heard: list[str] = []

    def deaf_once(run_id: str) -> list[dict[str, Any]]:
        heard.append(run_id)
        return run_of(run_id) if len(heard) > 1 else []

    with serving(ChatServer(answer=deaf_once)) as server:
        status, text = probe(server.url, "--early-send", "--timeout", 1)
    assert status == 1
    assert "accept_race" in text
    assert "the early one was lost" in " ".join(text.split())


def test_a_preset_is_chosen_by_its_name() -> None:
    """--preset, with the script of the protocol."""
    with serving(ChatServer()) as server:
        status, text = probe(server.url, "--preset", "readywire", "--json")
    assert status == 0
    assert json.loads(text.splitlines()[0])["events"]["delivered"] == 5


def test_a_preset_and_a_script_exclude_each_other(tmp_path: Path) -> None:
    """The cure names the field."""
    path = tmp_path / "script.yaml"
    path.write_text("claimed: upgrade\n")
    with pytest.raises(CommandError, match="preset: NAME") as caught:
        probe("ws://127.0.0.1:1/", "--preset", "echo", "--script", path)
    assert caught.value.returncode == 2


def test_the_early_variant_of_a_protocol_whose_client_speaks_first_is_refused() -> None:
    """Its first message leaves with the 101 as it is."""
    with pytest.raises(CommandError, match="before the claim"):
        probe("ws://127.0.0.1:1/", "--preset", "mqtt", "--early-send")


def test_a_probe_by_hand_keeps_the_limits_that_are_set(settings: Settings) -> None:
    """As the worker does; the advice names the setting."""
    settings.PROBE_MAX_FRAMES = 3
    with serving(ChatServer()) as server:
        status, text = probe(server.url)
    assert status == 1
    assert "more than 3 frames" in text or "more than 3 messages" in text
    assert "PROBE_MAX_FRAMES" in text


def test_the_certificate_is_told_with_the_time_left(tmp_path: Path) -> None:
    """For people and for machines."""
    trusted = authority(tmp_path)
    with serving(ChatServer(), trusted.server_context()) as server:
        Target.objects.create(
            slug="chat", name="Chat", environment=Environment.objects.get(key="staging"), url=server.url, script={},
            credentials=seal({"ca_pem": trusted.pem}),
        )  # fmt: skip
        _, people = probe("chat")
        status, machines = probe("chat", "--json")
    assert status == 0, machines
    told = " ".join(people.split())
    assert "certificate localhost, issued by Readywire test authority, valid until" in told
    assert "Renew it" in told
    certificate = json.loads(machines.splitlines()[0])["certificate"]
    assert (certificate["subject"], certificate["issuer"]) == ("localhost", "Readywire test authority")
    assert certificate["not_after"].endswith("+00:00")
