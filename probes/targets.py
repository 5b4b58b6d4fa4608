"""Targets that people add and change: what they type is checked here, whoever asks."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from connections.models import AuditRecord, Environment
from probes.credentials import seal
from probes.engine.connection import Connection, OptionError
from probes.engine.script import Script, ScriptError, endpoint
from probes.engine.tls import tls_context
from probes.expectation import first_expected
from probes.models import (
    DEADLINE_MS,
    EVERY_S,
    HOLD_S,
    INTERVAL_MS,
    RESIDENTS,
    SUCCESS,
    Location,
    Target,
    TargetStatus,
)

_SLUG = re.compile(r"\A[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_SCHEDULE = ("slug", "interval_ms", "deadline_ms")
_PLAIN = (
    "slug", "name", "url", "script", "interval_ms", "deadline_ms", "ready_objective_ms", "success_objective", "tags",
    "residents", "resident_hold_s", "resident_every_s",
)  # fmt: skip


class TargetError(ValueError):
    """A field that cannot be used: `field` names it, `message` says what is wrong and what to write instead."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def create_target(
    *, by: str, environment: str, name: str, url: str, reason: str = "", locations: Iterable[str] = ("local",),
    credentials: Mapping[str, Any] | None = None, **fields: Any,
) -> Target:  # fmt: skip
    """Store a new target, with its status row and an audit row; probed from about three seconds later.

    `fields` may be any of slug (else made from the name), script (JSON), interval_ms, deadline_ms, ready_objective_ms,
    success_objective, tags, residents, resident_hold_s, resident_every_s, is_reference. `credentials`: {"token",
    "headers", "ca_pem", "connection"}, stored sealed; `connection` as in `engine.connection`. Raises TargetError.
    """
    fields = {"slug": slugify(name), **fields, "name": name, "url": url}
    target = Target(environment=_environment(environment), active_since=first_expected())
    target.is_reference = bool(fields.pop("is_reference", False))
    _assign(target, fields)
    target.credentials = seal(_checked_credentials(credentials or {}))
    places = _locations(locations)
    with transaction.atomic():
        _save(target)
        target.locations.set(places)
        TargetStatus.objects.get_or_create(target=target, defaults={"why": "Not probed yet."})
        _audit(target, "target.created", by, reason, None, _shown(target))
    return target


def update_target(
    target: Target, *, by: str, reason: str = "", locations: Iterable[str] | None = None,
    credentials: Mapping[str, Any] | None = None, **fields: Any,
) -> Target:  # fmt: skip
    """Change fields of a stored target, with an audit row of what they were. Raises TargetError.

    `credentials` None keeps those stored, {} removes them. A changed schedule begins anew: slots of the old one that
    nobody answered are not missed.
    """
    with transaction.atomic():
        target = Target.objects.select_for_update().get(pk=target.pk)
        before, schedule = _shown(target), [getattr(target, name) for name in _SCHEDULE]
        _assign(target, fields)
        if credentials is not None:
            target.credentials = seal(_checked_credentials(credentials))
        if schedule != [getattr(target, name) for name in _SCHEDULE]:
            target.active_since = first_expected()
        _save(target)
        if locations is not None:
            target.locations.set(_locations(locations))
        after = _shown(target)
        if credentials is not None or before != after:
            _audit(target, "target.changed", by, reason, before, after)
    return target


