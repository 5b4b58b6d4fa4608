"""The page of one target, and the JSON it refreshes itself from."""

import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.charts.spans import written
from dashboard.queries.target import identity_of
from dashboard.views.chart_data import PRINTED_STEPS
from probes.models import Result
from tests.support.history import failing, healthy
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
PAGE = "/targets/staging-chat/"


def figures_in(markup: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script id="chart-data" type="application/json">(.*?)</script>', markup, re.DOTALL)
    assert found
    charts: dict[str, dict[str, object]] = json.loads(found[1])
    return charts


def test_a_stranger_sees_neither_page_nor_figures() -> None:
    failing(1, 5, timezone.now())
    for path in (PAGE, PAGE + "figures.json?range=1h", PAGE + "slots.json"):
        assert Client().get(path)["Location"].startswith("/signin/")


def test_the_page_tells_the_story_shows_its_charts_and_the_flags() -> None:
    failing(1, 30, timezone.now())
    page = signed_in("viewer").get(PAGE)
    words = text(page)
    assert "accepted but not ready" in words
    assert set(figures_in(page.content.decode())) == {
        "race",
        "heat",
        "events",
        "failures",
        "phases",
        "strategies",
        "delay",
    }
    assert re.search(r"readiness-strategy immediate \(not its safe variant\)", words)
    assert "r2 Jon Ek" in words


def test_a_failing_target_opens_with_the_range_that_shows_its_beginning() -> None:
    """The fault began 15 min ago: 15 min would cut it off, an hour holds it."""
    failing(1, 75, timezone.now())
    markup = signed_in("viewer").get(PAGE).content.decode()
    assert 'data-range="1h" aria-current="true"' in markup


def test_a_target_that_is_up_opens_with_the_last_quarter_hour() -> None:
    healthy(1, 5, timezone.now())
    markup = signed_in("viewer").get("/targets/chat/").content.decode()
    assert 'data-range="15m" aria-current="true"' in markup


def test_a_range_without_probes_tells_when_the_last_one_was() -> None:
    now = timezone.now()
    healthy(1, 5, now - timedelta(hours=2))
    assert "No probe in this range. Last result:" in text(signed_in("viewer").get("/targets/chat/?range=15m"))


def test_a_target_without_any_probe_is_a_page_too() -> None:
    healthy(1, 0, timezone.now())
    words = text(signed_in("viewer").get("/targets/chat/"))
    assert "has not been probed yet" in words


def test_an_opened_probe_is_in_the_address() -> None:
    failing(1, 10, timezone.now())
    result = Result.objects.filter(ok=False).order_by("-slot")[0]
    page = signed_in("viewer").get(PAGE, {"probe": identity_of("local", result.slot)})
    words = text(page)
    assert "Waterfall" in words
    assert "Transcript" in words
    assert 'aria-current="true"' in page.content.decode().split('class="table probes"')[1].split("</table>")[0]


def test_htmx_gets_the_probe_alone() -> None:
    failing(1, 10, timezone.now())
    slot = Result.objects.order_by("-slot")[0].slot
    answer = signed_in("viewer").get(PAGE, {"probe": identity_of("local", slot)}, headers={"HX-Request": "true"})
    assert "<html" not in answer.content.decode()
    assert "Waterfall" in text(answer)


def test_a_probe_no_longer_kept_says_so() -> None:
    failing(1, 5, timezone.now())
    assert "This probe is no longer kept." in text(signed_in("viewer").get(PAGE, {"probe": "local:1700000000000000"}))


def test_what_a_target_sends_is_never_markup() -> None:
    """A hostile server chooses its detail, frames and strategy."""
    failing(1, 10, timezone.now())
    evil = "<script>alert(1)</script>"
    Result.objects.update(detail=evil, strategy=evil, address=evil)
    slot = Result.objects.filter(ok=False).order_by("-slot")[0].slot
    markup = signed_in("viewer").get(PAGE, {"probe": identity_of("local", slot)}).content.decode()
    assert evil not in markup
    assert "&lt;script&gt;alert(1)" in markup


def test_an_unknown_target_is_not_found() -> None:
    client = signed_in("viewer")
    for path in ("/targets/nobody/", "/targets/nobody/figures.json?range=1h"):
        assert client.get(path).status_code == 404


def test_figures_are_those_of_the_page() -> None:
    failing(1, 30, timezone.now())
    answer = signed_in("viewer").get(PAGE + "figures.json", {"range": "1h"})
    assert set(answer.json()["charts"]) == {"race", "heat", "events", "failures", "phases", "strategies", "delay"}


@pytest.mark.parametrize("wanted", ["", "2h", "1h'"])
def test_an_unknown_range_is_refused_by_name(wanted: str) -> None:
    failing(1, 5, timezone.now())
    answer = signed_in("viewer").get(PAGE + "figures.json", {"range": wanted})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "range: one of 15m, 1h, 6h, 24h, 7d, 30d."


def test_a_table_twin_comes_alone() -> None:
    failing(1, 30, timezone.now())
    answer = signed_in("viewer").get(PAGE + "figures.json", {"range": "1h", "table": "race"})
    table = answer.json()["table"]
    assert table["columns"] == ["Time", "Probes", "Failed", "p50", "p95", "p99"]
    assert len(table["rows"]) >= 29
    refused = signed_in("viewer").get(PAGE + "figures.json", {"range": "1h", "table": "x"})
    assert (
        refused.json()["error"]["message"]
        == "table: one of race, heat, events, failures, phases, strategies, delay, all."
    )


def test_slots_are_the_ribbons() -> None:
    failing(1, 10, timezone.now())
    slots = signed_in("viewer").get(PAGE + "slots.json").json()["slots"]
    assert len(slots) == 60
    assert {"slot", "letter", "kind", "race_us"} <= set(slots[0])


@pytest.mark.parametrize(("role", "edit", "pause"), [("administrator", 1, 1), ("responder", 0, 1), ("viewer", 0, 0)])
def test_who_may_edit_or_pause_it_finds_the_way_there(role: str, edit: int, pause: int) -> None:
    failing(1, 5, timezone.now())
    markup = signed_in(role).get(PAGE).content.decode()
    assert markup.count(f'href="{PAGE}edit/"') == edit
    assert markup.count(f'href="{PAGE}pause/"') == pause


def test_a_fixed_stretch_is_drawn_in_fine_steps_and_its_page_goes_live_again() -> None:
    now = timezone.now().replace(microsecond=0)
    failing(1, 40, now)
    query = {"from": written(now - timedelta(minutes=20)), "to": written(now - timedelta(minutes=15))}
    page = signed_in("viewer").get(PAGE, query)
    assert "Go live" in text(page)
    assert "aria-current" not in page.content.decode().split('id="ranges"')[1].split("</nav>")[0]
    span = signed_in("viewer").get(PAGE + "figures.json", query).json()["span"]
    assert (span["key"], span["from"], span["to"]) == ("", query["from"], query["to"])
    assert span["cursor"]["step"] == 10_000
    assert 30 <= len(span["cursor"]["says"]) <= 31


def test_the_page_and_its_figures_speak_of_the_same_span() -> None:
    failing(1, 10, timezone.now())
    markup = signed_in("viewer").get(PAGE + "?range=6h").content.decode()
    told = signed_in("viewer").get(PAGE + "figures.json?range=6h").json()["span"]
    found = re.search(r'<script id="chart-span" type="application/json">(.*?)</script>', markup, re.DOTALL)
    assert found
    assert json.loads(found[1]).keys() == told.keys()
    assert told["key"] == "6h"


def test_a_printed_page_has_every_table_and_none_is_long() -> None:
    failing(1, 10, timezone.now())
    tables = signed_in("viewer").get(PAGE + "figures.json?range=6h&table=all").json()["tables"]
    assert set(tables) == {"race", "heat", "events", "failures", "phases", "strategies", "delay"}
    assert tables["race"]["title"] == "Race window"
    assert 1 <= len(tables["race"]["rows"]) <= PRINTED_STEPS + 1
