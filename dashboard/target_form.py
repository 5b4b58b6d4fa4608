"""The form of a target: what people type, in seconds and per cent, read into what `probes.targets` takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.http import QueryDict

from connections.models import Environment
from dashboard.submissions import new_key
from probes.credentials import CredentialsError, unseal
from probes.engine.script import Script, ScriptError
from probes.models import DEADLINE_MS, INTERVAL_MS, Location, Target
from probes.targets import TargetError

RESERVED_SLUGS = ("add",)
"""Words that stand where a target's name stands in an address."""
FIELD_OF = {
    "interval_ms": "interval",
    "deadline_ms": "deadline",
    "ready_objective_ms": "objective",
    "success_objective": "success",
    "credentials": "token",
    "slug": "name",
}
"""Fields of a target that the form shows under another name, or under the field they come from."""
SUBJECTS = {
    "name": "The name",
    "slug": "The name's short form",
    "url": "The address",
    "interval_ms": "The interval",
    "deadline_ms": "The deadline",
    "ready_objective_ms": "The objective",
    "success_objective": "The objective",
    "tags": "The list",
}
"""What `probes.targets` says of these fields is the rest of a sentence; of the others, a whole one."""
LONGEST = 20_000


@dataclass
class TargetForm:
    """What stands in the fields, and what is wrong with it, by field."""

    values: dict[str, str] = field(default_factory=dict)
    locations: list[str] = field(default_factory=list)
    forget_token: bool = False
    key: str = field(default_factory=new_key)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, environment: str) -> "TargetForm":
        """A new target as the model's defaults have it."""
        form = cls.of(Target(environment_id=environment, script=Script().to_json()))
        form.locations = [location.key for location in Location.objects.all()]
        return form

    @classmethod
    def of(cls, target: Target) -> "TargetForm":
        """A stored target. Its token is never shown again."""
        values = {
            "name": target.name,
            "environment": target.environment_id,
            "url": target.url,
            "interval": f"{target.interval_ms / 1000:g}",
            "deadline": f"{target.deadline_ms / 1000:g}",
            "objective": str(target.ready_objective_ms),
            "success": f"{target.success_objective * 100:.10g}",
            "tags": ", ".join(target.tags),
            "token": "",
            "script": yaml.safe_dump(target.script, sort_keys=False, allow_unicode=True),
        }
        places = sorted(target.locations.values_list("key", flat=True)) if target.pk else []
        return cls(values, places)

    @classmethod
    def sent(cls, data: QueryDict) -> "TargetForm":
        """What a person sent, as they typed it."""
        names = (
            "name",
            "environment",
            "url",
            "interval",
            "deadline",
            "objective",
            "success",
            "tags",
            "token",
            "script",
        )
        form = cls({name: data.get(name, "")[:LONGEST] for name in names}, data.getlist("locations"))
        form.forget_token = data.get("forget_token") == "yes"
        form.key = data.get("key", "")
        if not 16 <= len(form.key) <= 64:
            form.key = new_key()
            form.errors["form"] = "This form is incomplete. Look at it again, then send it."
        return form

    def fields(self) -> dict[str, Any]:
        """The arguments of `create_target` and `update_target` alike; fills `errors` with what cannot be read."""
        read = {
            "name": self.values["name"].strip(),
            "url": self.values["url"].strip(),
            "interval_ms": self._read("interval", _seconds_within(INTERVAL_MS)),
            "deadline_ms": self._read("deadline", _seconds_within(DEADLINE_MS)),
            "ready_objective_ms": self._read("objective", _milliseconds),
            "success_objective": self._read("success", _share),
            "tags": [tag.strip() for tag in self.values["tags"].split(",") if tag.strip()],
            "locations": self.locations,
        }
        try:
            read["script"] = Script.from_yaml(self.values["script"]).to_json()
        except ScriptError as error:
            self.errors["script"] = f"{error}."
        return read

    def credentials(self, target: Target | None) -> dict[str, Any] | None:
        """None: keep what is stored. A typed token replaces only the token; secret headers stay."""
        token = self.values["token"].strip()
        if target is None:
            return {"token": token} if token else {}
        if not token and not self.forget_token:
            return None
        try:
            stored = unseal(target.credentials)
        except CredentialsError:
            stored = {}
        return {**stored, "token": token}

    def blame(self, error: TargetError) -> None:
        """Put an error beside the field it came from."""
        name = FIELD_OF.get(error.field, error.field)
        subject = SUBJECTS.get(error.field)
        said = f"{subject} {error.message}" if subject else error.message
        self.errors[name if name in self.values or name == "locations" else "form"] = said

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        try:
            return parse(self.values[name].strip())
        except ValueError as error:
            self.errors[name] = str(error)
            return None


def context(form: TargetForm, target: Target | None) -> Mapping[str, Any]:
    """What the form's template shows beside the fields."""
    return {
        "form": form,
        "values": form.values,
        "target": target,
        "environments": Environment.objects.all(),
        "locations": Location.objects.order_by("key"),
        "has_credentials": bool(target and target.credentials),
        "script_changed": form.values["script"]
        != yaml.safe_dump(Script().to_json(), sort_keys=False, allow_unicode=True),
    }


def _seconds_within(bounds: tuple[int, int]) -> Callable[[str], int]:
    """Reads seconds into milliseconds; the bounds are milliseconds, too."""

    def read(text: str) -> int:
        try:
            milliseconds = round(float(text) * 1000)
        except (ValueError, OverflowError):
            raise ValueError("Write seconds, for example 5 or 0.5.") from None
        if not bounds[0] <= milliseconds <= bounds[1]:
            raise ValueError(f"Must lie between {bounds[0] / 1000:g} and {bounds[1] / 1000:,g} seconds.")
        return milliseconds

    return read


def _milliseconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError("Write whole milliseconds, for example 2000.")
    return int(text)


def _share(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError("Write per cent, for example 99.9.") from None
    if not 50 <= percent <= 99.999:
        raise ValueError("Must lie between 50 and 99.999 per cent.")
    return round(percent / 100, 10)
