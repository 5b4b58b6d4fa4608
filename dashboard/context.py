"""What every template may read: the menu of what exists, the theme's clock."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from dashboard.permissions import ADMINISTRATOR, RESPONDER, allows
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
    MenuItem("Fleet", "/fleet/"),
    MenuItem("Audit", "/audit/"),
)
PRACTICE = MenuItem("Practice", "/practice/")
"""Only where there are reference services, and for those who may act."""
KEYS = MenuItem("Keys", "/keys/")
"""For administrators."""


def console(request: HttpRequest) -> dict[str, Any]:
    """The menu with the current page marked, what the person may do, and the name of the clock that pages show."""
    user = getattr(request, "user", AnonymousUser())  # absent where a request failed before it was authenticated
    practice = (PRACTICE,) if allows(user, RESPONDER) and rows.places() else ()
    keys = (KEYS,) if allows(user, ADMINISTRATOR) else ()
    pages = (*PAGES, *practice, *keys)
    menu = [MenuItem(page.label, page.href, page.icon, _is_current(page.href, request.path)) for page in pages]
    more = [item for item in menu if not item.icon]
    return {
        "menu": menu,
        "tabs": [item for item in menu if item.icon],
        "more": more,
        "more_current": any(item.current for item in more),
        "time_zone": settings.TIME_ZONE,
        "alarms": SimpleLazyObject(alarms),
        "may_act": allows(user, RESPONDER),
        "may_administer": allows(user, ADMINISTRATOR),
    }


def _is_current(href: str, path: str) -> bool:
    return path == "/" or path.startswith("/targets/") if href == "/" else path.startswith(href)
