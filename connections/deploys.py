"""Marking deploys: that a service went to another version somewhere. Nothing is served differently by it.

A deploy is named by environment, service, version and moment: told again, it is the same one. Who gives no moment
means now; the same version of a service within `SAME_WITHIN` is then the same deploy, because a job that is tried again
tells it again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from connections.flags.changing import check_reason
from connections.flags.reading import environment
from connections.models import AuditRecord, Deploy, Environment

SAME_WITHIN = timedelta(minutes=10)
AHEAD_AT_MOST = timedelta(minutes=1)
"""How far another machine's clock may be ahead of ours."""
OLDEST = timedelta(days=366)
LONGEST_NAME, LONGEST_LINK, LONGEST_WHO = 100, 500, 150


class BadDeploy(Exception):  # noqa: N818 - an answer to whoever tells it, not a fault of ours
    """A deploy that cannot be marked. `field`: what of it is wrong; the message says the cure."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Told:
    """A deploy as somebody tells it. `at`: aware; None: now. `who`: None or empty: whoever tells it."""

    service: str
    version: str
    link: str = ""
    who: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A deploy that is marked. `new`: not before this time."""

    deploy: Deploy
    new: bool


def mark(environment_key: str, told: Told, *, author: str, now: datetime, reason: str = "") -> Marked:
    """Keep a deploy, once however often it is told. Raises BadDeploy or UnknownEnvironment."""
    environment(environment_key)
    for problem in problems(told, now):
        raise problem
    told = Told(told.service.strip(), told.version.strip(), told.link.strip(), told.who.strip(), told.at)
    with transaction.atomic():
        # Two that tell the same at the same moment wait here for each other.
        stage = Environment.objects.select_for_update().get(key=environment_key)
        known = _known(stage, told, now)
        if known is not None:
            return Marked(known, new=False)
        made = Deploy.objects.create(
            environment=stage,
            service=told.service,
            version=told.version,
            link=told.link,
            who=told.who or author,
            at=told.at or now,
            told_at=now,
            told_by=author,
        )
        _audit(made, author, "deploy.marked", reason, None, as_told(made))
    return Marked(made, new=True)


def remove(deploy: Deploy, *, author: str, reason: str) -> None:
    """Take back a mark that was wrong; the audit trail keeps it. Raises ReasonMissing; one that is gone stays gone."""
    check_reason(deploy.environment, reason)
    with transaction.atomic():
        if Deploy.objects.filter(pk=deploy.pk).delete()[0]:
            _audit(deploy, author, "deploy.removed", reason, as_told(deploy), None)


def as_told(deploy: Deploy) -> dict[str, Any]:
    """A deploy as JSON, without its environment and number."""
    return {
        "service": deploy.service,
        "version": deploy.version,
        "link": deploy.link,
        "who": deploy.who,
        "at": deploy.at.isoformat(),
    }


def _known(stage: Environment, told: Told, now: datetime) -> Deploy | None:
    """The same deploy, where it was told before."""
    of_service = Deploy.objects.filter(environment=stage, service=told.service)
    if told.at is not None:
        return of_service.filter(version=told.version, at=told.at).first()
    newest = of_service.filter(at__gt=now - SAME_WITHIN).first()
    return newest if newest and newest.version == told.version else None


def problems(told: Told, now: datetime) -> list[BadDeploy]:
    """All that is wrong with a deploy as it was told."""
    found = [
        BadDeploy(field, f"Name the {field} in 1 to {LONGEST_NAME} characters.")
        for field, value in (("service", told.service), ("version", told.version))
        if not 0 < len(value.strip()) <= LONGEST_NAME or not value.strip().isprintable()
    ]
    if len(told.who.strip()) > LONGEST_WHO or not told.who.strip().isprintable():
        found.append(BadDeploy("who", f"Say who deployed it in at most {LONGEST_WHO} characters."))
    if told.link.strip() and not _is_address(told.link.strip()):
        rule = f"A link begins with https:// or http://, has at most {LONGEST_LINK} characters and no password."
        found.append(BadDeploy("link", rule))
    if told.at is not None and not now - OLDEST <= told.at <= now + AHEAD_AT_MOST:
        rule = "A deploy was within the last year, and not ahead of now. Without a time it is now."
        found.append(BadDeploy("at", rule))
    return found


def _is_address(link: str) -> bool:
    """A browser may open it, and it gives no secret away."""
    if len(link) > LONGEST_LINK or not link.isprintable() or " " in link:
        return False
    try:
        parts = urlsplit(link)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def _audit(
    deploy: Deploy, actor: str, action: str, reason: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    AuditRecord.objects.create(
        actor=actor,
        action=action,
        environment=deploy.environment,
        subject=deploy.name[:200],
        reason=reason,
        before=before,
        after=after,
    )
