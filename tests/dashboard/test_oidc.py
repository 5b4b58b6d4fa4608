"""Sign-in by OpenID Connect: who is let in, as whom, and as what; through a real provider on a socket."""

import importlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from connections.models import AuditRecord
from dashboard.accounts import AccountError
from dashboard.env import SettingError, read
from dashboard.models import User
from dashboard.oidc import NotAdmittedError, admit, adopt, groups_in, role_for
from tests.support.daphne import Daphne
from tests.support.people import person

# The provider's own libraries warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore:(authlib|The httpx module|get_jwt_config).*:DeprecationWarning")
ROLES = {"admins": "administrator", "oncall": "responder"}


@pytest.fixture
def provider(settings: Settings, db: None) -> None:
    settings.OIDC_ISSUER = "https://login.example"
    settings.OIDC_ROLES = ROLES


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "1f", "name": "Rosa Lind", "groups": ["oncall"], **more}


# Claims


@pytest.mark.parametrize(
    ("told", "path", "found"),
    [
        ({"groups": ["a", "b"]}, "groups", ["a", "b"]),
        ({"groups": "a"}, "groups", ["a"]),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"https://x.example/groups": ["a"]}, "https://x.example/groups", ["a"]),
        ({}, "groups", []),
        ({"groups": {"a": 1}}, "groups", []),
        ({"groups": [1, None, "a"]}, "groups", ["a"]),
        ({"realm_access": "a"}, "realm_access.roles", []),
    ],
)
def test_groups_are_read_wherever_they_stand(told: dict[str, Any], path: str, found: list[str]) -> None:
    assert groups_in(told, path) == found


def test_the_highest_role_counts_and_a_star_is_everybody() -> None:
    assert role_for(["oncall", "admins"], ROLES) == "administrator"
    assert role_for(["else"], ROLES) is None
    assert role_for(["else"], {**ROLES, "*": "viewer"}) == "viewer"
    assert role_for(["oncall"], {**ROLES, "*": "viewer"}) == "responder"


# Admitting


@pytest.mark.usefixtures("provider")
def test_a_person_is_added_once_and_their_role_follows_their_groups() -> None:
    rosa = admit(claims())
    assert (rosa.name, rosa.role, rosa.subject) == ("Rosa Lind", "responder", "https://login.example 1f")
    again = admit(claims(name="Rosa Berg", groups=["admins"]))
    assert (again.pk, again.name, again.role) == (rosa.pk, "Rosa Lind", "administrator")
    assert list(AuditRecord.objects.order_by("pk").values_list("action", flat=True)) == ["person.added", "person.role"]


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"groups": ["kitchen"]}, "None of your groups"),
        ({"groups": []}, "None of your groups"),
        ({"sub": ""}, "has no sub"),
        ({"sub": 7}, "has no sub"),
        ({"name": " "}, "sends no name"),
        ({"name": "a\x00b"}, "printable"),
        ({"name": "a" * 151}, "printable"),
    ],
)
def test_who_is_not_let_in_is_told_why(told: dict[str, Any], why: str) -> None:
    with pytest.raises(NotAdmittedError, match=why):
        admit(claims(**told))
    assert not User.objects.exists()


@pytest.mark.usefixtures("provider")
def test_a_name_that_somebody_bears_is_refused_until_a_shell_ties_them() -> None:
    """Two accounts of one human would be two people to the four-eyes rule."""
    known = person("administrator", "rosa lind")
    with pytest.raises(NotAdmittedError, match="oidc_person --user 'Rosa Lind' --subject '1f'"):
        admit(claims())
    call_command("oidc_person", user="rosa lind", subject="1f")
    assert admit(claims()).pk == known.pk
    with pytest.raises(AccountError, match="that is 'rosa lind' already"):
        adopt(person("viewer").name, "1f", actor="root")


@pytest.mark.usefixtures("provider")
def test_somebody_deactivated_stays_out() -> None:
    admit(claims())
    User.objects.update(is_active=False)
    with pytest.raises(NotAdmittedError, match="deactivated"):
        admit(claims())


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"OIDC_ISSUER": "login.example"},
        {"OIDC_ISSUER": "http://login.example"},
        {"OIDC_ISSUER": "https://login.example"},
        {"OIDC_ROLES": "oncall"},
        {"OIDC_ROLES": "oncall=king"},
    ],
)
def test_settings_that_let_nobody_in_stop_the_start(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="OIDC_"):
        read({"DATA_DIR": str(tmp_path), **wrong})


@pytest.mark.django_db
def test_without_a_provider_nothing_speaks_of_one() -> None:
    assert "/signin/oidc/" not in Client().get("/signin/").content.decode()
    assert Client().get("/signin/oidc/login/").status_code == 404


# The whole way


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daphne]:
    with warnings.catch_warnings(record=True):
        mock = importlib.import_module("oidc_provider_mock")
    known = [
        mock.User(sub="1f", claims={"name": "Rosa Lind", "groups": ["oncall"]}),
        mock.User(sub="2c", claims={"name": "Kim", "groups": ["kitchen"]}),
    ]
    with mock.run_server_in_thread(user_claims=known) as server:
        setup = {
            "OIDC_ISSUER": f"http://localhost:{server.server_port}",
            "OIDC_CLIENT_ID": "readywire",
            "OIDC_CLIENT_SECRET": "between us",
            "OIDC_ROLES": "oncall=responder",
        }
        with Daphne(tmp_path_factory.mktemp("oidc"), **setup) as daphne:
            daphne.manage("migrate", "-v0")
            yield daphne


def through(client: httpx.Client, web: Daphne, sub: str) -> httpx.Response:
    """From our sign-in page by the provider's form and back: our answer to the callback."""
    leaving = client.get(f"{web.url}/signin/oidc/login/")
    assert leaving.status_code == 302
    form = leaving.headers["Location"]
    assert "code_challenge_method=S256" in form
    back = client.post(form, data={"sub": sub})
    assert back.status_code == 302, back.text
    return client.get(back.headers["Location"])


def test_somebody_signs_in_through_the_provider(web: Daphne) -> None:
    with httpx.Client() as client:
        asked = client.get(f"{web.url}/audit/")
        assert asked.status_code == 302
        page = client.get(web.url + asked.headers["Location"])
        assert "Sign in with your organisation" in page.text
        back = through(client, web, "1f")
        assert (back.status_code, back.headers["Location"]) == (302, "/audit/")
        assert "Rosa Lind" in client.get(f"{web.url}/sessions/").text
        assert client.get(f"{web.url}/flags/staging/change/").status_code == 200


def test_somebody_of_another_group_is_told_that_they_may_not(web: Daphne) -> None:
    with httpx.Client() as client:
        back = through(client, web, "2c")
        assert back.status_code == 403
        assert "None of your groups may come in here." in back.text
        assert client.get(f"{web.url}/").status_code == 302


@pytest.mark.parametrize("query", ["", "?code=x&state=invented", "?error=access_denied&state=invented"])
def test_an_answer_that_nobody_asked_for_signs_nobody_in(web: Daphne, query: str) -> None:
    with httpx.Client() as client:
        answer = client.get(f"{web.url}/signin/oidc/login/callback/{query}")
        assert answer.status_code == 403
        assert "Not signed in" in answer.text
        assert client.get(f"{web.url}/").status_code == 302
