"""Where somebody is signed in: everybody sees and ends their own sessions, administrators everybody's."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from dashboard import sessions as signed_in
from dashboard.models import SignIn
from dashboard.permissions import ADMINISTRATOR, VIEWER, allows, person, require


@require(VIEWER)
@never_cache
@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    """The sessions that this person may end, newest first."""
    me = person(request)
    everybody = allows(me, ADMINISTRATOR)
    found = signed_in.living(None if everybody else [me])
    context = {
        "mine": [one for one in found if one.sign_in.user_id == me.pk],
        "others": [one for one in found if one.sign_in.user_id != me.pk],
        "this": request.session.session_key,
        "everybody": everybody,
        "ended": request.GET.get("ended", ""),
    }
    return render(request, "sessions/page.html", context)


@require(VIEWER)
@require_POST
def end(request: HttpRequest, number: int) -> HttpResponse:
    """End one session; one's own ends here and now."""
    me = person(request)
    row = SignIn.objects.select_related("user").filter(pk=number).first()
    if row is None:
        return _back(0)
    if row.user_id != me.pk and not allows(me, ADMINISTRATOR):
        raise Http404("There is no such session.")
    return _back(signed_in.end([row], by=me))


@require(VIEWER)
@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """End all of one's own sessions but this one."""
    me = person(request)
    others = SignIn.objects.select_related("user").filter(user=me).exclude(session_key=request.session.session_key)
    return _back(signed_in.end(list(others), by=me))


def _back(ended: int) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('sessions')}?ended={ended}")
