"""Who may see, act and administer; and that no address was forgotten."""

import json
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from dashboard.accounts import create_token, revoke_token
from dashboard.models import User
from dashboard.permissions import allows, person, require, require_api
from tests.support.people import CAST, signed_in
from tests.support.people import person as member

pytestmark = pytest.mark.django_db

OPEN = {"/signin/", "/healthz", "/readyz", "/api/v1/openapi.json"}
SAMPLES = {"environment_key": "staging", "number": "1", "plan_key": "phase-1", "token": "x", "slug": "chat"}


def addresses(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[str]:
    """Every address of the product, with a sample in each place."""
    for entry in (resolver or get_resolver()).url_patterns:
        assert isinstance(entry.pattern, RoutePattern), f"{entry.pattern}: use path(), so that this test can walk it"
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from addresses(entry, route)
            continue
        assert isinstance(entry, URLPattern)
        for name, converter in entry.pattern.converters.items():
            sample = SAMPLES.get(name, "1" if type(converter).__name__ == "IntConverter" else "sample")
            route = route.replace(next(part for part in _places(route) if part.rstrip(">").endswith(name)), sample)
        yield route


def _places(route: str) -> list[str]:
    return [part[: part.index(">") + 1] for part in route.replace("<", " <").split(" ") if part.startswith("<")]


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_nothing_answers_strangers_except_signing_in_and_health(method: str) -> None:
    found = list(addresses())
    assert "/flags/staging/change/" in found
    for address in found:
        answer = getattr(Client(), method)(address)
        if address not in OPEN:
            assert answer.status_code in (301, 302, 401, 403, 405), f"{method} {address}: {answer.status_code}"
            assert answer.status_code not in (301, 302) or answer["Location"].startswith("/signin/"), address


def test_roles_are_ordered() -> None:
    viewer, responder, administrator = (User(role=role) for role in CAST)
    assert [allows(viewer, role) for role in CAST] == [True, False, False]
    assert [allows(responder, role) for role in CAST] == [True, True, False]
    assert [allows(administrator, role) for role in CAST] == [True, True, True]
    assert not allows(User(role="administrator", is_active=False), "viewer")


def test_an_unknown_role_is_a_mistake_in_the_code() -> None:
    with pytest.raises(ValueError, match="'boss' is none of"):
        require("boss")


def test_a_viewer_is_told_who_may_act() -> None:
    member("responder")
    member("administrator")
    answer = signed_in("viewer").get("/flags/staging/change/")
    assert answer.status_code == 403
    assert "You can see flags but not change them. Responders: Ada, Rosa." in answer.content.decode()


def test_a_viewer_cannot_act_by_posting() -> None:
    answer = signed_in("viewer").post("/rollback/staging/phase-1/", {"reason": "not my job today"})
    assert answer.status_code == 403


def test_a_stranger_comes_back_to_the_page_asked_for() -> None:
    assert Client().get("/audit/?who=Rosa")["Location"] == "/signin/?next=%2Faudit%2F%3Fwho%3DRosa"


def test_a_fragment_sends_the_whole_page_to_sign_in() -> None:
    """htmx would otherwise put the sign-in page into a corner of the page."""
    answer = Client().get("/flags/", headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == "/signin/"


@require("viewer")
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(person(request).name)


@require_api("responder")
def interface(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"who": person(request).name})


@require_api("viewer")
async def waiting_interface(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"who": person(request).name})


def told(answer: HttpResponse) -> str:
    return str(json.loads(answer.content)["error"]["code"])


@pytest.mark.parametrize(("scope", "status"), [("read", 403), ("act", 200), ("admin", 200)])
def test_a_tokens_scope_stands_for_a_role(scope: str, status: int) -> None:
    secret = create_token("ci", scope)
    answer = interface(RequestFactory().post("/api/v1/things", headers={"Authorization": f"Bearer {secret}"}))
    assert answer.status_code == status
    if status == 200:
        assert json.loads(answer.content) == {"who": "token ci"}


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer rwt_invented", "Basic cm9zYTo=", "Bearer rws_a-server-key"])
def test_without_a_living_token_an_interface_answers_401_as_json(sent: str) -> None:
    request = RequestFactory().post("/api/v1/things", headers={"Authorization": sent})
    request.user = AnonymousUser()
    answer = interface(request)
    assert (answer.status_code, told(answer)) == (401, "token")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_is_refused() -> None:
    secret = create_token("ci", "admin")
    revoke_token("ci")
    answer = interface(RequestFactory().post("/api/v1/things", headers={"Authorization": f"Bearer {secret}"}))
    assert answer.status_code == 401


def test_a_token_opens_no_page() -> None:
    secret = create_token("ci", "admin")
    assert Client().get("/flags/", headers={"Authorization": f"Bearer {secret}"}).status_code == 302


def test_a_session_on_an_interface_needs_the_csrf_token() -> None:
    """Another site can make a browser send its cookies, but not this header."""
    request = RequestFactory().post("/api/v1/things")
    request.user = member("responder")
    answer = interface(request)
    assert (answer.status_code, told(answer)) == (403, "csrf")


def test_a_session_with_the_csrf_token_may_use_an_interface() -> None:
    token = "x" * 32
    request = RequestFactory().post("/api/v1/things", headers={"X-CSRFToken": token})
    request.COOKIES["csrftoken"] = token
    request.user = member("responder")
    assert interface(request).status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_an_async_interface_reads_who_is_asking_without_touching_the_database() -> None:
    secret = await sync_to_async(create_token)("ci", "read")
    request = AsyncRequestFactory().get("/api/v1/things", headers={"Authorization": f"Bearer {secret}"})
    answer = await waiting_interface(request)
    assert json.loads(answer.content) == {"who": "token ci"}
