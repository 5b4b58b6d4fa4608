"""What people read of a target's certificate: whose it is, until when, and whether that is soon."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dashboard.sentences import NBSP, plural
from probes.engine.outcome import Certificate
from probes.models import ServedCertificate


@dataclass(frozen=True, slots=True)
class Told:
    """`whose` and `until` for two places of a page; `soon`: somebody should renew it now."""

    whose: str
    until: str
    soon: bool
    since: datetime | None = None
    """The first slot that saw it, where that is known."""


def told(certificate: ServedCertificate | Certificate, now: datetime, zone: ZoneInfo, warning: timedelta) -> Told:
    """The certificate in words; `warning`: how long before its end it is a matter of today."""
    left = certificate.not_after - now
    date = certificate.not_after.astimezone(zone)
    day = f"{date.day}{NBSP}{date:%b}{NBSP}{date.year}"
    issuer = f", issued by {certificate.issuer}" if certificate.issuer else ""
    until = f"expired on {day}" if left < timedelta(0) else f"valid until {day} ({_in(left)})"
    since = certificate.since if isinstance(certificate, ServedCertificate) else None
    return Told(f"{certificate.subject or 'no name'}{issuer}", until, left < warning, since)


def _in(left: timedelta) -> str:
    if left < timedelta(days=1):
        return "in less than a day"
    return f"in {plural(left.days, 'day')}"
