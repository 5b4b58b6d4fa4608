"""What people and guards lay over a version: kills, tripped breakers, ramps. Each row ends, none goes."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from connections.flags.layers import WHOLE, Layer, LayerKind
from connections.models.flags import Environment, flag_key_validator


class Overlay(models.Model):
    """A kill (a person's) or a tripped breaker (the guard's): serves `variant` until it is lifted or expires."""

    class Kind(models.TextChoices):
        KILL = LayerKind.KILL.value
        BREAKER = LayerKind.BREAKER.value

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="overlays")
    flag_key = models.CharField(max_length=100, validators=[flag_key_validator])
    kind = models.CharField(max_length=20, choices=Kind)
    variant = models.CharField(max_length=100)
    author = models.CharField(max_length=150)
    reason = models.TextField()
    laid_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True)
    """Null: until somebody lifts it."""
    evidence = models.JSONField(null=True)
    """What a guard saw when it tripped: counts, bounds, probes."""
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=150, default="", blank=True)
    """Who lifted it; "readywire" where it expired."""
    ended_reason = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["environment", "-laid_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "flag_key", "kind"],
                condition=Q(ended_at__isnull=True),
                name="overlay_of_a_kind_once",
            )
        ]

    @property
    def layer(self) -> Layer:
        return Layer(self.flag_key, LayerKind(self.kind), self.variant)


class Ramp(models.Model):
    """A flag on its way from one variant to another in steps; the rest of the subjects keeps `control`."""

    class State(models.TextChoices):
        """What `connections.flags.ramps.State` knows."""

        RUNNING = "running"
        PAUSED = "paused"
        ABORTED = "aborted"
        COMPLETED = "completed"

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="ramps")
    flag_key = models.CharField(max_length=100, validators=[flag_key_validator])
    control = models.CharField(max_length=100)
    variant = models.CharField(max_length=100)
    steps = models.JSONField()
    """[{"percentage": 0.1 to 100, "hold_seconds": n, "needs_pass": bool}], percentages rising."""
    step = models.PositiveSmallIntegerField(default=0)
    """Index of the step that is served."""
    state = models.CharField(max_length=20, choices=State, default=State.RUNNING)
    held_seconds = models.FloatField(default=0.0)
    """How long this step was served while the ramp ran, up to `counting_since`."""
    counting_since = models.DateTimeField(null=True)
    """Since when the step's time counts; null while paused."""
    paused_why = models.CharField(max_length=200, default="", blank=True)
    author = models.CharField(max_length=150)
    reason = models.TextField()
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=150, default="", blank=True)
    ended_reason = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["environment", "-started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "flag_key"], condition=Q(ended_at__isnull=True), name="ramp_of_a_flag_once"
            )
        ]

    @property
    def percentage(self) -> float:
        """How many of a hundred subjects get `variant` now."""
        return float(self.steps[self.step]["percentage"])

    @property
    def layer(self) -> Layer:
        return Layer(self.flag_key, LayerKind.RAMP, self.variant, self.control, round(self.percentage * WHOLE / 100))
