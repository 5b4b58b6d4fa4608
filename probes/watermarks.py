"""How far a periodic duty has come. Whoever moves the mark owns the window; the others see that it moved."""

from datetime import datetime

from probes.models import Watermark


def read(name: str, *, first: datetime) -> datetime:
    """The stored mark; `first`, stored now, where there is none."""
    Watermark.objects.bulk_create([Watermark(name=name, at=first)], ignore_conflicts=True)
    return Watermark.objects.values_list("at", flat=True).get(name=name)


def find(name: str) -> datetime | None:
    """The stored mark, if there is one."""
    return Watermark.objects.filter(name=name).values_list("at", flat=True).first()


def advance(name: str, before: datetime, after: datetime) -> bool:
    """Move the mark, if it still stands at `before`. False: somebody else moved it, and owns the window."""
    return Watermark.objects.filter(name=name, at=before).update(at=after) == 1
