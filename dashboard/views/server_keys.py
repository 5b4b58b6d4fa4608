"""Server keys, for administrators: who holds one and uses it; making one, replacing one while both work, revoking one.

A key is shown on the answer to the form that made it and nowhere else: it is not stored, so a form that is sent again
cannot show it again.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from connections.flags import keys
from connections.flags.keys import KeyNotLiving
from connections.models import Environment, ServerKey
from dashboard.key_form import GRACES, KeyForm
from dashboard.permissions import ADMINISTRATOR, person, require
from dashboard.queries.server_keys import key_row, key_rows
from dashboard.submissions import once

Made = tuple[ServerKey, str]


@require(ADMINISTRATOR)
@require_safe
def server_keys(request: HttpRequest) -> HttpResponse:
    """Every key that works, with its last use; and those that ended lately."""
    living, ended = key_rows(timezone.now())
    return render(request, "keys/page.html", {"living": living, "ended": ended, "again": "again" in request.GET})


@require(ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def make(request: HttpRequest) -> HttpResponse:
    """A new key, shown once."""
    if request.method != "POST":
        return _make_page(request, KeyForm(environment=request.GET.get("env", "staging")), 200)
    form = KeyForm.read(request.POST)
    stage = Environment.objects.filter(key=form.environment).first()
    if not form.check_new(stage):
        return _make_page(request, form, 422)
    by = person(request).name

    def act() -> Made:
        asked = form.environment, form.name
        return keys.create(*asked, author=by, reason=form.reason, scope=form.scope, tags=form.selected)

    return _shown(request, form, act)


@require(ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def rotate(request: HttpRequest, number: int) -> HttpResponse:
    """A new key in the place of an old one, which goes on working: nothing has to stop."""
    old = get_object_or_404(ServerKey.objects.select_related("environment"), pk=number)
    if request.method != "POST":
        return _key_page(request, "keys/rotate.html", KeyForm(), old, 200)
    form = KeyForm.read(request.POST)
    if not form.check_rotation(old.environment):
        return _key_page(request, "keys/rotate.html", form, old, 422)
    by = person(request).name
    try:
        return _shown(
            request, form, lambda: keys.rotate(old, author=by, reason=form.reason, grace=form.keeps_for), old=old
        )
    except KeyNotLiving as ended:
        form.errors["form"] = str(ended)
        return _key_page(request, "keys/rotate.html", form, old, 409)


@require(ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest, number: int) -> HttpResponse:
    """End a key at once. Revoking one that has ended changes nothing."""
    key = get_object_or_404(ServerKey.objects.select_related("environment"), pk=number)
    if request.method != "POST":
        return _key_page(request, "keys/revoke.html", KeyForm(), key, 200)
    form = KeyForm.read(request.POST)
    if not form.check_end(key.environment):
        return _key_page(request, "keys/revoke.html", form, key, 422)
    keys.revoke(key, author=person(request).name, reason=form.reason)
    return HttpResponseRedirect(reverse("server_keys"))


def _make_page(request: HttpRequest, form: KeyForm, status: int) -> HttpResponse:
    stages = Environment.objects.all()
    chosen = next((stage for stage in stages if stage.key == form.environment), None)
    shown = {"form": form, "environments": stages, "chosen": chosen, "scopes": ServerKey.Scope.choices}
    return render(request, "keys/make.html", shown, status=status)


def _key_page(request: HttpRequest, template: str, form: KeyForm, key: ServerKey, status: int) -> HttpResponse:
    shown = {"form": form, "row": key_row(key), "environment": key.environment, "graces": GRACES.items()}
    return render(request, template, shown, status=status)


def _shown(
    request: HttpRequest, form: KeyForm, act: Callable[[], Made], *, old: ServerKey | None = None
) -> HttpResponse:
    made: list[Made] = []

    def carry_out() -> dict[str, Any]:
        made.append(act())
        return {"server_key": made[0][0].pk}

    if once(form.key, person(request).name, carry_out).again:
        return HttpResponseRedirect(f"{reverse('server_keys')}?again=1")
    row, key = made[0]
    if old is not None:
        old.refresh_from_db()
    shown = {"row": row, "secret": key, "old": old, "environment": row.environment, "server_url": settings.PUBLIC_URL}
    return render(request, "keys/shown.html", shown)
