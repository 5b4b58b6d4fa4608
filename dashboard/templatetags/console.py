"""Filters and tags of the console's templates. A builtin library: no {% load %} needed."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from connections.gate.strategies import STRATEGIES
from dashboard import help as help_table
from dashboard import sentences
from dashboard.sentences import Part
from dashboard.strategy_words import Whisker

register = template.Library()
_NAMES = re.compile(rf"\b({'|'.join(STRATEGIES)})\b")
_CLASSES = {"strong": "", "symptom": "symptom", "flag": "nowrap"}


@register.filter
def json_script(value: object, element_id: str) -> SafeString:
    """Django's filter of this name, which takes 30 times as long to escape what holds one of the three characters."""
    text = json.dumps(value, cls=DjangoJSONEncoder)
    for character, escaped in (("&", "\\u0026"), ("<", "\\u003C"), (">", "\\u003E")):
        text = text.replace(character, escaped)
    # Nothing left in it ends a script.
    return format_html('<script id="{}" type="application/json">{}</script>', element_id, mark_safe(text))  # noqa: S308


@register.simple_tag
def shape(state: str) -> SafeString:
    """The state's shape; always beside its word."""
    known = state if state in sentences.STATE_WORDS else "unknown"
    return format_html(
        '<svg class="shape shape--{0}" aria-hidden="true"><use href="#shape-{0}"/></svg>',
        known,
    )


@register.simple_tag
def state(state: str) -> SafeString:
    """Shape and word of a state."""
    return format_html('<span class="state state--{}">{} {}</span>', state, shape(state), word(state))


@register.simple_tag(name="help")
def help_button(sort: str, name: object, label: str = "") -> SafeString:
    """A word that explains itself: `{% help "kind" "accept_race" %}`, `{% help "figure" "ready" "Ready p95" %}`. The
    browser fills the one popover of the page (js/help.js). A name that is none of ours stays a plain word."""
    key = str(name)
    found = help_table.entry(sort, key)
    if found is None:
        shown = label or key
        return format_html('<span class="tag">{}</span>', shown) if _in_code(sort) else format_html("{}", shown)
    button = '<button type="button" class="help{}" data-help="{}:{}" popovertarget="help">{}</button>'
    return format_html(button, " tag" if found.code else "", sort, key, label or found.name)


def _in_code(sort: str) -> bool:
    return sort in ("kind", "strategy")


@register.simple_tag
def help_source() -> str:
    """Where the browser finds the words of every popover."""
    return reverse("help_json", args=[help_table.version()])


@register.filter
def strategies(text: str) -> SafeString:
    """A text about `readiness-strategy`, in which each strategy's name explains itself."""
    runs = _NAMES.split(str(text))
    return format_html_join(
        "", "{}", ((help_button("strategy", run) if index % 2 else run,) for index, run in enumerate(runs))
    )


@register.filter
def explained(runs: Sequence[Part]) -> SafeString:
    """As `parts`, where kinds and strategies explain themselves. Not within a link: it would hold buttons."""
    return format_html_join("", "{}", ((_explained(run),) for run in runs))


def _explained(run: Part) -> str | SafeString:
    for sort in ("kind", "strategy"):
        if run.weight == "flag" and help_table.entry(sort, run.text):
            return format_html("<b>{}</b>", help_button(sort, run.text))
    return _part(run) if run.weight else strategies(run.text)


@register.filter
def word(state: str) -> str:
    """A state's word: "Not probed yet"."""
    return sentences.STATE_WORDS.get(state, state)


@register.simple_tag
def env_label(name: str, production: bool = False) -> SafeString:
    """An environment's label: outlined, and inverted with a hatch mark for production."""
    if not production:
        return format_html('<span class="env">{}</span>', name.lower())
    return format_html(
        '<span class="env env--production">'
        '<svg width="9" height="9" aria-hidden="true"><use href="#icon-hatch"/></svg>{}</span>',
        name.lower(),
    )


