"""Which sessions still hold: a page stays open for hours, and what it may see ends with its session."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils.crypto import constant_time_compare

from dashboard.models import User


def living(keys: Collection[str], now: datetime) -> set[str]:
    """Those of the session keys that would still be let in: not ended, not expired, of a person who is still active."""
    sessions = {
        session.session_key: session.get_decoded()
        for session in Session.objects.filter(session_key__in=keys, expire_date__gt=now)
    }
    ids = {data.get(SESSION_KEY) for data in sessions.values()}
    people = {str(user.pk): user for user in User.objects.filter(pk__in=[pk for pk in ids if pk], is_active=True)}
    return {key for key, data in sessions.items() if _bound(data, people.get(data.get(SESSION_KEY, "")))}


def _bound(data: Mapping[str, Any], user: User | None) -> bool:
    return user is not None and constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
