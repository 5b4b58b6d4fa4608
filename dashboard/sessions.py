"""Who is signed in where, and ending it: at the next request, and at once on open live sockets (`live/sessions.py`)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from connections.models import AuditRecord
from dashboard.models import SignIn, User


@dataclass(frozen=True)
class Living:
    """One session that would be let in now."""

    sign_in: SignIn
    expires_at: datetime
    device: str


def note_sign_in(request: HttpRequest, user: User, how: str) -> None:
    """Remember where a new session came from; rows of sessions that are gone go with it."""
    if request.session.session_key is None:
        request.session.save()
    SignIn.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    SignIn.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "at": timezone.now(),
            "how": how,
            "address": _address(request)[:64],
            "agent": request.headers.get("User-Agent", "")[:200],
        },
    )


def living(people: Iterable[User] | None = None) -> list[Living]:
    """The sessions that hold, newest first; of everybody, or of these people."""
    rows = SignIn.objects.select_related("user").order_by("-at")
    if people is not None:
        rows = rows.filter(user__in=list(people))
    found = list(rows)
    keys = [row.session_key for row in found]
    ends = dict(
        Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now()).values_list(
            "session_key", "expire_date"
        )
    )
    return [Living(row, ends[row.session_key], device_of(row.agent)) for row in found if row.session_key in ends]


def end(rows: Collection[SignIn], *, by: User) -> int:
    """End these sessions, with one audit row for each; how many had not ended already."""
    ended = 0
    with transaction.atomic():
        for row in rows:
            if Session.objects.filter(session_key=row.session_key).delete()[0]:
                ended += 1
                AuditRecord.objects.create(
                    actor=by.name,
                    action="session.ended",
                    subject=row.user.name,
                    before={"signed_in": row.at.isoformat(), "device": device_of(row.agent), "address": row.address},
                )
            row.delete()
    return ended


def device_of(agent: str) -> str:
    """A browser and a system, as people call them: "Firefox on Linux"."""
    browsers = (
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    )
    systems = (
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
    )
    browser = next((name for mark, name in browsers if mark in agent), "")
    system = next((name for mark, name in (*systems, ("Linux", "Linux")) if mark in agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or agent.partition(" ")[0][:40] or "unknown"


def _address(request: HttpRequest) -> str:
    """The browser's address, or the last hop that the balancer itself saw where there is one."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.SECURE_PROXY_SSL_HEADER else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))
