"""The form of a target: what people type, in seconds and per cent, read into what `probes.targets` takes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.http import QueryDict

from connections.models import Environment
from dashboard import connection_form
from dashboard.connection_form import LONGEST_PEM, SECRETS, FieldError
from dashboard.submissions import new_key
from probes.bounds import refused
from probes.engine.fields import read_yaml
from probes.engine.script import Script, ScriptError
from probes.models import DEADLINE_MS, EVERY_S, HOLD_S, INTERVAL_MS, RESIDENTS, Location, Target
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
PLAIN = ("name", "environment", "url", "interval", "deadline", "objective", "success", "tags", "token", "script")
SWITCHES = {"compression": "Compression", "early_send": "The first message with the 101"}
"""Fields of the script that are boxes of the form: the script shown below them leaves them out."""
LONGEST = 20_000
RESIDENT_FIELDS = {"residents": RESIDENTS, "resident_hold_s": HOLD_S, "resident_every_s": EVERY_S}
"""The fields of long-lived connections, by their name in the model: whole numbers between these."""


@dataclass
class TargetForm:
    """What stands in the fields, and what is wrong with it, by field."""

    values: dict[str, str] = field(default_factory=dict)
    locations: list[str] = field(default_factory=list)
    ticked: frozenset[str] = frozenset()
    """Which of SWITCHES are on."""
    forgets: frozenset[str] = frozenset()
    """Which stored secrets are to go."""
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
        """A stored target. Its token and its other secrets are never shown again."""
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
            "script": _shown_script(target.script),
            **connection_form.shown(connection_form.stored_in(target)),
            **{name: str(getattr(target, name)) for name in RESIDENT_FIELDS},
        }
        places = sorted(target.locations.values_list("key", flat=True)) if target.pk else []
        return cls(values, places, frozenset(name for name in SWITCHES if target.script.get(name)))

    @classmethod
    def sent(cls, data: QueryDict) -> "TargetForm":
        """What a person sent, as they typed it."""
        values = {name: data.get(name, "")[:LONGEST] for name in PLAIN}
        # A character more than is stored, so that what is too long is told and not cut.
        values |= {name: data.get(name, "")[: 2 * LONGEST_PEM] for name in connection_form.LABELS}
        values["family"] = values["family"] or "any"
        # A form that does not know them leaves them as they are.
        values |= {name: data.get(name, "")[:LONGEST] for name in RESIDENT_FIELDS if name in data}
        form = cls(values, data.getlist("locations"))
        form.ticked = frozenset(name for name in SWITCHES if data.get(name) == "yes")
        form.forgets = frozenset(name for name in SECRETS if data.get(f"forget_{name}") == "yes")
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
            **{
                name: self._read(name, _whole_within(bounds))
                for name, bounds in RESIDENT_FIELDS.items()
                if name in self.values
            },
            "tags": [tag.strip() for tag in self.values["tags"].split(",") if tag.strip()],
            "locations": self.locations,
        }
        try:
            read["script"] = _with_switches(self.values["script"], self.ticked)
        except ScriptError as error:
            if error.field in self.ticked:
                self.errors[error.field] = f"{SWITCHES[error.field]}: {error.fault}. {error.cure}."
            else:
                self.errors["script"] = f"{error}."
        return read

    def credentials(self, target: Target | None) -> dict[str, Any] | None:
        """What is to be stored; None: keep what is. Secret headers stay. Fills `errors` with what cannot be read."""
        stored = connection_form.stored_in(target)
        typed = self.values["token"].strip()
        token = typed or ("" if "token" in self.forgets else stored.get("token", ""))
        try:
            changed = {**stored, "token": token, **connection_form.read(self.values, self.forgets, stored)}
        except FieldError as error:
            self.errors[error.field] = str(error)
            return None
        changed = {name: value for name, value in changed.items() if value}
        return None if changed == stored and not self.forgets else changed

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
    stored = connection_form.stored_in(target)
    if form.errors and form.values["client_pem"]:
        lost = f"{connection_form.LABELS['client_pem']}: not kept, for keys are never shown. Paste it again."
        form.errors.setdefault("client_pem", lost)
    return {
        "form": form,
        "values": form.values,
        "target": target,
        "environments": Environment.objects.all(),
        "locations": Location.objects.order_by("key"),
        "residents_open": any(form.errors.get(name) for name in RESIDENT_FIELDS)
        or form.values.get("residents", "0") != "0",
        "warnings": warnings(form.values["url"], form.values["address"]),
        "kept": connection_form.secrets_of(stored),
        "families": connection_form.FAMILIES.items(),
        "reached_otherwise": _reached_otherwise(form, stored),
        "script_changed": form.values["script"].replace("\r\n", "\n") != _shown_script(Script().to_json()),
    }


def warnings(url: str, address: str) -> dict[str, str]:
    """Why scheduled probes would not dial what is written, below the field that says what is dialled."""
    rule = refused(url, address.strip())
    return {"url": "", "address": rule} if address.strip() else {"url": rule, "address": ""}


def _reached_otherwise(form: TargetForm, stored: Mapping[str, Any]) -> bool:
    """Whether the part about the road to the target is to be seen at once: in use, typed into, or wrong."""
    used = connection_form.secrets_of(stored) - {"token"}
    typed = {name for name in connection_form.LABELS if form.values[name] and form.values[name] != "any"}
    wrong = {*connection_form.LABELS, *SWITCHES} & form.errors.keys()
    return bool(used or typed or wrong or form.ticked)


def _shown_script(script: Mapping[str, Any]) -> str:
    return yaml.safe_dump(
        {name: value for name, value in script.items() if name not in SWITCHES}, sort_keys=False, allow_unicode=True
    )


def _with_switches(text: str, ticked: Collection[str]) -> dict[str, Any]:
    """The script as JSON, with what is ticked. One that names a switch itself decides. Raises ScriptError."""
    script = Script.from_yaml(text).to_json()
    named, lines = read_yaml(text)
    for name in ticked:
        if not script[name] and name in named:
            fault = "is ticked here, but false in the conversation"
            raise ScriptError(name, fault, "Take one of them away", lines.get(name))
    return Script.from_json({**script, **dict.fromkeys(ticked, True)}).to_json()


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


def _whole_within(bounds: tuple[int, int]) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not bounds[0] <= int(text[:9]) <= bounds[1]:
            raise ValueError(f"Write a whole number from {bounds[0]} to {bounds[1]:,}.")
        return int(text)

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
