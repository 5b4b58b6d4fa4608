"""The story, each of its sentences from a table of cases: time is told and never cause, counts before shares."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template

from dashboard.attribution import Attribution, Group, Places, attribution, places
from dashboard.sentences import NBSP, Evidence
from dashboard.story import Change, Fault, LastFailure, Story, all_up, single, tell, waiting
from probes.engine.outcome import FailureKind

ZONE = ZoneInfo("UTC")
SINCE = datetime(2026, 11, 20, 2, 51, 7, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 3, 6, 12, tzinfo=UTC)
HEAD = "Staging chat is accepted but not ready for 38 % of probes since 02:51"
STRATEGY = "changed readiness-strategy from dependency_gate to immediate"


def plain(story: Story) -> str:
    return story.text.replace(NBSP, " ")


def fault(**fields: Any) -> Fault:
    values: dict[str, Any] = {
        "name": "Staging chat",
        "slug": "staging-chat",
        "environment": "staging",
        "state": "down",
        "since": SINCE,
        "probes": 366,
        "failed": 139,
        "kinds": {"not_ready": 100, "accept_race": 39},
        "bounds": (0.332, 0.431),
        "objective_us": 600_000,
    }
    return Fault(**{**values, **fields})


def told(**fields: Any) -> str:
    return plain(tell(fault(**fields), ZONE, NOW))


def facts(**fields: Any) -> list[str]:
    found = tell(fault(**fields), ZONE, NOW).facts
    return ["".join(part.text for part in fact).replace(NBSP, " ") for fact in found]


def revision(minutes_before: float, number: int = 42, flag: str = "readiness-strategy", **fields: Any) -> Change:
    at = SINCE - timedelta(minutes=minutes_before)
    return Change(number, at, flag, "dependency_gate", "immediate", "Jon Ek", href=f"/r/{number}", **fields)


def deploy(minutes_before: float, name: str = "chat 5.12.0") -> Change:
    return Change(None, SINCE - timedelta(minutes=minutes_before), deploy=name, href="https://ci.example/77")


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ([], ". Nothing changed in the 15 minutes before."),
        ([revision(0)], f", less than a minute after revision 42 {STRATEGY}."),
        ([revision(1.2)], f", one minute after revision 42 {STRATEGY}."),
        ([revision(7)], f", 7 minutes after revision 42 {STRATEGY}."),
        ([revision(2), revision(2, flag="client-ack")], ", 2 minutes after revision 42 changed 2 flags."),
        ([revision(3, layer=("", " was killed"))], ", 3 minutes after readiness-strategy was killed."),
        (
            [revision(1, layer=("the ramp of ", " reached 50 %"))],
            ", one minute after the ramp of readiness-strategy reached 50 %.",
        ),
        ([deploy(0.5)], ", less than a minute after deploy chat 5.12.0."),
        ([deploy(1)], ", one minute after deploy chat 5.12.0."),
        ([deploy(14)], ", 14 minutes after deploy chat 5.12.0."),
        ([revision(2, 43), revision(9, 42)], ", 2 minutes after 2 changes (r42, r43)."),
        ([deploy(1), revision(2)], ", one minute after 2 changes (r42, deploy chat 5.12.0)."),
        ([revision(2), deploy(11)], ", 2 minutes after 2 changes (deploy chat 5.12.0, r42)."),
        ([deploy(2), deploy(5)], ", 2 minutes after 2 changes (deploy chat 5.12.0, deploy chat 5.12.0)."),
        (
            [revision(1, 44), revision(1, 44, flag="client-ack"), deploy(3), revision(9, 42)],
            ", one minute after 3 changes (r42, deploy chat 5.12.0, r44).",
        ),
        ([*(revision(n, 50 - n) for n in range(1, 4)), deploy(8)], ", one minute after 4 changes."),
        ([revision(-4, 43)], ". It began before revision 43 (02:55)."),
        ([deploy(-4)], ". It began before deploy chat 5.12.0 (02:55)."),
        ([deploy(-9), revision(-4, 43)], ". It began before revision 43 (02:55)."),
        ([revision(-4, 43), deploy(3)], ", 3 minutes after deploy chat 5.12.0."),
        ([Change(43, SINCE - timedelta(minutes=1), "client-ack", None, "on")],
         ", one minute after revision 43 changed client-ack from nothing to on."),
    ],
)  # fmt: skip
def test_what_changed_is_told_as_time(changes: list[Change], ending: str) -> None:
    assert told(changes=changes) == HEAD + ending


IMMEDIATE = Attribution("immediate", (42,), 139, 141, 0, 225)


@pytest.mark.parametrize(
    ("fields", "ending"),
    [
        (
            {"attribution": IMMEDIATE},
            ". Only connections served by immediate (revision 42) fail: 139 of 141 against 0 of 225.",
        ),
        # It beats what changed when.
        (
            {"attribution": IMMEDIATE, "changes": [revision(1)]},
            ". Only connections served by immediate (revision 42) fail: 139 of 141 against 0 of 225.",
        ),
        (
            {"attribution": Attribution("immediate", (42, 43), 1_390, 1_410, 3, 2_250)},
            ". Mostly connections served by immediate (revisions 42 and 43) fail: 1,390 of 1,410 against 3 of 2,250.",
        ),
        (
            {"attribution": Attribution("immediate", (), 12, 12, 0, 30)},
            ". Only connections served by immediate fail: 12 of 12 against 0 of 30.",
        ),
        (
            {"attribution": IMMEDIATE, "attribution_within": timedelta(hours=1)},
            ". In the last 1 h, only connections served by immediate (revision 42) fail: 139 of 141 against 0 of 225.",
        ),
    ],
)
def test_whose_connections_fail_is_told_with_its_counts(fields: dict[str, Any], ending: str) -> None:
    assert told(**fields) == HEAD + ending


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"probes": 7, "failed": 4}, "Staging chat is accepted but not ready for 4 of 7 probes since 02:51"),
        ({"probes": 1, "failed": 1}, "Staging chat is accepted but not ready for 1 of 1 probes since 02:51"),
        ({"failed": 366}, "Staging chat is accepted but not ready for 100 % of probes since 02:51"),
        ({"probes": 100_000, "failed": 1}, "Staging chat is accepted but not ready for 1 % of probes since 02:51"),
        ({"probes": 0, "failed": 0, "kinds": {}}, "Staging chat is down since 02:51"),
        ({"kinds": {}}, "Staging chat fails for 38 % of probes since 02:51"),
        ({"kinds": {"accept_race": 139}}, "Staging chat loses the first message for 38 % of probes since 02:51"),
        ({"kinds": {"new_in_9": 139}}, "Staging chat fails (new_in_9) for 38 % of probes since 02:51"),
        ({"state": "degraded"}, HEAD),
        ({"since": SINCE - timedelta(days=1)}, HEAD.replace("02:51", "Thu 02:51")),
    ],
)
def test_the_symptom_is_told_for_none_one_and_many(fields: dict[str, Any], text: str) -> None:
    assert told(**fields) == f"{text}. Nothing changed in the 15 minutes before."


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if not kind.ours])
def test_every_kind_makes_a_sentence(kind: FailureKind) -> None:
    text = told(kinds={kind.value: 139}, evidence=Evidence(503, 1011, "tool_completed"))
    assert text.endswith(" for 38 % of probes since 02:51. Nothing changed in the 15 minutes before.")
    assert "{" not in text
    assert "fails (" not in text


def test_times_are_those_of_the_pages_zone() -> None:
    changes = [revision(-4, 43)]
    assert tell(fault(changes=changes), ZoneInfo("Asia/Tokyo"), NOW).text.endswith(
        "since 11:51. It began before revision 43 (11:55)."
    )
    assert "since 20:51" in tell(fault(), ZoneInfo("America/Chicago"), NOW).text


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        (
            {},
            [
                "139 of 366 probes failed (33 to 43 %)",
                "Fault: the server, before ready",
                "Mostly not_ready, also accept_race",
            ],
        ),
        (
            {"probes": 7, "failed": 4, "kinds": {"not_ready": 4}},
            ["4 of 7 probes failed", "Fault: the server, before ready", "All not_ready"],
        ),
        ({"probes": 0, "failed": 0, "kinds": {}, "bounds": None}, []),
        (
            {"kinds": {"new_in_9": 139}, "places": Places(("Dublin", "Virginia"), every=True)},
            ["139 of 366 probes failed (33 to 43 %)", "Fault: unknown", "All new_in_9", "Both locations"],
        ),
    ],
)
def test_facts_give_counts_bounds_fault_kinds_and_places(fields: dict[str, Any], lines: list[str]) -> None:
    assert facts(**fields) == lines


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Places(("Dublin", "Virginia"), every=True), "Both locations"),
        (Places(("Dublin", "Tokyo", "Virginia"), every=True), "All 3 locations"),
        (Places(("Virginia",), only=True), "Virginia only"),
        (Places(("Dublin", "Virginia"), only=True), "Dublin and Virginia only"),
        (Places(("Virginia",)), "Mostly Virginia"),
    ],
)
def test_where_it_fails_is_a_fact(found: Places, words: str) -> None:
    assert facts(places=found)[-1] == words


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "ready p95 960 ms against 600 ms since 02:51. Nothing changed in the 15 minutes before."),
        ({"changes": [deploy(2)]}, "ready p95 960 ms against 600 ms since 02:51, 2 minutes after deploy chat 5.12.0."),
        (
            {"changes": [deploy(2), revision(3)]},
            "ready p95 960 ms against 600 ms since 02:51, 2 minutes after 2 changes (r42, deploy chat 5.12.0).",
        ),
        (
            {"ready_p95_us": float("inf")},
            "ready p95 never against 600 ms since 02:51. Nothing changed in the 15 minutes before.",
        ),
    ],
)
def test_slow_is_told_against_the_objective(fields: dict[str, Any], text: str) -> None:
    values = {"state": "degraded", "failed": 0, "kinds": {}, "ready_p95_us": 960_000, **fields}
    assert told(**values) == f"Staging chat is slow: {text}"
    assert facts(**values) == ["None of 366 probes failed"]


@pytest.mark.parametrize(
    ("locations", "where"),
    [
        ((), ""),
        (("Virginia",), " from Virginia"),
        (("Dublin", "Virginia"), " from Dublin and Virginia"),
        (tuple("abcd"), " from any of 4 locations"),
    ],
)
def test_stale_blames_the_probes(locations: tuple[str, ...], where: str) -> None:
    text = told(state="stale", last_result_at=SINCE, locations=locations, changes=[revision(2)])
    assert text == f"Staging chat has had no result{where} since 02:51. The probes are late, not the target."
    assert facts(state="stale", last_result_at=SINCE) == []


@pytest.mark.parametrize(
    ("state", "changes", "undo"),
    [
        ("down", [], None),
        ("down", [revision(2)], 42),
        ("down", [revision(2), revision(2, flag="client-ack")], 42),
        ("down", [deploy(1), revision(2)], 42),
        ("down", [deploy(1)], None),
        ("down", [revision(2, 43), revision(9, 42)], None),
        ("down", [revision(-4)], None),
        ("stale", [revision(2)], None),
    ],
)
def test_a_story_offers_to_undo_the_only_revision_just_before(
    state: str, changes: list[Change], undo: int | None
) -> None:
    assert tell(fault(state=state, changes=changes), ZONE, NOW).undo == undo


@pytest.mark.parametrize(
    ("targets", "last", "text"),
    [
        (1, None, "The only target is up."),
        (12, None, "All 12 targets are up."),
        (
            12,
            LastFailure("Chat", NOW - timedelta(hours=2, minutes=50), timedelta(minutes=4)),
            "All 12 targets are up. Last failure: Chat, 2 h ago, 4 min.",
        ),
    ],
)
def test_all_up_remembers_the_last_failure(targets: int, last: LastFailure | None, text: str) -> None:
    assert plain(all_up(targets, last, NOW)) == text


@pytest.mark.parametrize(
    ("unknown", "paused", "text"),
    [
        (1, 2, "Nothing is failing. 1 target has not been probed yet. 2 targets are paused."),
        (2, 0, "Nothing is failing. 2 targets have not been probed yet."),
        (0, 1, "Nothing is failing. 1 target is paused."),
    ],
)
def test_nothing_failing_is_not_all_up(unknown: int, paused: int, text: str) -> None:
    assert plain(waiting(unknown, paused)) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("up", "Chat is up since 02:51."),
        ("paused", "Chat is paused since 02:51."),
        ("unknown", "Chat has not been probed yet. The first result comes within seconds."),
    ],
)
def test_a_target_with_nothing_wrong_says_so(state: str, text: str) -> None:
    assert plain(single("Chat", state, SINCE, ZONE, NOW)) == text


def test_changes_are_links_and_several_lead_to_their_list() -> None:
    def page(*changes: Change) -> str:
        story = tell(fault(changes=changes, changes_href="/targets/staging-chat/#changes"), ZONE, NOW)
        return Template("{{ parts|parts }}|{{ parts|unlinked|parts }}").render(Context({"parts": story.parts}))

    one, unlinked = page(revision(1)).split("|")
    assert '<a href="/r/42">revision 42</a>' in one
    assert "<a " not in unlinked
    assert '<a href="https://ci.example/77" rel="noreferrer"><b>chat 5.12.0</b></a>' in page(deploy(1))
    assert '<a href="/targets/staging-chat/#changes"><b>2 changes</b></a>' in page(deploy(1), revision(2))
    assert "&lt;b&gt;" in page(deploy(1, "<b>"))


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ([], None),
        ([Group("immediate", 42, "a", 141, 139)], None),  # All were served alike.
        (
            [Group("immediate", 42, "a", 141, 139), Group("dependency_gate", 43, "a", 225, 0)],
            Attribution("immediate", (42,), 139, 141, 0, 225),
        ),
        (
            [
                Group("immediate", 42, "a", 100, 99),
                Group("immediate", 43, "b", 41, 40),
                Group("ready_ack", 42, "a", 100, 2),
                Group("dependency_gate", 42, "b", 125, 0),
            ],
            Attribution("immediate", (42, 43), 139, 141, 2, 225),
        ),
        # Bounds that meet prove nothing, nor do few probes.
        ([Group("immediate", 42, "a", 100, 30), Group("dependency_gate", 42, "a", 100, 25)], None),
        ([Group("immediate", 42, "a", 100, 99), Group("dependency_gate", 42, "a", 100, 60)], None),
        ([Group("immediate", 42, "a", 9, 9), Group("dependency_gate", 42, "a", 225, 0)], None),
        ([Group("immediate", 42, "a", 141, 139), Group("dependency_gate", 42, "a", 9, 0)], None),
        # Failures of connections that nobody named speak against it.
        ([Group("immediate", 42, "a", 141, 139), Group("", None, "a", 225, 220)], None),
        ([Group("immediate", 42, "a", 141, 0), Group("", None, "a", 225, 220)], None),
        (
            [Group("immediate", None, "a", 40, 40), Group("", None, "a", 60, 0)],
            Attribution("immediate", (), 40, 40, 0, 60),
        ),
    ],
)
def test_a_strategy_is_blamed_only_by_bounds_that_do_not_meet(groups: list[Group], found: Attribution | None) -> None:
    assert attribution(groups) == found


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ([], None),
        ([Group("", 1, "Virginia", 100, 90)], None),
        (
            [Group("", 1, "Virginia", 100, 90), Group("", 1, "Dublin", 100, 95)],
            Places(("Dublin", "Virginia"), every=True),
        ),
        ([Group("", 1, "Virginia", 100, 90), Group("", 1, "Dublin", 100, 0)], Places(("Virginia",), only=True)),
        ([Group("", 1, "Virginia", 100, 90), Group("", 1, "Dublin", 100, 1)], Places(("Virginia",))),
        (
            [Group("", 1, "Virginia", 100, 99), Group("", 1, "Dublin", 100, 60)],
            Places(("Dublin", "Virginia"), every=True),
        ),
        ([Group("", 1, "Virginia", 100, 90), Group("", 1, "Dublin", 5, 0)], None),
        ([Group("", 1, "Virginia", 100, 1), Group("", 1, "Dublin", 100, 0)], None),
        (
            [Group("", 1, "A", 50, 40), Group("", 1, "B", 50, 45), Group("", 1, "C", 50, 0)],
            Places(("A", "B"), only=True),
        ),
    ],
)
def test_a_place_is_named_only_where_the_others_prove_it(groups: list[Group], found: Places | None) -> None:
    assert places(groups) == found


def test_a_story_no_longer_offers_to_undo_what_was_changed_again_since() -> None:
    undone = [revision(-2, 43), revision(1, 42)]
    assert tell(fault(changes=undone), ZONE, NOW).undo is None
    other = [revision(-2, 43, flag="client-ack"), revision(1, 42)]
    assert tell(fault(changes=other), ZONE, NOW).undo == 42
