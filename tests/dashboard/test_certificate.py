"""A target's certificate on its page and its probes: whose, until when, and a warning while that is soon."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.certificates import told
from dashboard.queries.target import identity_of
from probes.engine.outcome import Certificate
from probes.models import ServedCertificate, Target
from probes.recording import record
from tests.support.outcomes import entry, stored_target, success
from tests.support.pages import text
from tests.support.people import signed_in

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "until", "soon"),
    [
        (timedelta(days=60), "valid until 20 Jan 2027 (in 60 days)", False),
        (timedelta(days=14), "valid until 5 Dec 2026 (in 14 days)", False),
        (timedelta(days=13, hours=23), "valid until 5 Dec 2026 (in 13 days)", True),
        (timedelta(days=1), "valid until 22 Nov 2026 (in 1 day)", True),
        (timedelta(hours=5), "valid until 21 Nov 2026 (in less than a day)", True),
        (timedelta(hours=-1), "expired on 21 Nov 2026", True),
    ],
)
def test_the_end_is_told_with_its_day_and_the_time_left(left: timedelta, until: str, soon: bool) -> None:
    shown = told(Certificate("a.example", "R3", NOW, NOW + left), NOW, ZoneInfo("UTC"), timedelta(days=14))
    assert shown.whose == "a.example, issued by R3"
    assert shown.until.replace("\xa0", " ") == until
    assert shown.soon is soon


def wss_target(days: float) -> Target:
    target = stored_target("chat", url="wss://chat.example/ws")
    slot = timezone.now() - timedelta(minutes=1)
    ends = timezone.now() + timedelta(days=days, minutes=1)
    certificate = Certificate("chat.example", "R3", slot - timedelta(days=80), ends)
    outcome = success(certificate=certificate)
    tls = {**outcome.marks, "tls_done": 340}
    record([entry(target, slot, success(certificate=certificate, marks=tls))], now=timezone.now())
    return target


@pytest.fixture
def viewer() -> Client:
    return signed_in("viewer")


@pytest.mark.django_db(transaction=True)
def test_a_target_page_and_its_probe_tell_the_certificate(viewer: Client) -> None:
    target = wss_target(40)
    slot = ServedCertificate.objects.get().since
    page = text(viewer.get("/targets/chat/")).replace("\xa0", " ")
    assert "Certificate of chat.example, issued by R3, valid until" in page
    assert "(in 40 days)" in page
    assert "Renew" not in page
    opened = viewer.get("/targets/chat/", {"probe": identity_of("local", slot)}).content.decode()
    assert "<dt>Certificate</dt><dd>chat.example, issued by R3, valid until" in opened
    assert target.url.startswith("wss:")


@pytest.mark.django_db(transaction=True)
def test_one_that_ends_soon_is_a_warning_with_shape_and_words_and_no_failure(viewer: Client) -> None:
    wss_target(12)
    answer = viewer.get("/targets/chat/")
    page = text(answer).replace("\xa0", " ")
    assert "Renew the certificate. It is for chat.example, issued by R3, valid until" in page
    assert "(in 12 days)" in page
    assert 'id="certificate"><svg class="shape shape--degraded"' in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_plain_target_says_nothing_of_certificates(viewer: Client) -> None:
    """Not even where it spoke TLS before its address changed."""
    target = wss_target(12)
    Target.objects.filter(pk=target.pk).update(url="ws://chat.example/ws")
    assert 'id="certificate"' not in viewer.get("/targets/chat/").content.decode()
