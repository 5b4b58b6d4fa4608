"""A flag's definition as a form: what was typed, the definition it makes, and what is wrong by field and line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connections.flags.definitions import KEY, check, check_successor
from connections.flags.errors import BadDefinition
from connections.flags.files import BadFile
from connections.flags.files.flagd import lines_in, load_json
from connections.flags.versions import Definition

TEXT = ("flag_key", "default", "safe", "owner", "remove_by", "description", "tags")
JSON = ("variants", "targeting", "schema", "more")
LONGEST = 100_000
NAMED = {"safe": "safeVariant", "owner": "owner", "remove_by": "removeBy", "description": "description"}
"""Metadata with fields of their own; any other stands as JSON in `more`."""
LABELS = {
    "flag_key": "Key",
    "variants": "Variants",
    "default": "Served to everybody",
    "safe": "Safe variant",
    "targeting": "Rules",
    "owner": "Owner",
    "remove_by": "Remove by",
    "schema": "Schema",
    "tags": "Tags",
    "more": "Other metadata",
}
FIELD_OF = {"defaultVariant": "default", "metadata": "more", "state": "enabled", "text": "variants"}


@dataclass
class FlagForm:
    """What was typed, kept as it was typed whatever is wrong with it."""

    flag_key: str = ""
    enabled: bool = True
    variants: str = '{\n  "on": true,\n  "off": false\n}'
    default: str = "off"
    targeting: str = ""
    schema: str = ""
    tags: str = ""
    safe: str = "off"
    owner: str = ""
    remove_by: str = ""
    description: str = ""
    more: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, key: str, definition: Definition) -> "FlagForm":
        """The form that shows a definition; `definition()` of it gives the same back."""
        metadata = dict(definition.get("metadata") or {})
        named = {name: str(metadata.pop(told)) for name, told in NAMED.items() if isinstance(metadata.get(told), str)}
        return cls(
            flag_key=key,
            enabled=definition.get("state") == "ENABLED",
            variants=_shown(definition.get("variants", {})),
            default=definition.get("defaultVariant") or "",
            targeting=_shown(definition.get("targeting")),
            schema=_shown(definition.get("schema")),
            tags=", ".join(definition.get("tags") or []),
            more=_shown(metadata or None),
            **{name: named.get(name, "") for name in NAMED},  # type: ignore[arg-type]  # all text
        )

    @classmethod
    def read(cls, sent: Mapping[str, str], key: str) -> "FlagForm":
        """The form as it was sent. `key`: of the flag that is changed; "" for a new one."""
        # Browsers send CRLF; a line must count once, and a text that was not touched must stay as it was.
        typed = {name: sent.get(name, "")[:LONGEST].replace("\r\n", "\n") for name in (*TEXT, *JSON)}
        form = cls(enabled=sent.get("enabled") == "yes", **typed)  # type: ignore[arg-type]  # all text
        form.flag_key = key or form.flag_key.strip()
        return form

    @property
    def summary(self) -> list[tuple[str, str]]:
        """(field, what is wrong with it, beginning with its name), in the order of the page."""
        said = {name: f"{LABELS[name]}: {text}" if name in LABELS else text for name, text in self.errors.items()}
        return sorted(said.items(), key=lambda one: (*LABELS, *said).index(one[0]))

    def hidden(self) -> dict[str, str]:
        """Everything typed, for the form that confirms it."""
        typed = {name: getattr(self, name) for name in (*TEXT, *JSON)}
        return typed | ({"enabled": "yes"} if self.enabled else {})

    def definition(self, before: Definition | None) -> dict[str, Any] | None:
        """The definition that was typed; None where something is wrong, and `errors` says what."""
        if not KEY.fullmatch(self.flag_key):
            self.errors["flag_key"] = "A key has 1 to 100 letters, digits, dots, underscores or hyphens."
        parsed = {name: self._parsed(name) for name in JSON}
        if self.errors:
            return None
        body: dict[str, Any] = {"state": "ENABLED" if self.enabled else "DISABLED", "variants": parsed["variants"]}
        if self.default.strip():
            body["defaultVariant"] = self.default.strip()
        body |= {name: parsed[name] for name in ("targeting", "schema") if parsed[name] is not None}
        if tags := [word.strip() for word in self.tags.split(",") if word.strip()]:
            body["tags"] = tags
        if metadata := self._metadata(parsed["more"]):
            body["metadata"] = metadata
        return body if self.accept(body, before) else None

    def accept(self, body: Definition, before: Definition | None) -> bool:
        """Whether clients understand it; else `errors` names the field, and the line where one is known."""
        try:
            check(self.flag_key, body)
            check_successor(self.flag_key, before, body)
        except BadDefinition as error:
            self._blame(error)
        return not self.errors

    def _metadata(self, more: Any) -> dict[str, Any]:
        named = {told: getattr(self, name).strip() for name, told in NAMED.items()}
        return {**(more or {}), **{told: text for told, text in named.items() if text}}

    def _parsed(self, name: str) -> Any:
        text = getattr(self, name)
        if not text.strip():
            if name == "variants":
                self.errors[name] = 'Write an object with at least one variant: {"on": true, "off": false}.'
            return None
        try:
            value = load_json(text)
        except BadFile as error:
            self.errors[name] = _sentence(str(error.message))
            return None
        if not isinstance(value, dict):
            self.errors[name] = "Write a JSON object: { … }."
        return value

    def _blame(self, error: BadDefinition) -> None:
        told = error.message.removeprefix(f"{error.flag}: ").removesuffix(".")
        words = [word.strip(":,'\"") for word in told.split()]
        name, path = next((found for word in words if (found := _field(word))), ("form", ()))
        if path[:1] == ("safeVariant",):
            name = "safe"
        elif path[:1] == ("removeBy",):
            name = "remove_by"
        line = lines_in(getattr(self, name)).get(path, 0) if name in JSON and path else 0
        self.errors[name] = _sentence(f"line {line}: {told}" if line else told)


def _field(word: str) -> tuple[str, tuple[str, ...]] | None:
    """The form's field and the path in it that a word of a message names, as "variants.fast.ms" does."""
    first, *rest = word.split(".")
    name = FIELD_OF.get(first, first)
    return (name, tuple(rest)) if name in (*TEXT, *JSON, "enabled") and name != "flag_key" else None


def _shown(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
