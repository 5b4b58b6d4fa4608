"""What explains itself: every name of ours has words, the documentation has the same, and every link arrives."""

import json
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.test import Client

from connections.gate.strategies import STRATEGIES
from dashboard import handbook
from dashboard import help as help_table
from dashboard.charts import charts
from dashboard.charts.series import Window
from dashboard.env import BASE_DIR
from dashboard.help import Help
from dashboard.help_words import FIGURES
from dashboard.sentences import STATE_WORDS
from probes.engine.cuts import Cut
from probes.engine.outcome import EventDefect, FailureKind
from tests.support.people import signed_in

EVERYTHING = [
    *(("kind", kind) for kind in FailureKind),
    *(("state", state) for state in STATE_WORDS),
    *(("strategy", name) for name in STRATEGIES),
    *(("defect", defect) for defect in EventDefect),
    *(("cut", cut) for cut in Cut),
    *(("figure", figure) for figure in FIGURES),
]


def rendered(template: str, **context: object) -> str:
    return Template(template).render(Context(context))


def documented(page: str) -> str:
    return (BASE_DIR / "docs" / f"{page}.md").read_text()


@pytest.mark.parametrize(("sort", "name"), EVERYTHING)
def test_every_name_of_ours_explains_itself_and_its_link_arrives(sort: str, name: str) -> None:
    found = help_table.entry(sort, name)
    assert isinstance(found, Help)
    assert found.name
    assert found.sentence.endswith(".")
    assert found.check.endswith(("?", ".", "`.")) or name in (Cut.PLANNED, Cut.STOPPED)
    there = re.fullmatch(r"/docs/([\w-]+)/#([\w-]+)", found.link)
    assert there
    page = handbook.page(there[1])
    assert page is not None
    assert there[2] in page.anchors


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_has_the_words_of_its_row_and_a_runbook_of_its_own(kind: FailureKind) -> None:
    told = help_table.table()[f"kind:{kind}"]
    page = documented("failures")
    assert f"| `{kind}` | {kind.owner} | {told.sentence} | {told.check} |" in page
    runbook = page.split(f"### {kind}\n")[1].split("\n#")[0]
    assert all(word in runbook for word in ("**Usual causes:**", "**Check:**", "**Cure:**"))


@pytest.mark.parametrize("sort", ["state", "figure"])
def test_states_and_figures_have_the_words_of_their_rows_and_no_row_is_gone(sort: str) -> None:
    ours = {key.split(":")[1]: told for key, told in help_table.table().items() if key.startswith(f"{sort}:")}
    section = documented("console").split("## States" if sort == "state" else "## Figures")[1].split("\n## ")[0]
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)}
    assert rows == {name: (told.name, told.sentence, told.check) for name, told in ours.items()}


def test_every_chart_of_the_target_page_explains_itself() -> None:
    now = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
    shown = Window(now - timedelta(minutes=15), now, timedelta(seconds=10), [])
    assert {chart.key for chart in charts(shown, ZoneInfo("UTC"))} <= set(FIGURES)


def test_a_word_that_explains_itself_is_a_button_that_names_its_entry() -> None:
    html = rendered('{% help "kind" name %}', name=FailureKind.ACCEPT_RACE)
    assert html == (
        '<button type="button" class="help tag" data-help="kind:accept_race" popovertarget="help">accept_race</button>'
    )
    assert ">Ready p95</button>" in rendered('{% help "figure" "ready" %}')
    assert ">p95</button>" in rendered('{% help "figure" "ready" "p95" %}')


def test_a_name_that_is_none_of_ours_stays_a_plain_word_and_is_escaped() -> None:
    assert rendered('{% help "strategy" name %}', name="<their own>") == '<span class="tag">&lt;their own&gt;</span>'
    assert rendered('{% help "figure" "none" "A figure" %}') == "A figure"


@pytest.mark.django_db
def test_the_words_are_kept_by_their_version_and_need_a_person() -> None:
    address = rendered("{% help_source %}")
    assert Client().get(address).status_code == 302
    answer = signed_in("viewer").get(address)
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    assert json.loads(answer.content)["kind:accept_race"]["link"] == "/docs/failures/#accept_race"
    assert signed_in("viewer").get("/docs/help-old.json")["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_the_documentation_is_served_to_whoever_is_signed_in() -> None:
    assert Client().get("/docs/failures/").status_code == 302
    vera = signed_in("viewer")
    page = vera.get("/docs/failures/").content.decode()
    assert "<h1>Kinds of failure</h1>" in page
    assert '<a href="#accept_race">accept_race</a>' in page
    assert 'aria-current="page">Help</a>' in page
    assert "On this page" not in vera.get("/docs/").content.decode()
    assert vera.get("/docs/nothing/").status_code == 404
    assert vera.get("/docs/README/").status_code == 200
    assert vera.post("/docs/").status_code == 405
