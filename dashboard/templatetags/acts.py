"""Filters and tags of the pages that act: differences, moments, shell words."""

import json
import shlex
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections.flags.merging import ABSENT
from connections.flags.versions import FieldDiff, FlagDiff
from dashboard.layer_words import entry_line
from dashboard.queries.practice import notes
from probes.models import Target

register = template.Library()
LONGEST_VALUE = 400


@register.filter
def shell(word: object) -> str:
    """One word of a POSIX shell, quoted where it must be."""
    return shlex.quote(str(word))


@register.filter
def moment(at: datetime | str | None) -> SafeString | str:
    """A clock time with seconds; older than a day, with its date. The whole instant stands in the element."""
    if not at:
        return ""
    instant = timezone.localtime(datetime.fromisoformat(at) if isinstance(at, str) else at)
    recent = timezone.now() - instant < timedelta(days=1)
    shown = f"{instant:%H:%M:%S}" if recent else f"{instant.day} {instant:%b %Y, %H:%M:%S}"
    whole = f"{instant:%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', instant.isoformat(), whole, shown)


@register.filter
def grouped(count: int) -> str:
    """A count with its thousands apart: 41,558."""
    return f"{count:,}"


@register.filter
def coming(at: datetime | None) -> SafeString | str:
    """A clock time that lies ahead, to the minute; on another day, with its date."""
    if at is None:
        return ""
    instant = timezone.localtime(at)
    today = instant.date() == timezone.localtime().date()
    shown = f"{instant:%H:%M}" if today else f"{instant.day} {instant:%b, %H:%M}"
    whole = f"{instant:%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', instant.isoformat(), whole, shown)


@register.inclusion_tag("acts/diff.html")
def flag_diff(diffs: list[FlagDiff]) -> dict[str, Any]:
    """The differences as removed and added lines: the served variant first, other fields as JSON."""
    return {"entries": [{"key": one.flag, "pairs": _pairs(one)} for one in diffs]}


@register.inclusion_tag("practice/notes.html")
def practice_notes(target: Target) -> dict[str, Any]:
    """That a target's faults are on purpose, where they are."""
    return {"practised": notes(timezone.now(), target) if target.is_reference else []}


@register.filter
def summary_line(summary: list[dict[str, Any]]) -> str:
    """A revision's changes in one line: "readiness-strategy: dependency_gate → immediate"."""
    return "; ".join(map(entry_line, summary))


@register.filter(name="entry_line")
def one_line(entry: dict[str, Any]) -> str:
    """One flag of a revision's changes."""
    return entry_line(entry)


@register.filter
def as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@register.filter
def has_error(errors: dict[str, str], name: str) -> bool:
    return name in errors


@register.filter
def said(errors: dict[str, str], name: str) -> str:
    """What is wrong with one field."""
    return errors.get(name, "")


@register.filter
def side(value: Any) -> str:
    """One side of a three-way difference."""
    return "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False)[:LONGEST_VALUE]


def _pairs(one: FlagDiff) -> list[tuple[str, str | None, str | None]]:
    """(field or "", before, after); the served variant has no field's name."""
    pairs: list[tuple[str, str | None, str | None]] = []
    if one.before != one.after:
        pairs.append(("", one.before, "no longer defined" if one.after is None else one.after))
    if one.before is None or one.after is None:
        return pairs
    return pairs + [(change.field, *_texts(change)) for change in one.fields if change.field != "defaultVariant"]


def _texts(change: FieldDiff) -> tuple[str | None, str | None]:
    return tuple(None if side is None else as_json(side)[:LONGEST_VALUE] for side in (change.before, change.after))  # type: ignore[return-value]  # exactly two
