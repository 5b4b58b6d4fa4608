"""Which pages of other origins may ask OFREP: browsers keep all others from reading the answers (Fetch standard, CORS).

Only OFREP is opened: a page's key is read-only, and no cookie is ever of interest here.
"""

from collections.abc import Mapping

PATHS = "/ofrep/"
_ASKED = "Authorization, Content-Type, If-None-Match, Last-Event-ID, X-API-Key"
_TOLD = "ETag, Retry-After"
_SECONDS = "600"


def headers(path: str, asker: str, origins: tuple[str, ...]) -> Mapping[str, str]:
    """What an answer says of its readers. `asker`: the request's `Origin`, empty where it has none."""
    if not origins or not path.startswith(PATHS):
        return {}
    if "*" not in origins and asker not in origins:
        return {"Vary": "Origin"}
    return {"Access-Control-Allow-Origin": asker or "*", "Access-Control-Expose-Headers": _TOLD, "Vary": "Origin"}


def permission(said: Mapping[str, str]) -> Mapping[str, str]:
    """The answer to a browser that asks beforehand; the same where the page may not, without what lets it in."""
    if "Access-Control-Allow-Origin" not in said:
        return said
    return {
        **said,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": _ASKED,
        "Access-Control-Max-Age": _SECONDS,
    }
