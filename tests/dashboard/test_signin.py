"""Signing in: a link works once and for minutes; no password exists anywhere."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from connections.models import AuditRecord
from dashboard.accounts import AccountError, issue_link
from dashboard.models import SignInLink, User
from tests.support.people import person, signed_in

pytestmark = pytest.mark.django_db


def path_of(link: str) -> str:
    return urlsplit(link).path


def test_a_link_signs_its_person_in_and_leaves_the_token_behind() -> None:
    """The redirect goes to a plain address, and tells the browser to send no referrer."""
    client = Client()
    answer = client.get(path_of(issue_link("Rosa", "responder")))
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert answer["Referrer-Policy"] == "no-referrer"
    assert client.session["_auth_user_id"] == str(User.objects.get(name="Rosa").pk)


def test_a_link_works_once() -> None:
    """The second visitor is told so, with the command that prints a new link for the same person."""
    link = path_of(issue_link("Rosa", "responder"))
    Client().get(link)
    second = Client()
    answer = second.get(link)
    assert answer.status_code == 403
    assert "This link was used, or is older than 10 minutes." in answer.content.decode()
    assert "python manage.py signin_link --user Rosa --role responder" in answer.content.decode()
    assert "_auth_user_id" not in second.session


def test_a_link_grows_old() -> None:
    link = path_of(issue_link("Rosa", "responder"))
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().get(link).status_code == 403


def test_a_link_lives_as_long_as_the_setting_says() -> None:
    before = timezone.now()
    issue_link("Rosa", "responder")
    lifetime = SignInLink.objects.get().expires_at - before
    assert timedelta(0) <= lifetime - timedelta(minutes=settings.SIGNIN_LINK_MINUTES) < timedelta(seconds=10)


def test_a_link_for_somebody_deactivated_is_refused() -> None:
    link = path_of(issue_link("Rosa", "responder"))
    User.objects.update(is_active=False)
    assert Client().get(link).status_code == 403


def test_a_preview_by_HEAD_does_not_spend_the_link() -> None:  # noqa: N802 - the method's own name
    link = path_of(issue_link("Rosa", "responder"))
    assert Client().head(link).status_code == 405
    assert Client().get(link).status_code == 302


def test_an_invented_token_is_refused_with_a_general_command() -> None:
    answer = Client().get("/signin/invented/")
    assert answer.status_code == 403
    assert "--user NAME --role responder" in answer.content.decode()


@pytest.mark.parametrize("shape", ["{link}", "{token}", "  {link}\n", "{link}?next=/x"])
def test_the_field_takes_a_whole_link_or_its_token(shape: str) -> None:
    link = issue_link("Rosa", "responder")
    token = link.rstrip("/").rpartition("/")[2]
    client = Client()
    answer = client.post("/signin/", {"link": shape.format(link=link, token=token)})
    assert answer.status_code == 302
    assert "_auth_user_id" in client.session


def test_an_empty_field_says_what_belongs_there() -> None:
    answer = Client().post("/signin/", {"link": " "})
    assert answer.status_code == 422
    assert "Paste the sign-in link" in answer.content.decode()


def test_signing_in_leads_back_to_the_page_asked_for() -> None:
    """Also where the link was opened in the address bar, which knows nothing of the page."""
    client = Client()
    sent = client.get("/flags/?env=staging")
    assert sent["Location"] == "/signin/?next=%2Fflags%2F%3Fenv%3Dstaging"
    client.get(sent["Location"])
    assert client.get(path_of(issue_link("Rosa", "responder")))["Location"] == "/flags/?env=staging"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_next_never_leaves_the_site(elsewhere: str) -> None:
    link = path_of(issue_link("Rosa", "responder"))
    assert Client().get(link, {"next": elsewhere})["Location"] == "/"


def test_the_session_gets_a_new_key_and_none_of_another_persons_data() -> None:
    client = signed_in("viewer")
    before = client.session.session_key
    client.get(path_of(issue_link("Rosa", "responder")))
    assert client.session.session_key != before
    assert client.session["_auth_user_id"] == str(User.objects.get(name="Rosa").pk)


def test_signing_out_takes_a_post_and_ends_the_session() -> None:
    client = signed_in("viewer")
    assert client.get("/signout/").status_code == 405
    assert client.post("/signout/")["Location"] == "/signin/"
    assert client.get("/flags/").status_code == 302


def test_signing_out_needs_the_csrf_token() -> None:
    assert signed_in("viewer", csrf=True).post("/signout/").status_code == 403


def test_nobody_has_a_password() -> None:
    issue_link("Rosa", "responder")
    assert not User.objects.get().has_usable_password()
    assert not User.objects.get().check_password("")


def test_a_link_with_another_role_changes_the_role_and_is_audited() -> None:
    person("viewer")
    issue_link("Vera", "responder", actor="Ada")
    assert User.objects.get().role == "responder"
    row = AuditRecord.objects.get(action="person.role")
    assert (row.actor, row.subject, row.before, row.after) == (
        "Ada",
        "Vera",
        {"role": "viewer"},
        {"role": "responder"},
    )


def test_a_link_with_the_same_role_changes_nobody() -> None:
    person("viewer")
    issue_link("Vera", "viewer")
    assert not AuditRecord.objects.exists()


def test_a_new_person_is_audited() -> None:
    issue_link("Rosa", "responder", actor="Ada")
    assert AuditRecord.objects.get().action == "person.added"


@pytest.mark.parametrize(
    ("name", "role"), [("", "viewer"), ("x" * 151, "viewer"), ("a\nb", "viewer"), ("Rosa", "boss")]
)
def test_a_bad_name_or_role_is_refused_by_name(name: str, role: str) -> None:
    with pytest.raises(AccountError, match=r"^(name|role): "):
        issue_link(name, role)
    assert not User.objects.exists()


def test_only_the_hash_of_a_link_is_stored() -> None:
    token = issue_link("Rosa", "responder").rstrip("/").rpartition("/")[2]
    assert token not in SignInLink.objects.get().hash
