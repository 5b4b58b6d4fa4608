"""`/practice/`: switch faults on and off in the reference services. The services are asked from the event loop, each
call within its bound; the database is read in threads."""

import asyncio

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connections.reference.faults import FAULTS, Fault
from dashboard.permissions import RESPONDER, person, require
from dashboard.practice import calls, rows, words
from dashboard.practice.calls import Away, Refused
from dashboard.practice.form import CHIPS, PracticeForm
from dashboard.queries import practice as queries
from dashboard.queries.practice import Service
from probes.models import Target

_places = sync_to_async(rows.places)


@require(RESPONDER)
@require_safe
async def practice(request: HttpRequest) -> HttpResponse:
    """What is on, and the faults to start in one service. `?env=` chooses it; an unknown value counts as none."""
    services = await _ask(await _places())
    asked = request.GET.get("env", "")
    chosen = next((each for each in services if each.target.environment_id == asked), services[0] if services else None)
    return await sync_to_async(_page)(request, services, chosen)


@require(RESPONDER)
@require_safe
async def on(request: HttpRequest) -> HttpResponse:
    """What is on, alone: the open page asks for it every few seconds."""
    services = await _ask(await _places())
    return await sync_to_async(_on_alone)(request, services)


@require(RESPONDER)
@require_http_methods(["GET", "HEAD", "POST"])
async def start(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Choose, see what will happen, and start one fault."""
    target, fault = await _target(slug), _fault(name)
    if request.method != "POST":
        return await _form(request, target, PracticeForm.empty(fault, target.environment), 200)
    form = PracticeForm.sent(fault, target.environment, request.POST)
    if form.errors:
        return await _form(request, target, form, 422)
    by, environment = person(request).name, target.environment_id
    try:
        begun = await calls.start(environment, fault.name, form.parameters, form.lasts_s, by)
    except Refused as refused:
        on_already = f"{fault.title} is on there already. End it first."
        form.blame(refused.field, on_already if refused.status == 409 else f"{refused.message}; {refused.cure}.")
        return await _form(request, target, form, 409 if refused.status == 409 else 422)
    except Away as away:
        form.errors["form"] = str(away)
        return await _form(request, target, form, 503)
    await sync_to_async(rows.started)(target, begun, by=by, reason=form.reason, now=timezone.now())
    return HttpResponseRedirect(_back(target, from_target=_from_target(request)))


@require(RESPONDER)
@require_POST
async def end(request: HttpRequest, slug: str, name: str = "") -> HttpResponse:
    """End one fault now, or all of a service. Ending what has ended changes nothing."""
    target = await _target(slug)
    fault = _fault(name).name if name else ""
    try:
        await calls.end(target.environment_id, fault)
    except Away:
        return HttpResponseRedirect(_back(target))  # the page asks again, and says what is wrong
    await sync_to_async(rows.ended)(target, fault, by=person(request).name, reason="", now=timezone.now())
    return HttpResponseRedirect(_back(target))


async def _ask(places: list[Target]) -> list[Service]:
    """All services at once; the rows follow what they say."""
    return list(await asyncio.gather(*(_ask_one(target) for target in places)))


async def _ask_one(target: Target) -> Service:
    asked_at = timezone.now()
    try:
        told = await calls.faults_on(target.environment_id)
    except Away as away:
        return Service(target, problem=away.message, cure=away.cure)
    except Refused as refused:
        return Service(target, problem=f"It refused: {refused.message}.", cure=refused.cure)
    await sync_to_async(rows.agree)(target, told, asked_at=asked_at)
    return Service(target, told)


def _on_alone(request: HttpRequest, services: list[Service]) -> HttpResponse:
    return render(request, "practice/on.html", _on_context(services))


def _on_context(services: list[Service]) -> dict[str, object]:
    lines = queries.lines(services, timezone.now())
    away = [each for each in services if each.problem]
    # What the page compares before it replaces anything: the seconds left tick by themselves.
    key = " ".join([*(f"{each.target.slug}/{each.fault}" for each in lines), *(each.target.slug for each in away)])
    crowded = [each.target for each in services if sum(line.target == each.target for line in lines) > 1]
    return {"lines": lines, "away": away, "crowded": crowded, "key": key}


def _page(request: HttpRequest, services: list[Service], chosen: Service | None) -> HttpResponse:
    context: dict[str, object] = {"services": services, "chosen": chosen, **_on_context(services)}
    if chosen is not None:
        setting = queries.setting(chosen.target)
        context |= {"setting": setting, "offers": queries.offers(chosen, setting)}
    return render(request, "practice/page.html", context)


async def _form(request: HttpRequest, target: Target, form: PracticeForm, status: int) -> HttpResponse:
    return await sync_to_async(_form_page)(request, target, form, status)


def _form_page(request: HttpRequest, target: Target, form: PracticeForm, status: int) -> HttpResponse:
    setting = queries.setting(target)
    parameters = {**words.defaults(form.fault), **({} if form.errors else form.parameters)}
    context = {
        "target": target,
        "form": form,
        "fault": form.fault,
        "setting": setting,
        "sight": words.sight(form.fault, parameters, setting.strategy),
        "durations": [(str(seconds), told) for seconds, told in words.DURATIONS.items()],
        "chips": CHIPS,
        "back": _back(target, from_target=_from_target(request)),
        "from_target": _from_target(request),
    }
    return render(request, "practice/start.html", context, status=status)


async def _target(slug: str) -> Target:
    for target in await _places():
        if target.slug == slug:
            return target
    raise Http404(f"No reference service is called {slug!r}: only they take faults.")


def _fault(name: str) -> Fault:
    if name not in FAULTS:
        raise Http404(f"There is no fault {name!r}.")
    return FAULTS[name]


def _from_target(request: HttpRequest) -> bool:
    """Whether the form was opened from the target's page: there its end is watched."""
    return "target" in (request.GET.get("from"), request.POST.get("from"))


def _back(target: Target, *, from_target: bool = False) -> str:
    return (
        reverse("target", args=[target.slug]) if from_target else f"{reverse('practice')}?env={target.environment_id}"
    )
