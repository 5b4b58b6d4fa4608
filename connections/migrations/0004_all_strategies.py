"""Every strategy can be served, and has parameters, also where the flags were made when there were three.

Per environment one new version, and nothing is served differently: the variants of `readiness-strategy` grow to nine,
and the default of `readiness-parameters` gets a member for each. Which variant is served, targeting and state stay as
people left them; a flag whose variants people have changed is left alone, and so is an environment of whose two flags
none is as it was made. A version that is known-good has a known-good successor; an older one keeps its three variants.
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
        parent = versions.order_by("-number").first()
        flags = served(apps, environment)
        if changes := grown(environment.key, flags):
            append(apps, environment, parent, flags, changes)


def served(apps, environment):
    """{flag key: definition} of the newest version: each flag's newest change."""
    changes = apps.get_model("connections", "VersionChange").objects.filter(version__environment=environment)
    rows = changes.order_by("version__number").values_list("flag_key", "definition__body")
    return {key: body for key, body in dict(rows).items() if body is not None}


def append(apps, environment, parent, flags, changes):
    """A version, a revision and an audit row, as every change has them."""
    model = lambda name: apps.get_model("connections", name)  # noqa: E731
    now = timezone.now()
    environment.revision += 1
    environment.save(update_fields=["revision"])
    known_good = parent.known_good_at is not None
    version = model("Version").objects.create(
        environment=environment,
        number=parent.number + 1,
        parent=parent,
        kind="change",
        set_hash=set_hash({**flags, **changes}),
        author=AUTHOR,
        reason=REASON,
        created_at=now,
        known_good_at=now if known_good else None,
        known_good_by=AUTHOR if known_good else "",
    )
    for key, body in sorted(changes.items()):
        definition, _ = model("Definition").objects.get_or_create(hash=definition_hash(body), defaults={"body": body})
        model("VersionChange").objects.create(version=version, flag_key=key, definition=definition)
    model("Revision").objects.create(
        environment=environment,
        number=environment.revision,
        version=version,
        cause="change",
        summary=[],
        author=AUTHOR,
        reason=REASON,
        at=now,
    )
    model("AuditRecord").objects.create(
        at=now,
        actor=AUTHOR,
        action="flags.change",
        environment=environment,
        subject=f"version {version.number}: {', '.join(sorted(changes))}",
        reason=REASON,
        before={"version": parent.number, "revision": environment.revision - 1, "flags": side(flags, changes)},
        after={"version": version.number, "revision": environment.revision, "flags": side(changes, changes)},
    )


def side(flags, changes):
    return {key: {"variants": flags[key]["variants"]} for key in sorted(changes)}


class Migration(migrations.Migration):
    dependencies = [("connections", "0003_watched_server_runs")]
    operations = [migrations.RunPython(grow, migrations.RunPython.noop)]
