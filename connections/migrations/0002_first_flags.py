"""Three environments, each with version 1 of the six flags, marked known-good.

Databases that were made before all nine strategies were there have three of them: 0004_all_strategies adds the rest.
"""

from django.db import migrations
from django.utils import timezone

from connections.flags.versions import definition_hash, set_hash

ENVIRONMENTS = [("development", "Development"), ("staging", "Staging"), ("production", "Production")]


def _switch(description, safe="on"):
    return {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "on",
        "metadata": {"description": description, "safeVariant": safe},
    }


STRATEGIES = (
    "immediate", "fixed_delay", "progressive_delay", "adaptive_delay", "state_poll",
    "dependency_gate", "ready_ack", "deferred_accept", "client_init",
)


def parameters_of(environment):
    """The default of each strategy; a progressive delay is shorter in development, as at the origin."""
    return {
        "immediate": {},
        "fixed_delay": {"milliseconds": 100},
        "progressive_delay": {"steps_ms": [10] if environment == "development" else [50, 100, 150]},
        "adaptive_delay": {"factor": 1.1, "floor_ms": 10, "cap_ms": 2000},
        "state_poll": {"interval_ms": 10, "timeout_seconds": 3},
        "dependency_gate": {"timeout_seconds": 12},
        "ready_ack": {"timeout_seconds": 12, "ack_seconds": 2, "legacy": "open"},
        "deferred_accept": {"timeout_seconds": 4},
        "client_init": {"timeout_seconds": 3},
    }


FLAGS = {
    "readiness-strategy": {
        "state": "ENABLED",
        "variants": {name: name for name in STRATEGIES},
        "defaultVariant": "dependency_gate",
        "metadata": {
            "description": "Which readiness strategy a new connection gets.",
            "safeVariant": "dependency_gate",
        },
    },
    "readiness-parameters": {
        "state": "ENABLED",
        "variants": {"default": parameters_of("")},
        "defaultVariant": "default",
        "metadata": {"description": "Parameters of each strategy.", "safeVariant": "default"},
    },
    "dependency-validation": _switch(
        "On: the services that a connection needs are checked. Off: only the application's own mark counts."
    ),
    "adaptive-timing": _switch("On: delays adapt to what was measured. Off: adaptive_delay behaves as progressive_delay."),
    "client-ack": _switch("On: wait for the client's acknowledgement where it can give one. Off: open without it."),
    "degraded-mode": _switch("On: a missing optional service degrades the connection. Off: it closes with 1013."),
}


def flags_of(environment):
    """The six flags as `environment` starts with them."""
    parameters = {**FLAGS["readiness-parameters"], "variants": {"default": parameters_of(environment)}}
    return {**FLAGS, "readiness-parameters": parameters}


def seed(apps, schema_editor):
    model = lambda name: apps.get_model("connections", name)  # noqa: E731
    now = timezone.now()
    for position, (key, name) in enumerate(ENVIRONMENTS, start=1):
        flags = flags_of(key)
        environment = model("Environment").objects.create(
            key=key,
            name=name,
            position=position,
            revision=1,
            is_production=key == "production",
            reason_required=key != "development",
        )
        version = model("Version").objects.create(
            environment=environment,
            number=1,
            kind="initial",
            set_hash=set_hash(flags),
            author="readywire",
            reason="The flags that Readywire brings.",
            created_at=now,
            known_good_at=now,
            known_good_by="readywire",
        )
        for flag_key, body in flags.items():
            definition, _ = model("Definition").objects.get_or_create(
                hash=definition_hash(body), defaults={"body": body}
            )
            model("VersionChange").objects.create(version=version, flag_key=flag_key, definition=definition)
        model("Revision").objects.create(
            environment=environment,
            number=1,
            version=version,
            cause="initial",
            summary=[
                {"flag": flag_key, "before": None, "after": body["defaultVariant"]} for flag_key, body in flags.items()
            ],
            author="readywire",
            reason="The flags that Readywire brings.",
            at=now,
        )


class Migration(migrations.Migration):
    dependencies = [("connections", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
