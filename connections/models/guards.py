"""Guards over ramped flags: what each may do, what it has counted, and every time that it had seen enough."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from connections.flags.guard import OBJECTIVES
from connections.models.flags import Environment, flag_key_validator
from connections.models.layers import Ramp


class Guard(models.Model):
    """One flag of one environment, and the test of the ramp that stands over it."""

    class Mode(models.TextChoices):
        OFF = "off"
        OBSERVE = "observe"
        PROPOSE = "propose"
        ACT = "act"

    class State(models.TextChoices):
        WATCHING = "watching"
        TRIPPED = "tripped"
        """Locked: it counts and does nothing until a person re-arms it."""
        COOLING = "cooling"
        """Re-armed before its cool-down was over: it counts again afterwards."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="guards")
    flag_key = models.CharField(max_length=100, validators=[flag_key_validator])
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.OBSERVE)
    objective = models.FloatField(
        default=0.99, validators=[MinValueValidator(OBJECTIVES[0]), MaxValueValidator(OBJECTIVES[1])]
    )
    """The share of its probes that a healthy variant passes."""
    state = models.CharField(max_length=10, choices=State, default=State.WATCHING)
    cool_down_seconds = models.PositiveIntegerField(default=600)
    flap_budget = models.PositiveSmallIntegerField(default=3)
    """It acts so often in 24 hours; then it proposes."""
    cooling_until = models.DateTimeField(null=True)
    ramp = models.ForeignKey(Ramp, on_delete=models.SET_NULL, null=True, related_name="+")
    """The ramp that is counted."""
    step = models.PositiveSmallIntegerField(default=0)
    paused = models.BooleanField(default=False)
    """Whether the ramp was paused when it was last looked at."""
    seen_revision = models.PositiveBigIntegerField(default=0)
    since_revision = models.PositiveBigIntegerField(default=0)
    """A person's newest decision about the flag: what was served before it is no evidence against it."""
    since_at = models.DateTimeField(null=True)
    """Slots before this instant do not count: a ramp resumed, a guard re-armed."""
    test = models.JSONField(default=dict)
    """A `connections.flags.guard.GuardTest`; empty: nothing counted yet."""
    counted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["environment", "flag_key"]
        constraints = [models.UniqueConstraint(fields=["environment", "flag_key"], name="guard_of_a_flag_once")]


class GuardTrip(models.Model):
    """One time that a guard had seen enough: what it did, or why it did less, and the evidence."""

    class Did(models.TextChoices):
        OBSERVED = "observed"
        PROPOSED = "proposed"
        ACTED = "acted"

    guard = models.ForeignKey(Guard, on_delete=models.CASCADE, related_name="trips")
    ramp = models.ForeignKey(Ramp, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    did = models.CharField(max_length=10, choices=Did)
    why = models.TextField(default="", blank=True)
    """Where it did less than its mode allows: why."""
    figure = models.CharField(max_length=20)
    variant = models.CharField(max_length=100)
    control = models.CharField(max_length=100)
    evidence = models.JSONField()
    """Counts, bounds and odds by figure, and the probes."""
    revision = models.PositiveBigIntegerField(null=True)
    """The revision that the breaker made."""
    carried_out_by = models.CharField(max_length=150, default="", blank=True)
    """The person who tripped the breaker by hand, where the guard only proposed it."""
    rearmed_at = models.DateTimeField(null=True)
    rearmed_by = models.CharField(max_length=150, default="", blank=True)
    rearmed_reason = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["guard", "-at"], name="guard_trip_newest")]
