"""Rows that are written once and linked into a hash chain. `save` is the only way in."""

import json
from typing import Any

from django.db import models, transaction

from connections.flags.chain import link


class Chained(models.Model):
    """A row whose hash covers its content and the row before it (`connections.flags.chain`); it cannot be changed."""

    LINKED: tuple[str, ...]
    """The columns that the hash covers."""
    MOVES: frozenset[str] = frozenset()
    """The columns that may be saved again."""

    hash = models.CharField(max_length=64, default="", editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        if not self._state.adding:
            changed = frozenset(options.get("update_fields") or {"everything"})
            if not changed <= self.MOVES:
                raise TypeError(f"{type(self).__name__} rows are never changed.")
            super().save(*args, **options)
            return
        # One transaction: a place that was taken is filled, or free again.
        with transaction.atomic():
            before = self.take_place()
            self.hash = link(before, {name: self._stored(name) for name in self.LINKED})
            super().save(*args, **options)
            self.leave_place()

    def _stored(self, name: str) -> Any:
        """The value as the database will give it back: an object's keys are text, a tuple is a list."""
        value = self._meta.get_field(name).get_prep_value(getattr(self, name))  # type: ignore[union-attr]  # a column
        return json.loads(json.dumps(value)) if isinstance(value, dict | list | tuple) else value

    def take_place(self) -> str:
        """The hash of the row before this one, "" for the first; nobody else takes this place."""
        raise NotImplementedError

    def leave_place(self) -> None:
        """Called when the row is in."""


class Numbered(Chained):
    """A chain per environment, by number. Whoever writes has taken the environment's next revision (`changing.take`),
    so the row before is committed and no second writer is there."""

    environment_id: str
    number: int

    class Meta:
        abstract = True

    def take_place(self) -> str:
        before = {"environment_id": self.environment_id, "number": self.number - 1}
        rows = type(self)._default_manager.filter(**before)
        return rows.values_list("hash", flat=True).first() or ""
