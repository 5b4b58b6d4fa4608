"""What a program is answered where a second person is asked for: its act is proposed, and nothing is served yet."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from connections.flags import proposals
from connections.flags.errors import NeedsSecondPerson, ReasonMissing
from dashboard.permissions import person


def proposed(request: HttpRequest, needed: NeedsSecondPerson) -> HttpResponse:
    """202 with the proposal and its page. Call it where a verb of `connections.flags.control` raised NeedsSecondPerson.

    A token is no person: two people then approve.
    """
    try:
        made = proposals.propose(needed, by_person=person(request).pk is not None)
    except ReasonMissing as missing:
        return JsonResponse({"error": {"code": "reason", "message": str(missing)}}, status=400)
    address = reverse("proposal", args=[made.pk])
    told = {
        "id": made.pk,
        "environment": made.environment_id,
        "state": made.state,
        "expires_at": made.expires_at,
        "page": address,
        "message": f"{needed.message} Nothing is served yet.",
    }
    return JsonResponse({"proposal": told}, status=202, headers={"Location": address})
