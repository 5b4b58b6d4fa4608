"""Sessions: seen and ended by their person and by administrators; an ended one is refused at its next request."""

from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from connections.models import AuditRecord
from dashboard.accounts import issue_link
from dashboard.live.sessions import living
from dashboard.models import SignIn
from dashboard.sessions import device_of
from tests.support.pages import text

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"


def signed_in(name: str, role: str = "responder", agent: str = FIREFOX) -> Client:
    client = Client(headers={"User-Agent": agent})
    assert client.get(urlsplit(issue_link(name, role)).path).status_code == 302
    return client


def row_of(client: Client) -> SignIn:
    return SignIn.objects.get(session_key=client.session.session_key)


def works(client: Client) -> bool:
    return client.get("/sessions/").status_code == 200


def test_people_see_their_own_sessions_alone() -> None:
    desk = signed_in("Rosa")
    signed_in("Rosa", agent=CHROME)
    signed_in("Mara")
    page = text(desk.get("/sessions/"))
    assert "Firefox on Linux this one" in page
    assert "Chrome on Android" in page
    assert "Other people" not in page
    assert "Mara" not in page


def test_an_ended_session_is_refused_at_once_and_its_live_sockets_close() -> None:
    desk, phone = signed_in("Rosa"), signed_in("Rosa", agent=CHROME)
    key = str(phone.session.session_key)
    assert living([key], timezone.now()) == {key}
    answer = desk.post(f"/sessions/{row_of(phone).pk}/end/", follow=True)
    assert "One session ended." in text(answer)
    assert not works(phone)
    assert works(desk)
    assert living([key], timezone.now()) == set()
    assert AuditRecord.objects.filter(actor="Rosa", action="session.ended", subject="Rosa").count() == 1


def test_nobody_ends_the_session_of_another_but_an_administrator() -> None:
    rosa, mara, ada = signed_in("Rosa"), signed_in("Mara"), signed_in("Ada", "administrator")
    assert mara.post(f"/sessions/{row_of(rosa).pk}/end/").status_code == 404
    assert works(rosa)
    assert "Rosa" in text(ada.get("/sessions/"))
    ada.post(f"/sessions/{row_of(rosa).pk}/end/")
    assert not works(rosa)
    assert works(mara)


def test_all_others_end_in_one_press() -> None:
    desk, phone, other = signed_in("Rosa"), signed_in("Rosa", agent=CHROME), signed_in("Mara")
    assert "End all but this one" in text(desk.get("/sessions/"))
    desk.post("/sessions/end-others/")
    assert works(desk)
    assert not works(phone)
    assert works(other)


def test_a_session_that_is_gone_is_no_error() -> None:
    desk, phone = signed_in("Rosa"), signed_in("Rosa", agent=CHROME)
    number = row_of(phone).pk
    phone.post("/signout/")
    assert "That session had ended already." in text(desk.post(f"/sessions/{number}/end/", follow=True))
    assert desk.post("/sessions/999999/end/").status_code == 302


def test_one_s_own_session_ends_too() -> None:
    desk = signed_in("Rosa")
    desk.post(f"/sessions/{row_of(desk).pk}/end/")
    assert not works(desk)


@pytest.mark.parametrize(
    ("agent", "device"),
    [(FIREFOX, "Firefox on Linux"), (CHROME, "Chrome on Android"), ("curl/8.1", "curl/8.1"), ("", "unknown")],
)
def test_a_device_is_named_as_people_call_it(agent: str, device: str) -> None:
    assert device_of(agent) == device