@register.filter
def initials(name: str) -> str:
    """Up to two letters of a name: "Mara Klein" -> "MK"."""
    words = name.split()
    return "".join(part[0] for part in ([words[0], words[-1]] if len(words) > 1 else words)).upper()


@register.simple_tag
def whisker(cell: Whisker) -> SafeString:
    """A share as a dot on its 95 % bounds, from 0 at the left to 100 % at the right; the words stand beside it."""
    if cell.at is None:
        return SafeString("")
    low, high = 2 + cell.low, 2 + cell.high
    return format_html(
        '<svg class="whisker" viewBox="0 0 104 12" width="104" height="12" aria-hidden="true">'
        "<title>{} · 95 %: {}</title>"
        '<path class="whisker-scale" d="M2 6H102"/><path class="whisker-bounds" d="{}"/>'
        '<circle cx="{}" cy="6" r="3"/></svg>',
        cell.counts,
        cell.interval,
        SafeString(f"M{low} 6H{high}M{low} 3V9M{high} 3V9"),
        2 + cell.at,
    )


@register.simple_tag
def share_cell(cell: Whisker, label: str) -> SafeString:
    """A share as the cell of a table. A page has hundreds, and an included template takes four times as long."""
    return format_html(
        '<td class="share" data-label="{}"><div>{}<span class="num" title="{}">{}</span></div>'
        '<div class="hint">{}</div></td>',
        label,
        whisker(cell),
        cell.counts,
        cell.share,
        cell.interval,
    )


@register.filter
def parts(runs: Sequence[Part]) -> SafeString:
    """A sentence's parts as text with emphasis."""
    return format_html_join("", "{}", ((_part(run),) for run in runs))


def _part(run: Part) -> str | SafeString:
    name = _CLASSES.get(run.weight, "")
    text: str | SafeString = run.text
    if run.weight:
        text = format_html('<b class="{}">{}</b>', name, text) if name else format_html("<b>{}</b>", text)
    if not run.href:
        return text
    # Ours are paths; a deploy's link leads elsewhere.
    pattern = '<a href="{}" rel="noreferrer">{}</a>' if "://" in run.href else '<a href="{}">{}</a>'
    return format_html(pattern, run.href, text)


@register.filter
def unlinked(runs: Sequence[Part]) -> list[Part]:
    """A sentence's parts for a place that is a link itself."""
    return [replace(run, href="") for run in runs]


@register.filter
def latency(us: float | None) -> str:
    """Microseconds as "92 ms", "1.2 s" or "never"."""
    return sentences.latency(us)


@register.filter
def clock(at: datetime | None) -> SafeString | str:
    """Clock time to the minute, with the day where it is another one."""
    return _time(at, seconds=False)


@register.filter
def clock_seconds(at: datetime | None) -> SafeString | str:
    """Clock time to the second, for lists."""
    return _time(at, seconds=True)


def _time(at: datetime | None, *, seconds: bool) -> SafeString | str:
    if at is None:
        return ""
    zone = ZoneInfo(settings.TIME_ZONE)
    text = sentences.clock(at, zone, timezone.now(), seconds=seconds)
    full = f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S} {settings.TIME_ZONE}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), full, text)


@register.simple_tag
def ago(at: datetime | str | None, suffix: str = "", prefix: str = "") -> SafeString:
    """How long since, rounded down, beside the clock time on hover. The browser keeps it true (js/time.js)."""
    before, after = escape(prefix), escape(suffix)
    if not at:
        return mark_safe(f'<time class="ago" data-prefix="{before}" data-suffix="{after}"></time>')  # noqa: S308
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    full = f"{moment.astimezone(ZoneInfo(settings.TIME_ZONE)):%Y-%m-%d %H:%M:%S} {settings.TIME_ZONE}"
    span = sentences.span(timezone.now() - moment)
    # Without format_html: fifteen hundred of these on a page of 500 targets, of which nothing else needs escaping.
    return mark_safe(  # noqa: S308
        f'<time class="ago" datetime="{moment.isoformat()}" title="{full}"'
        f' data-prefix="{before}" data-suffix="{after}">{before}{span}{after}</time>'
    )
