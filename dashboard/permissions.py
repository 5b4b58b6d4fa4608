"""Who may see, act and administer: one decorator for pages, one for JSON interfaces.

Roles are ordered: viewer < responder < administrator. Programs come with `Authorization: Bearer rwt_...`; the scope of
their token stands for a role, and what they do is signed "token NAME".
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django_htmx.http import HttpResponseClientRedirect

from dashboard.accounts import TOKEN_PREFIX, token_for
from dashboard.models import ApiToken, User

View = TypeVar("View", bound=Callable[..., Any])
Caller = User | AnonymousUser

VIEWER = User.Role.VIEWER.value
RESPONDER = User.Role.RESPONDER.value
ADMINISTRATOR = User.Role.ADMINISTRATOR.value
ORDER = (VIEWER, RESPONDER, ADMINISTRATOR)
ROLE_OF_SCOPE = {
    ApiToken.Scope.READ: VIEWER,
    ApiToken.Scope.DEPLOY: VIEWER,
    ApiToken.Scope.ACT: RESPONDER,
    ApiToken.Scope.ADMIN: ADMINISTRATOR,
}
NAMES_SHOWN = 8


def allows(user: Caller, role: str) -> bool:
    """Whether `user` has `role` or a higher one."""
    return isinstance(user, User) and user.is_active and ORDER.index(user.role) >= ORDER.index(role)


def person(request: HttpRequest) -> User:
    """Who is asking, in a view behind `require` or `require_api`; `.name` signs what they do."""
    return cast("User", request.user)


def refusal(role: str, what: str = "this page") -> str:
    """The sentence for someone who lacks `role`; `what` is plural or ends in "page": "flags", "targets"."""
    holders = User.objects.filter(role__in=ORDER[ORDER.index(role) :], is_active=True).order_by("name")
    names = list(holders.values_list("name", flat=True)[: NAMES_SHOWN + 1])
    shown = ", ".join(names[:NAMES_SHOWN]) + (" and others" if len(names) > NAMES_SHOWN else "")
    title = "Administrators" if role == ADMINISTRATOR else "Responders"
    seen = "You cannot see this page." if what == "this page" else f"You can see {what} but not change them."
    return f"{seen} {title}: {shown or 'nobody yet'}."


def require(role: str, what: str = "this page") -> Callable[[View], View]:
    """Only people with `role` reach the view, sync or async.

    Others are sent to sign in and come back (GET), or get a page that says who may. Under /api/ the same is told as
    JSON with 401 or 403; state-changing interfaces use `require_api`.
    """
    return _guard(role, what, api=False)


def require_api(role: str, what: str = "this page", *, scope: str = "") -> Callable[[View], View]:
    """The same for JSON interfaces that change something: a Bearer token needs no CSRF token, a session does. `scope`:
    that of tokens which may do this although their role may not."""
    return _guard(role, what, api=True, scope=scope)


def _guard(role: str, what: str, *, api: bool, scope: str = "") -> Callable[[View], View]:
    if role not in ORDER:
        raise ValueError(f"role: {role!r} is none of {', '.join(ORDER)}")

    def decorate(view: View) -> View:
        guard = _async_guard if iscoroutinefunction(view) else _sync_guard
        guarded = guard(view, _Rule(role, what, api, scope))
        return cast("View", csrf_exempt(guarded) if api else guarded)

    return decorate


@dataclass(frozen=True, slots=True)
class _Rule:
    """Who may reach a view."""

    role: str
    what: str
    api: bool
    scope: str


def _sync_guard(view: Callable[..., HttpResponseBase], rule: _Rule) -> Callable[..., HttpResponseBase]:
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return _refused(request, rule) or view(request, *args, **kwargs)

    return inner


def _async_guard(
    view: Callable[..., Awaitable[HttpResponseBase]], rule: _Rule
) -> Callable[..., Awaitable[HttpResponseBase]]:
    @wraps(view)
    async def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refused = await sync_to_async(_refused)(request, rule)
        return refused or await view(request, *args, **kwargs)

    return inner


def _refused(request: HttpRequest, rule: _Rule) -> HttpResponse | None:
    """None where the caller may go on; `request.user` is then loaded (async views may read it), and for programs it
    is a stand-in named after the token."""
    as_json = rule.api or request.path.startswith(("/api/", "/metrics"))
    bearer = _bearer(request) if as_json else ""
    scope, user = _program(bearer) if bearer else ("", request.user)
    if not user.is_authenticated:
        return _unknown(request, as_json)
    if rule.api and not bearer and (reason := _csrf_failure(request)):
        return _json_error(403, "csrf", f"{reason} Send the X-CSRFToken header, or use a Bearer token.")
    if not allows(user, rule.role) and not (scope and scope == rule.scope):
        sentence = refusal(rule.role, rule.what)
        if as_json:
            return _json_error(403, "role", sentence)
        return render(request, "signin/forbidden.html", {"sentence": sentence}, status=403)
    if bearer:
        request.user = user
    return None


def _unknown(request: HttpRequest, as_json: bool) -> HttpResponse:
    if as_json:
        answer = _json_error(401, "token", "Sign in, or send a living token: Authorization: Bearer rwt_...")
        answer["WWW-Authenticate"] = 'Bearer realm="readywire"'
        return answer
    back = request.get_full_path() if request.method in ("GET", "HEAD") else request.path
    address = reverse("signin") + "?" + urlencode({"next": back})
    if getattr(request, "htmx", False):
        # A redirect would put the sign-in page inside the fragment that htmx swaps.
        return HttpResponseClientRedirect(reverse("signin"))
    return HttpResponseRedirect(address)


def _bearer(request: HttpRequest) -> str:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _program(secret: str) -> tuple[str, Caller]:
    """The token's scope, and the stand-in that has its role."""
    token = token_for(secret) if secret.startswith(TOKEN_PREFIX) else None
    if token is None:
        return "", AnonymousUser()
    return token.scope, User(name=f"token {token.name}", role=ROLE_OF_SCOPE[ApiToken.Scope(token.scope)])


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, telling the reason instead of answering with a page."""

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _csrf_failure(request: HttpRequest) -> str | None:
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    return cast("str | None", check.process_view(request, lambda _: HttpResponse(), (), {}))


def _json_error(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
