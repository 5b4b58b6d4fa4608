"""A form is carried out once, however often it is sent: a double click, a reload, a retry after a lost answer."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from dashboard.models import Submission

KEEP = timedelta(days=1)


@dataclass(frozen=True)
class Done:
    """What the act returned. `again`: it had been carried out before, and nothing was done now."""

    result: dict[str, Any]
    again: bool


def new_key() -> str:
    """A key for one form: put into a hidden field when the form is made."""
    return secrets.token_urlsafe(24)


def once(key: str, author: str, act: Callable[[], dict[str, Any]]) -> Done:
    """Carry out `act` unless a form with this key was carried out already; its result is JSON and kept a day.

    The key and the act are one transaction: an act that raises leaves no key, and the form may be sent again.
    """
    with transaction.atomic():
        try:
            with transaction.atomic():
                # PostgreSQL makes a second sender wait here for the first; SQLite at BEGIN.
                Submission.objects.create(key=key, author=author)
        except IntegrityError:
            return Done(Submission.objects.get(key=key).result, again=True)
        result = act()
        Submission.objects.filter(key=key).update(result=result)
        Submission.objects.filter(at__lt=timezone.now() - KEEP).delete()
    return Done(result, again=False)
