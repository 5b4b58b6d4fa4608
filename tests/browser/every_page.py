"""Every page of the product, by the name of its address, with data for each to show. None can be forgotten: a test
compares this with the addresses themselves."""

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.browser.scenes import make
from tests.support import commands
from tests.support.daphne import Daphne

PAGES: dict[str, tuple[object, ...]] = {
    "overview": (),
    "target": ("staging-chat",),
    "target_add": (),
    "target_edit": ("staging-chat",),
    "target_pause": ("staging-chat",),
    "race_checks": ("staging-chat",),
    "race_check": ("staging-chat", 1),
    "flags": (),
    "flags_use": (),
    "proposals": (),
    "proposal": (1,),
    "break_glass": ("production",),
    "policy": ("production",),
    "change": ("staging",),
    "flag_new": ("staging",),
    "flag_edit": ("staging", "readiness-strategy"),
    "flag_remove": ("staging", "client-ack"),
    "undo": ("staging", 2),
    "restore": ("staging", 1),
    "revision": ("staging", 2),
    "promote": ("production",),
    "flag": ("staging", "readiness-strategy"),
    "kill": ("staging", "client-ack"),
    "guard": ("staging", "readiness-strategy"),
    "ramp": ("staging", "client-ack"),
    "rollback": (),
    "strategies": (),
    "plan_make": (),
    "plan_edit": ("quiet-night",),
    "run_plan": ("staging", "phase-1"),
    "practice": (),
    "audit": (),
    "fleet": (),
    "target_act": ("staging-chat",),
    "deploys": (),
    "deploy_mark": (),
    "deploy_remove": (1,),
    "server_keys": (),
    "key_make": (),
    "key_rotate": (1,),
    "key_revoke": (1,),
    "docs": (),
    "doc": ("failures",),
    "signin": (),
    "sessions": (),
}
QUERIES = {"ramp": "?variant=off&steps=10", "change": "?to-readiness-strategy=dependency_gate"}
NO_PAGES = frozenset(
    {
        # Data and parts of pages.
        "figures", "residents", "slots", "target_address", "palette", "help_json",
        "fleet_figures", "tour_note", "target_watch",
        # Forms are sent here; who only looks is refused, or led elsewhere.
        "target_resume", "race_check_start", "race_check_cancel", "proposal_approve", "proposal_reject",
        "proposal_renew", "glass_end", "review_close", "known_good", "lift", "ramp_verb", "plan_drill", "plan_remove",
        "practice_on", "practice_start", "practice_end", "practice_end_all", "session_end", "sessions_end_others",
        "signout", "signin_link", "tour",
    }
)  # fmt: skip


def address(name: str) -> str:
    """The path of a page, with the query that gives it something to show."""
    return reverse(name, args=PAGES[name]) + QUERIES.get(name, "")


def named_addresses() -> set[str]:
    """The names of all addresses but those of programs."""
    found: set[str] = set()
    for pattern in get_resolver().url_patterns:
        found |= _names(pattern)
    return found


def _names(pattern: URLPattern | URLResolver) -> set[str]:
    if isinstance(pattern, URLPattern):
        return {pattern.name} if pattern.name else set()
    return set()


def furnish(daphne: Daphne) -> None:
    """Data for every page: a fault, a race check, a proposal, a plan and a key."""
    make(daphne, "failing", "--targets", "8", "--minutes", "16")
    for act in ("ask", "finish"):
        commands.run("-m", "tests.support.make_race_check", act, "--slug", "staging-chat", environ=daphne.environment)
    commands.run("-m", "tests.support.make_every_page", environ=daphne.environment)
