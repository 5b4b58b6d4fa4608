"""Flags as immutable versions, and the revisions that are served."""

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from connections.flags import chain
from connections.models.chained import Numbered

flag_key_validator = RegexValidator(
    r"\A[A-Za-z0-9._-]{1,100}\Z", "A flag key has 1 to 100 letters, digits, dots, underscores or hyphens."
)


class GuardMode(models.TextChoices):
    """From the least to the most that a guard does by itself when it has seen enough."""

    OBSERVE = "observe"
    PROPOSE = "propose"
    ACT = "act"


class Environment(models.Model):
    """One stage of the rollout, in order. `revision` counts every change of what is served here."""

    key = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=60)
    position = models.PositiveSmallIntegerField(unique=True)
    revision = models.PositiveBigIntegerField(default=0)
    is_production = models.BooleanField(default=False)
    reason_required = models.BooleanField(default=True)
    four_eyes = models.BooleanField(default=False)
    """Acts towards something new wait for a second person."""
    guard_mode = models.CharField(max_length=10, choices=GuardMode, default=GuardMode.OBSERVE)
    """The most that a guard may do here."""

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name


class Definition(models.Model):
    """One flag's definition by the SHA-256 of its canonical JSON, so that a version costs only what changed."""

    hash = models.CharField(primary_key=True, max_length=64)
    body = models.JSONField()


class Version(Numbered):
    """A flag set of an environment: immutable and numbered. `set_hash` covers the whole set, not just the changes."""

    LINKED = (*chain.VERSION, "approved_by")
    MOVES = frozenset({"known_good_at", "known_good_by"})

    class Kind(models.TextChoices):
        INITIAL = "initial"
        CHANGE = "change"
        REVERT = "revert"
        PLAN = "plan"
        PROMOTION = "promotion"
        IMPORT = "import"
        OWN_PLAN = "own_plan"
        """A plan of the team's own, run by whoever chose its values, or by a program: nobody else has seen it."""
        RAMP = "ramp_completed"
        """A ramp came to its end by the clock: its variant is what the flag serves."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveBigIntegerField()
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    kind = models.CharField(max_length=20, choices=Kind)
    set_hash = models.CharField(max_length=64)
    author = models.CharField(max_length=150)
    approved_by = models.CharField(max_length=150, default="", blank=True)
    """The second person, where two were asked for."""
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    known_good_at = models.DateTimeField(null=True)
    known_good_by = models.CharField(max_length=150, default="")

    class Meta:
        ordering = ["environment", "-number"]
        constraints = [models.UniqueConstraint(fields=["environment", "number"], name="version_number_once")]


class VersionChange(models.Model):
    """What one version changed: a definition, or nothing where the flag was removed."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="changes")
    flag_key = models.CharField(max_length=100, validators=[flag_key_validator])
    definition = models.ForeignKey(Definition, on_delete=models.PROTECT, null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "flag_key"], name="flag_once_per_version")]
        indexes = [models.Index(fields=["flag_key", "version"])]


class Revision(Numbered):
    """One change of what an environment serves: stamped on connections, streamed, held and confirmed by this number."""

    LINKED = (*chain.REVISION, *chain.LATER)

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveBigIntegerField()
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="revisions")
    cause = models.CharField(max_length=20)
    summary = models.JSONField(default=list)
    """One entry per flag whose served value changed: {"flag", "before", "after"} (variant names, null where absent).
    Where a layer came, went or moved, also {"layer", "laid"}, and of a ramp {"ramp", "was", "percentage"}."""
    layers = models.JSONField(default=list)
    """What lies over the version, strongest last (`connections.flags.layers`): so this row is all that is served."""
    author = models.CharField(max_length=150)
    approved_by = models.CharField(max_length=150, default="", blank=True)
    break_glass = models.ForeignKey("BreakGlass", on_delete=models.PROTECT, null=True, related_name="revisions")
    """Under which one person acted alone where two were asked for."""
    reason = models.TextField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["environment", "-number"]
        constraints = [models.UniqueConstraint(fields=["environment", "number"], name="revision_number_once")]
        indexes = [models.Index(fields=["environment", "at"])]
