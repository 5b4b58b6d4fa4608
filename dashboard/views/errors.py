"""What is answered where no page is: people get a page, programs get JSON."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

PROGRAMS = ("/api/", "/ofrep/")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404`."""
    if not request.path_info.startswith(PROGRAMS):
        return defaults.page_not_found(request, exception)
    message = f"There is no {request.path_info[:200]}. See /api/v1/openapi.json for what there is."
    return JsonResponse({"error": {"code": "not_found", "message": message}}, status=404)
