"""Pages for what went wrong: plain words, the cure, and no menu for strangers."""

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.views.defaults import server_error

from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db


def test_a_stranger_finds_nothing_and_no_menu() -> None:
    page = Client().get("/nowhere/")
    assert page.status_code == 404
    assert "Nothing is here" in text(page)
    assert "/rollback/" not in page.content.decode()


def test_a_person_finds_nothing_and_the_way_back() -> None:
    page = signed_in("viewer").get("/nowhere/")
    assert page.status_code == 404
    assert "/rollback/" in page.content.decode()


@pytest.mark.parametrize(
    "address", ["/api/v1/nowhere", "/ofrep/v2/evaluate/flags", "/api/v1/environments/staging/nothing/"]
)
def test_a_program_finds_nothing_as_json(address: str) -> None:
    answer = Client().get(address)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert address in answer.json()["error"]["message"]


def test_our_own_failure_says_so_and_how_to_roll_back() -> None:
    request: HttpRequest = RequestFactory().get("/")
    page = server_error(request)
    assert page.status_code == 500
    assert "python manage.py rollback emergency" in text(page)