def _assign(target: Target, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in _PLAIN:
            raise TargetError(name, f"is no field of a target. Use {', '.join(_PLAIN)}.")
        setattr(target, name, value)
    target.name = str(target.name).strip()
    target.url = checked_url(target.url)
    target.script = _checked_script(target.script)
    _check_bounds(target)


def checked_url(url: Any) -> str:
    """The URL, trimmed. Raises TargetError for anything but ws:// or wss:// with a host and without a fragment."""
    if not isinstance(url, str) or not url.strip():
        raise TargetError("url", "is empty. Write it as wss://host[:port]/path.")
    if "#" in url:
        raise TargetError("url", "has a fragment, which no server would see. Leave out the # and what follows it.")
    try:
        uri = endpoint(url.strip())
    except ScriptError as error:
        raise TargetError("url", f"{error.fault}. {error.cure}.") from error
    if uri.username or uri.password:
        raise TargetError("url", "holds a name or password. Put them into the credentials, which are stored encrypted.")
    if not uri.host or not 0 < uri.port < 65536:
        raise TargetError("url", "needs a host, and a port between 1 and 65535. Write it as wss://host[:port]/path.")
    return url.strip()


def _checked_script(script: Any) -> dict[str, Any]:
    try:
        return Script.from_json(script).to_json()
    except ScriptError as error:
        raise TargetError("script", str(error)) from error


def _checked_credentials(credentials: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in credentials.items():
        wanted = dict if name in ("headers", "connection") else str
        if name not in ("token", "headers", "ca_pem", "connection"):
            raise TargetError("credentials", f"has no part {name!r}. Use token, headers, ca_pem and connection.")
        if not isinstance(value, wanted):
            raise TargetError("credentials", f"{name} must be {'names and texts' if wanted is dict else 'text'}.")
    try:
        Script.from_json({"headers": dict(credentials.get("headers", {}))})
        connection = Connection.from_json(credentials.get("connection", {}))
        tls_context(credentials.get("ca_pem", ""), connection.client_pem)
    except (ScriptError, OptionError) as error:
        raise TargetError("credentials", str(error)) from error
    return {name: value for name, value in credentials.items() if value}


def _check_bounds(target: Target) -> None:
    if not _SLUG.match(target.slug or "") or len(target.slug) > 80:
        raise TargetError("slug", "has 1 to 80 small letters, digits and single hyphens. Write for example chat-eu.")
    if not target.name or len(target.name) > 80:
        raise TargetError("name", "has 1 to 80 characters.")
    if len(target.url) > 2000:
        raise TargetError("url", "has at most 2000 characters.")
    if not isinstance(target.tags, list) or not all(isinstance(tag, str) for tag in target.tags):
        raise TargetError("tags", "is a list of words.")
    for name in ("interval_ms", "deadline_ms", "ready_objective_ms"):
        if type(getattr(target, name)) is not int:
            raise TargetError(name, f"is a whole number of milliseconds, not {getattr(target, name)!r}.")
    _check_range("interval_ms", target.interval_ms, INTERVAL_MS)
    _check_range("deadline_ms", target.deadline_ms, DEADLINE_MS)
    _check_range("ready_objective_ms", target.ready_objective_ms, (1, DEADLINE_MS[1]))
    _check_range("success_objective", target.success_objective, SUCCESS)
    _check_residents(target)


def _check_residents(target: Target) -> None:
    bounds = {"residents": RESIDENTS, "resident_hold_s": HOLD_S, "resident_every_s": EVERY_S}
    for name, least_and_most in bounds.items():
        value = getattr(target, name)
        if type(value) is not int:
            raise TargetError(name, f"is a whole number, not {value!r}.")
        _check_range(name, value, least_and_most)


def _check_range(name: str, value: Any, bounds: tuple[float, float]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not bounds[0] <= value <= bounds[1]:
        raise TargetError(name, f"lies between {bounds[0]:,} and {bounds[1]:,}; it is {value!r}.")


def _environment(key: str) -> Environment:
    found = Environment.objects.filter(key=key).first()
    if found is None:
        known = ", ".join(Environment.objects.values_list("key", flat=True))
        raise TargetError("environment", f"{key!r} does not exist. Use {known}.")
    return found


def _locations(keys: Iterable[str]) -> list[Location]:
    wanted = sorted(set(keys))
    found = list(Location.objects.filter(key__in=wanted))
    if not wanted:
        raise TargetError("locations", "is empty. Choose at least one place to probe from.")
    if absent := set(wanted) - {location.key for location in found}:
        known = ", ".join(Location.objects.values_list("key", flat=True))
        raise TargetError("locations", f"{', '.join(sorted(absent))} does not exist. Use {known}.")
    return found


def _save(target: Target) -> None:
    try:
        with transaction.atomic():
            target.save()
    except IntegrityError as error:
        if Target.objects.filter(slug=target.slug).exclude(pk=target.pk).exists():
            raise TargetError("slug", f"{target.slug!r} is taken by another target. Choose another.") from error
        raise


def _shown(target: Target) -> dict[str, Any]:
    """What an audit row says of a target: never its credentials."""
    shown = {name: getattr(target, name) for name in _PLAIN}
    places = sorted(target.locations.values_list("key", flat=True)) if target.pk else []
    return {**shown, "environment": target.environment_id, "locations": places}


def _audit(
    target: Target, action: str, actor: str, reason: str, before: dict[str, Any] | None, after: dict[str, Any]
) -> None:
    AuditRecord.objects.create(
        actor=actor, action=action, environment_id=target.environment_id, subject=target.slug, reason=reason,
        before=before, after=after,
    )  # fmt: skip
