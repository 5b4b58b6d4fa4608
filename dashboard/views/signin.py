"""Signing in by a link that works once (or by OpenID Connect, `dashboard/oidc_adapter.py`), and signing out."""

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboard.accounts import LinkRefusedError, redeem
from dashboard.models import User
from dashboard.sessions import note_sign_in

BACKEND = "django.contrib.auth.backends.ModelBackend"
NEXT_COOKIE = "readywire_next"
NEXT_SECONDS = 3600
LONGEST_LINK = 2000


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def signin(request: HttpRequest) -> HttpResponseBase:
    """One field for the link or its token. The page that was asked for is kept in a cookie: a printed link, opened in
    the address bar, does not know it."""
    if request.method == "POST":
        token = _token_in(request.POST.get("link", ""))
        if not token:
            return _page(request, status=422, error="Paste the sign-in link, or the token at its end.")
        return _enter(request, token, request.POST.get("next", ""))
    wanted = _safe(request, request.GET.get("next", ""))
    if request.user.is_authenticated:
        return HttpResponseRedirect(wanted or "/")
    response = _page(request)
    if wanted:
        response.set_cookie(
            NEXT_COOKIE, wanted, max_age=NEXT_SECONDS, httponly=True, samesite="Lax", secure=request.is_secure()
        )
    return response


@never_cache
@require_GET
def signin_link(request: HttpRequest, token: str) -> HttpResponseBase:
    """Spend the link and leave its address. HEAD is refused: link previews must not spend it."""
    return _enter(request, token, request.GET.get("next", ""))


@require_POST
def signout(request: HttpRequest) -> HttpResponseBase:
    """End this session everywhere it is open."""
    logout(request)
    return HttpResponseRedirect("/signin/")


def _enter(request: HttpRequest, token: str, wanted: str) -> HttpResponseBase:
    try:
        user = redeem(token)
    except LinkRefusedError as refused:
        return _page(request, status=403, refused=refused)
    return enter(request, user, wanted, how="link")


def enter(request: HttpRequest, user: User, wanted: str = "", *, how: str = "OpenID") -> HttpResponseBase:
    """Sign somebody in whose identity is proven, and lead to the page that they asked for first."""
    # Gives the session a new key, and empties one that belonged to somebody else.
    login(request, user, backend=BACKEND)
    note_sign_in(request, user, how)
    back = _safe(request, wanted) or _safe(request, request.COOKIES.get(NEXT_COOKIE, "")) or "/"
    response = HttpResponseRedirect(back)
    response.delete_cookie(NEXT_COOKIE, samesite="Lax")
    # The address that was left holds a token, spent as it is.
    response["Referrer-Policy"] = "no-referrer"
    return response


def _page(
    request: HttpRequest, *, status: int = 200, error: str = "", refused: LinkRefusedError | None = None
) -> HttpResponse:
    context = {
        "error": error,
        "oidc": settings.OIDC_LABEL if settings.OIDC_ISSUER else "",
        "link_minutes": f"{settings.SIGNIN_LINK_MINUTES:g}",
        "refused": refused,
        "link_user": refused.user if refused else None,
        "next": _safe(request, request.GET.get("next", "") or request.POST.get("next", "")),
    }
    # Not "no-referrer": the form's POST would then come with `Origin: null`, which the CSRF check refuses.
    return render(request, "signin/page.html", context, status=status)


def _token_in(text: str) -> str:
    """The token in a pasted link or token. Every link ends in /TOKEN/."""
    return text.strip()[:LONGEST_LINK].partition("?")[0].rstrip("/").rpartition("/")[2]


def _safe(request: HttpRequest, address: str) -> str:
    """`address` if it leads back into this site, else empty."""
    safe = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
    return address if safe and address.startswith("/") else ""
