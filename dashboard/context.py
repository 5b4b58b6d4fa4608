"""What every template may read: the menu of what exists, the theme's clock."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from dashboard.permissions import ADMINISTRATOR, RESPONDER, VIEWER, Caller, allows
from dashboard.practice import rows
from dashboard.queries.proposals import alarms


@dataclass(frozen=True)
class MenuItem:
    """One entry of the top bar (and, with `icon`, of the phone's tab bar)."""

    label: str
    href: str
    icon: str = ""
    current: bool = False


PAGES = (
    MenuItem("Overview", "/", "overview"),
    MenuItem("Flags", "/flags/", "flags"),
    MenuItem("Rollback", "/rollback/", "rollback"),
    MenuItem("Strategies", "/strategies/"),
    MenuItem("Fleet", "/fleet/"),
    MenuItem("Audit", "/audit/"),
)
PRACTICE = MenuItem("Practice", "/practice/")
"""Only where there are reference services, and for those who may act."""
KEYS = MenuItem("Keys", "/keys/")
"""For administrators."""
HELP = MenuItem("Help", "/docs/")
"""Last, for everybody who is signed in."""
GOES = {
    "/": "o",
    "/flags/": "f",
    "/rollback/": "r",
    "/strategies/": "s",
    "/fleet/": "w",
    "/audit/": "a",
    "/practice/": "p",
    "/docs/": "h",
}
"""The key that opens a page, after "g"."""


def console(request: HttpRequest) -> dict[str, Any]:
    """The menu with the current page marked, what the person may do, and the name of the clock that pages show."""
    user = getattr(request, "user", AnonymousUser())  # absent where a request failed before it was authenticated
    menu = menu_for(user, request.path)
    more = [item for item in menu if not item.icon]
    return {
        "menu": menu,
        "tabs": [item for item in menu if item.icon],
        "more": more,
        "key_pages": [(GOES[item.href], item) for item in menu if item.href in GOES],
        "more_current": any(item.current for item in more),
        "time_zone": settings.TIME_ZONE,
        "alarms": SimpleLazyObject(alarms),
        "may_act": allows(user, RESPONDER),
        "may_administer": allows(user, ADMINISTRATOR),
    }


def menu_for(user: Caller, path: str) -> list[MenuItem]:
    """The pages that exist and that this person may open, the one at `path` marked."""
    practice = (PRACTICE,) if allows(user, RESPONDER) and rows.places() else ()
    keys = (KEYS,) if allows(user, ADMINISTRATOR) else ()
    help_pages = (HELP,) if allows(user, VIEWER) else ()
    pages = (*PAGES, *practice, *keys, *help_pages)
    return [MenuItem(page.label, page.href, page.icon, _is_current(page.href, path)) for page in pages]


def _is_current(href: str, path: str) -> bool:
    return path == "/" or path.startswith("/targets/") if href == "/" else path.startswith(href)
