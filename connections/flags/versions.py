"""Flag sets as data: their hashes and the differences between two of them. Pure."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

from connections.flags.layers import Definition as Definition
from connections.flags.layers import Layer, laid_over
from connections.flags.tagging import selected


@dataclass(frozen=True)
class FieldDiff:
    """One field of one definition: JSON values, None where the field is absent."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class FlagDiff:
    """One flag that differs. `before` and `after` are the served variants' names, None where the flag is absent."""

    flag: str
    before: str | None
    after: str | None
    fields: tuple[FieldDiff, ...] = ()

    @property
    def served_changes(self) -> bool:
        """Whether another variant is served, not just described otherwise."""
        return self.before != self.after or any(change.field in _SERVED for change in self.fields)


_SERVED = ("state", "variants", "defaultVariant", "targeting")


class Stored(Protocol):
    """What the store knows of a version's definitions (`connections.flags.stored`)."""

    @property
    def definitions(self) -> dict[str, dict[str, Any]]: ...
    @property
    def hashes(self) -> dict[str, str]: ...
    @property
    def set_hash(self) -> str: ...
    def only(self, keys: Iterable[str]) -> "Stored": ...


@dataclass(frozen=True)
class FlagSet:
    """What one version of one environment defines. `revision` is the environment's when this was read."""

    environment: str
    version: int
    revision: int
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    """What lies over the version; empty where an older version is looked at."""
    stored: Stored | None = field(default=None, compare=False, repr=False)
    """Where the definitions were read from the store: what is known of them already."""

    @cached_property
    def served(self) -> dict[str, dict[str, Any]]:
        """The definitions as they are served: the version's, under what lies over it."""
        return laid_over(self.definitions, self.layers)

    @cached_property
    def set_hash(self) -> str:
        """SHA-256, hexadecimal, over every definition's hash by key."""
        known = self._known
        return set_hash(self.definitions) if known is None else known.set_hash

    @property
    def hashes(self) -> Mapping[str, str]:
        """Every definition's hash by key."""
        known = self._known
        if known is not None:
            return known.hashes
        return {key: definition_hash(definition) for key, definition in self.definitions.items()}

    @property
    def _known(self) -> Stored | None:
        """What the store knows, unless somebody has put other definitions in their place."""
        known = self.stored
        if known is None or len(known.definitions) != len(self.definitions):
            return None
        same_objects = all(known.definitions.get(key) is body for key, body in self.definitions.items())
        return known if same_objects else None

    def selected(self, tags: Collection[str]) -> "FlagSet":
        """The flags that a key with `tags` gets, under the same revision."""
        keys = selected(self.definitions, tags)
        known = self._known
        some = {key: self.definitions[key] for key in keys}
        return replace(self, definitions=some, stored=None if known is None else known.only(keys))

    @property
    def etag(self) -> str:
        """The strong ETag of everything derived from this set (RFC 9110, 8.8.3): changes whenever the revision does."""
        return f'"{self.revision}-{self.set_hash[:16]}"'


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: keys sorted, no spaces, non-ASCII as it is. Raises ValueError on NaN."""
    text = _dumped(value)
    # PostgreSQL's jsonb writes 1e+16 out as a whole number, and knows no -0.0: the text is the same there and here.
    return _dumped(_settled(json.loads(text))) if "e+" in text or "-0.0" in text else text


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_settled(inner) for inner in value]
    if isinstance(value, float) and "e+" in repr(value):
        return int(Decimal(repr(value)))
    return 0.0 if value == 0 and isinstance(value, float) else value


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; unlike Python's ==, true is not 1 and 1 is not 1.0."""
    return left == right and canonical_json(left) == canonical_json(right)


def definition_hash(definition: Definition) -> str:
    """SHA-256, hexadecimal, of a definition's canonical JSON."""
    return hashlib.sha256(canonical_json(definition).encode()).hexdigest()


def set_hash(definitions: Mapping[str, Definition]) -> str:
    """SHA-256, hexadecimal, of a whole set: order of the flags does not matter."""
    return set_hash_of({key: definition_hash(definition) for key, definition in definitions.items()})


def set_hash_of(hashes: Mapping[str, str]) -> str:
    """The hash of a set from its definitions' hashes by key."""
    keys = "".join(hashes)
    if keys.isascii() and keys.isprintable() and '"' not in keys and "\\" not in keys:
        # The same text, in a third of the time: this runs for every change of a set of 10,000.
        text = "{" + ",".join([f'"{key}":"{hashes[key]}"' for key in sorted(hashes)]) + "}"
    else:
        text = canonical_json(hashes)
    return hashlib.sha256(text.encode()).hexdigest()


def diff(before: FlagSet | Mapping[str, Definition], after: FlagSet | Mapping[str, Definition]) -> list[FlagDiff]:
    """What changes from one set to the other, by flag key. Empty: they define the same."""
    old, new = _definitions(before), _definitions(after)
    changed = [key for key in {*old, *new} if old.get(key) is not new.get(key) and not same(old.get(key), new.get(key))]
    return [flag_diff(key, old.get(key), new.get(key)) for key in sorted(changed)]


def flag_diff(key: str, before: Definition | None, after: Definition | None) -> FlagDiff:
    """The fields in which two definitions of one flag differ; None: the flag is absent on that side."""
    old, new = before or {}, after or {}
    fields = [FieldDiff(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
    changed = tuple(change for change in fields if not same(change.before, change.after))
    return FlagDiff(key, old.get("defaultVariant"), new.get("defaultVariant"), changed)


def with_variants(definitions: Mapping[str, Definition], values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The changed definitions alone: those of `values` whose served variant differs, with the new one in place."""
    return {
        key: {**definitions[key], "defaultVariant": variant}
        for key, variant in values.items()
        if definitions[key].get("defaultVariant") != variant
    }


def _definitions(flags: FlagSet | Mapping[str, Definition]) -> Mapping[str, Definition]:
    return flags.definitions if isinstance(flags, FlagSet) else flags
