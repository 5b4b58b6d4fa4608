"""Every strategy can be served, and has parameters, also where the flags were made when there were three.

Per environment one new version, and nothing is served differently: the variants of `readiness-strategy` grow to nine,
and the default of `readiness-parameters` gets a member for each. Which variant is served, targeting and state stay as
people left them; a flag whose variants people have changed is left alone, and so is an environment of whose two flags
none is as it was made. What is known-good stays so with the nine: where it is older than what is served, as a version of
its own before, saved and never served, so that an emergency rollback restores it and takes no strategy away.
"""

from importlib import import_module

from django.db import migrations
from django.utils import timezone

from connections.flags.versions import definition_hash, set_hash

first = import_module("connections.migrations.0002_first_flags")

AUTHOR = "readywire"
REASON = "All nine strategies can be chosen; what is served stays as it was."
THREE = {
    "readiness-strategy": {name: name for name in ("immediate", "fixed_delay", "dependency_gate")},
    "readiness-parameters": {
        "default": {
            "immediate": {},
            "fixed_delay": {"milliseconds": 100},
            "dependency_gate": {"timeout_seconds": 12},
        }
    },
}
"""The variants that environments were made with before."""


def grown(environment_key, flags):
    """The definitions that change: those of `flags` whose variants are still the three, with the nine in place."""
    nine = first.flags_of(environment_key)
    return {
        key: {**flags[key], "variants": nine[key]["variants"]}
        for key, three in THREE.items()
        if key in flags and flags[key].get("variants") == three
    }


def grow(apps, schema_editor):
    for environment in apps.get_model("connections", "Environment").objects.all():
        versions = apps.get_model("connections", "Version").objects.filter(environment=environment)
        newest = versions.order_by("-number").first()
        good = versions.filter(known_good_at__isnull=False).order_by("-known_good_at", "-number").first()
        flags = definitions_at(apps, newest)
        changes = grown(environment.key, flags)
        if not changes:
            continue
        if good is not None and good != newest:
            newest, flags_before = succeed(apps, environment, newest, flags, good)
        else:
            flags_before = flags
        serve(apps, environment, newest, flags_before, {**flags, **changes}, good == newest, sorted(changes), flags)


def definitions_at(apps, version):
    """{flag key: definition} of a version: each flag's newest change up to it."""
    changes = apps.get_model("connections", "VersionChange").objects.filter(
        version__environment=version.environment, version__number__lte=version.number
    )
    rows = changes.order_by("version__number").values_list("flag_key", "definition__body")
    return {key: body for key, body in dict(rows).items() if body is not None}


def succeed(apps, environment, newest, flags, good):
    """The known-good version again, with the nine: saved and marked, not served. Returns the newest version and its
    definitions."""
    good_flags = definitions_at(apps, good)
    changes = grown(environment.key, good_flags)
    if not changes:
        return newest, flags
    after = {**good_flags, **changes}
    reason = f"Version {good.number} with all nine strategies, known-good as it was."
    version = save(apps, environment, newest, flags, after, reason, known_good=True)
    apps.get_model("connections", "AuditRecord").objects.create(
        at=version.created_at,
        actor=AUTHOR,
        action="flags.known_good",
        environment=environment,
        subject=f"version {version.number}",
        reason=reason,
        before={"version": good.number},
        after={"version": version.number},
    )
    return version, after


def save(apps, environment, parent, before, after, reason, *, known_good):
    """A version that changes the definitions `before` to `after`."""
    model = lambda name: apps.get_model("connections", name)  # noqa: E731
    now = timezone.now()
    version = model("Version").objects.create(
        environment=environment,
        number=parent.number + 1,
        parent=parent,
        kind="change",
        set_hash=set_hash(after),
        author=AUTHOR,
        reason=reason,
        created_at=now,
        known_good_at=now if known_good else None,
        known_good_by=AUTHOR if known_good else "",
    )
    for key in sorted(key for key in {*before, *after} if before.get(key) != after.get(key)):
        definition = None
        if (body := after.get(key)) is not None:
            definition, _ = model("Definition").objects.get_or_create(
                hash=definition_hash(body), defaults={"body": body}
            )
        model("VersionChange").objects.create(version=version, flag_key=key, definition=definition)
    return version


def serve(apps, environment, parent, before, after, known_good, changed, served):
    """A version, and with it a revision and an audit row, as every change has them."""
    version = save(apps, environment, parent, before, after, REASON, known_good=known_good)
    environment.revision += 1
    environment.save(update_fields=["revision"])
    apps.get_model("connections", "Revision").objects.create(
        environment=environment,
        number=environment.revision,
        version=version,
        cause="change",
        summary=[],
        author=AUTHOR,
        reason=REASON,
        at=version.created_at,
    )
    apps.get_model("connections", "AuditRecord").objects.create(
        at=version.created_at,
        actor=AUTHOR,
        action="flags.change",
        environment=environment,
        subject=f"version {version.number}: {', '.join(changed)}",
        reason=REASON,
        before={"version": parent.number, "revision": environment.revision - 1, "flags": side(served, changed)},
        after={"version": version.number, "revision": environment.revision, "flags": side(after, changed)},
    )


def side(flags, changed):
    return {key: {"variants": flags[key]["variants"]} for key in changed}


class Migration(migrations.Migration):
    dependencies = [("connections", "0003_watched_server_runs")]
    operations = [migrations.RunPython(grow, migrations.RunPython.noop)]
