"""Every plan there is: those that Readywire brings, and the team's own, which administrators make, edit and remove."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from connections.flags import reading
from connections.flags.errors import FlagError, UnknownFlag, UnknownPlan, UnknownVariant
from connections.flags.plans import PLANS, Plan, check_values
from connections.models import AuditRecord, Environment, TeamPlan, Version

KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
TAKEN = frozenset({"new", "plans"})
"""Words of addresses."""
PROGRAM = "token "
"""How an act of a program is signed."""
MOST_VALUES = 100
LONGEST_NAME, LONGEST_EFFECT = 80, 300


class BadPlan(FlagError):  # noqa: N818 - named as the other errors of flags are
    """A plan that cannot be kept. `field`: key, name, effect, values or edition."""


@dataclass(frozen=True)
class Draft:
    """A plan as somebody wants it."""

    key: str
    name: str
    effect: str
    values: Mapping[str, str] = field(default_factory=dict)


def all_plans() -> dict[str, Plan]:
    """Every plan by key: the three that Readywire brings, then the team's own by name."""
    return {**PLANS, **{row.key: _plan(row) for row in TeamPlan.objects.all()}}


def plan_for(key: str) -> Plan:
    """The plan named `key`. Raises UnknownPlan naming those there are."""
    if key in PLANS:
        return PLANS[key]
    row = TeamPlan.objects.filter(key=key).first()
    if row is None:
        raise UnknownPlan(key[:60], all_plans())
    return _plan(row)


def make_plan(draft: Draft, *, author: str) -> TeamPlan:
    """Keep a new plan of the team's own. Raises BadPlan."""
    draft = _checked(draft)
    if not KEY.fullmatch(draft.key) or draft.key in TAKEN:
        raise BadPlan("key", "This is no key.", "Use 1 to 40 small letters, digits and hyphens, like quiet-night.")
    taken = BadPlan("key", f"There is a plan {draft.key!r}.", "Choose another key, or edit that plan.")
    if draft.key in PLANS:
        raise taken
    try:
        with transaction.atomic():
            signed = {"edited_by": author, "values_by": author}
            row = TeamPlan.objects.create(
                key=draft.key, name=draft.name, effect=draft.effect, values=dict(draft.values), **signed
            )
    except IntegrityError:
        raise taken from None
    _audit("plan.made", author, draft.key, None, _told(row))
    return row


def edit_plan(draft: Draft, *, author: str, expected_edition: int) -> TeamPlan:
    """Keep a plan as it is wanted now, unless somebody edited it since. Raises BadPlan or UnknownPlan."""
    draft = _checked(draft)
    with transaction.atomic():
        row = _own(draft.key)
        before = _told(row)
        row.name, row.effect, row.values = draft.name, draft.effect, dict(draft.values)
        if _told(row) == before:
            raise BadPlan("values", "Nothing would change: already so.", "Nothing needs to be done.")
        unchanged = TeamPlan.objects.filter(key=row.key, edition=expected_edition)
        wanted = {"name": row.name, "effect": row.effect, "values": row.values, "edited_by": author}
        if row.values != before["values"]:
            wanted["values_by"] = author
        if not unchanged.update(**wanted, edition=expected_edition + 1, edited_at=timezone.now()):
            who = TeamPlan.objects.get(key=row.key).edited_by
            raise BadPlan(
                "edition", f"{who} edited this plan meanwhile.", "Look at it as it is now, then decide again."
            )
        _audit("plan.edited", author, row.key, before, _told(row))
    return TeamPlan.objects.get(key=draft.key)


def remove_plan(key: str, *, author: str) -> None:
    """Remove a plan of the team's own; the audit trail keeps what it was. Raises UnknownPlan."""
    with transaction.atomic():
        row = _own(key)
        before = _told(row)
        if not TeamPlan.objects.filter(key=key).delete()[0]:
            raise UnknownPlan(key, TeamPlan.objects.values_list("key", flat=True))
        _audit("plan.removed", author, key, before, None)


def kind_of_run(key: str, author: str) -> str:
    """What kind of version a run makes. Of the team's own plans, one that two people stand behind is a plan like the
    others; else it is something new to everybody but its author, and waits where two people are asked for."""
    row = TeamPlan.objects.filter(key=key).first()
    alone = row is not None and (author == row.values_by or author.startswith(PROGRAM))
    return Version.Kind.OWN_PLAN if alone else Version.Kind.PLAN


def misfits(plan: Plan) -> dict[str, str]:
    """Where a plan cannot be run now: {environment: why}."""
    found = {}
    for key in Environment.objects.values_list("key", flat=True):
        try:
            check_values(reading.flag_set(key).definitions, plan.values or {})
        except (UnknownFlag, UnknownVariant) as error:
            found[key] = str(error)
    return found


def _checked(draft: Draft) -> Draft:
    """The draft without blanks around its words. Raises BadPlan for the first field that is wrong."""
    draft = Draft(draft.key.strip(), " ".join(draft.name.split()), " ".join(draft.effect.split()), draft.values)
    for name, text, longest in (("name", draft.name, LONGEST_NAME), ("effect", draft.effect, LONGEST_EFFECT)):
        if not 1 <= len(text) <= longest or not text.isprintable():
            raise BadPlan(name, f"The {name} is missing or too long.", f"Use 1 to {longest} characters.")
    if not 1 <= len(draft.values) <= MOST_VALUES:
        raise BadPlan(
            "values", "A plan sets at least one flag.", f"Name 1 to {MOST_VALUES} flags, each with a variant."
        )
    found = misfits(Plan(draft.key, draft.name, draft.effect, draft.values))
    if len(found) == Environment.objects.count():
        environment, why = next(iter(found.items()))
        raise BadPlan("values", f"It fits no environment. {environment.capitalize()}: {why}", "Correct the values.")
    return draft


def _own(key: str) -> TeamPlan:
    row = TeamPlan.objects.filter(key=key).first()
    if row is None:
        raise UnknownPlan(key[:60], TeamPlan.objects.values_list("key", flat=True))
    return row


def _plan(row: TeamPlan) -> Plan:
    return Plan(row.key, row.name, row.effect, dict(row.values))


def _told(row: TeamPlan) -> dict[str, Any]:
    return {"name": row.name, "effect": row.effect, "values": dict(row.values)}


def _audit(action: str, author: str, key: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    AuditRecord.objects.create(actor=author, action=action, subject=key, before=before, after=after)
