"""What a person says to make, replace or revoke a server key, and what is missing of it.

Asked in proportion to what it can break, as of acts on flags: a reason; in production a tick as well where a key ends,
and the environment's name, typed, where a new one opens it.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from django.http import QueryDict

from connections.flags import tagging
from connections.flags.changing import check_reason
from connections.flags.errors import ReasonMissing
from connections.flags.keys import LONGEST_NAME
from connections.models import Environment, ServerKey
from dashboard.submissions import new_key

LONGEST_REASON = 1000
GRACES = {"": "until somebody revokes it", "1": "1 hour", "24": "1 day", "168": "7 days"}
"""How long the old key goes on working, in hours."""


@dataclass
class KeyForm:
    """What was typed, and what is wrong with it, by field."""

    environment: str = ""
    name: str = ""
    scope: str = ServerKey.Scope.SERVER
    tags: str = ""
    """Words, by commas or blanks."""
    grace: str = ""
    reason: str = ""
    typed: str = ""
    ticked: bool = False
    key: str = field(default_factory=new_key)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, sent: QueryDict) -> "KeyForm":
        """The form as it was sent; one without its own key was not made by us."""
        form = cls(
            environment=sent.get("environment", ""),
            name=sent.get("name", "").strip(),
            scope=sent.get("scope", ""),
            tags=sent.get("tags", "").strip(),
            grace=sent.get("grace", ""),
            reason=sent.get("reason", "").strip()[:LONGEST_REASON],
            typed=sent.get("typed", "").strip(),
            ticked=sent.get("ticked") == "yes",
            key=sent.get("key", ""),
        )
        if not 16 <= len(form.key) <= 64:
            form.key = new_key()
            form.errors["form"] = "This form is incomplete. Look at it again, then send it."
        return form

    @property
    def keeps_for(self) -> timedelta | None:
        """How long the old key goes on working; None: until somebody revokes it."""
        return timedelta(hours=int(self.grace)) if self.grace else None

    @property
    def selected(self) -> list[str]:
        """The tags, each a word."""
        return self.tags.replace(",", " ").split()

    def check_new(self, stage: Environment | None) -> bool:
        """Fill `errors` with what a new key lacks."""
        if not self.name or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            self.errors["name"] = f"Name what will use it, in at most {LONGEST_NAME} characters."
        try:
            tagging.checked(self.selected)
        except tagging.TagError as error:
            self.errors["tags"] = f"{str(error).capitalize()}."
        if self.scope not in ServerKey.Scope.values:
            self.errors["scope"] = "Choose what it may do."
        if stage is None:
            self.errors["environment"] = "Choose an environment."
            return False
        if stage.is_production and self.typed != stage.key:
            self.errors["typed"] = f"Typed name does not match {stage.key}."
        return self._check_reason(stage)

    def check_rotation(self, stage: Environment) -> bool:
        """Fill `errors` with what a rotation lacks."""
        if self.grace not in GRACES:
            self.errors["grace"] = "Choose how long."
        return self.check_end(stage) if self.grace else self._check_reason(stage)

    def check_end(self, stage: Environment) -> bool:
        """Fill `errors` with what ending a key lacks."""
        if stage.is_production and not self.ticked:
            self.errors["ticked"] = f"Tick the box: a key of {stage.name.lower()} ends."
        return self._check_reason(stage)

    def _check_reason(self, stage: Environment) -> bool:
        try:
            check_reason(stage, self.reason)
        except ReasonMissing as missing:
            self.errors["reason"] = missing.cure
        return not self.errors
