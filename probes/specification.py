"""What a probe worker is told of a target. In the queue the credentials stay sealed; the worker holds the key."""

from collections.abc import Mapping
from typing import Any

from probes.credentials import unseal
from probes.engine.connection import Connection
from probes.engine.script import Script, TargetSpec
from probes.models import Target


def message_of(target: Target) -> dict[str, Any]:
    """The target as JSON for a task: `read_message` reverses it. Credentials stay sealed."""
    return {
        "target_id": target.pk,
        "slug": target.slug,
        "url": target.url,
        "deadline_ms": target.deadline_ms,
        "script": target.script,
        "credentials": target.credentials,
    }


def read_message(message: Mapping[str, Any]) -> TargetSpec:
    """The specification in a task.

    Raises CredentialsError where this process has another SECRET_KEY, ScriptError or OptionError (ValueErrors)
    for a script or connection that this version does not understand, KeyError for a message that `message_of` did not
    write.
    """
    credentials = unseal(message["credentials"])
    return TargetSpec(
        target_id=message["target_id"],
        slug=message["slug"],
        url=message["url"],
        deadline_s=message["deadline_ms"] / 1000,
        script=Script.from_json(message["script"]),
        token=credentials.get("token", ""),
        headers=credentials.get("headers", {}),
        ca_pem=credentials.get("ca_pem", ""),
        connection=Connection.from_json(credentials.get("connection", {})),
    )


def specify(target: Target) -> TargetSpec:
    """The specification of a stored target, with its own script and credentials. Raises as `read_message` does."""
    return read_message(message_of(target))
