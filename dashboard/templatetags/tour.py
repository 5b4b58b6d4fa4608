"""The notes and the offer of the tour, and the faults that can be practised, for the pages that show them."""

from collections.abc import Iterable

from django import template
from django.conf import settings
from django.template.context import RequestContext

from connections.reference.faults import FAULTS, Fault
from dashboard.permissions import RESPONDER, allows
from dashboard.practice.calls import port_of
from dashboard.queries import tour as queries
from dashboard.queries.tour import Note
from probes.models import Target

register = template.Library()


@register.simple_tag(takes_context=True)
def tour_note(context: RequestContext) -> Note | None:
    """The note that whoever is asking sees now."""
    return queries.note(context["request"].user)


@register.simple_tag(takes_context=True)
def tour_offered(context: RequestContext) -> bool:
    """Whether the tour is offered to whoever is asking."""
    return queries.offered(context["request"].user)


@register.simple_tag(takes_context=True)
def practicable(context: RequestContext, target: Target) -> Iterable[Fault]:
    """The faults that whoever is asking may start in `target`; none where it is no reference service."""
    here = target.is_reference and port_of(target.environment_id) and settings.READYWIRE_CONTROL_TOKEN
    return FAULTS.values() if here and allows(context["request"].user, RESPONDER) else ()
