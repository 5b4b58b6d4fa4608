"""Targets, and the locations they are probed from."""

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from connections.models import Environment

INTERVAL_MS = (250, 86_400_000)
DEADLINE_MS = (100, 60_000)
SUCCESS = (0.5, 0.99999)
"""Least and most of a target's interval, deadline and share of successes."""
RESIDENTS = (0, 500)
HOLD_S = (60, 86_400)
EVERY_S = (1, 3600)
"""Least and most of its resident probes, of how long each holds its socket, and of the pause between conversations."""


class Location(models.Model):
    """Where probes run from: a Celery queue that workers subscribe to."""

    key = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=60)

    def __str__(self) -> str:
        return self.name

    @property
    def queue(self) -> str:
        return f"probes-{self.key}"


class Target(models.Model):
    """One WebSocket endpoint in an environment, and how it is probed."""

    slug = models.SlugField(unique=True, max_length=80)
    name = models.CharField(max_length=80)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="targets")
    url = models.CharField(max_length=2000)
    script = models.JSONField(default=dict)
    """A `probes.engine.script.Script` as JSON: subprotocols, headers, claimed rule, trigger, expected events."""
    credentials = models.TextField(default="", blank=True)
    """Encrypted JSON {"token": ..., "headers": {...}, "ca_pem": ...}; see probes/credentials.py. Empty: a guest."""
    interval_ms = models.PositiveIntegerField(
        default=5000, validators=[MinValueValidator(INTERVAL_MS[0]), MaxValueValidator(INTERVAL_MS[1])]
    )
    deadline_ms = models.PositiveIntegerField(
        default=5000, validators=[MinValueValidator(DEADLINE_MS[0]), MaxValueValidator(DEADLINE_MS[1])]
    )
    ready_objective_ms = models.PositiveIntegerField(default=2000)
    success_objective = models.FloatField(
        default=0.999, validators=[MinValueValidator(SUCCESS[0]), MaxValueValidator(SUCCESS[1])]
    )
    residents = models.PositiveSmallIntegerField(
        default=0, validators=[MinValueValidator(RESIDENTS[0]), MaxValueValidator(RESIDENTS[1])]
    )
    """Resident probes at each location: connections that stay. 0: none."""
    resident_hold_s = models.PositiveIntegerField(
        default=3600, validators=[MinValueValidator(HOLD_S[0]), MaxValueValidator(HOLD_S[1])]
    )
    resident_every_s = models.PositiveIntegerField(
        default=10, validators=[MinValueValidator(EVERY_S[0]), MaxValueValidator(EVERY_S[1])]
    )
    locations = models.ManyToManyField(Location, related_name="targets")
    tags = models.JSONField(default=list, blank=True)
    paused_by = models.CharField(max_length=150, default="", blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    is_reference = models.BooleanField(default=False)
    active_since = models.DateTimeField(default=timezone.now)
    """Slots before this instant are not expected: creation, or the last resumption."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def paused(self) -> bool:
        return bool(self.paused_by)

    @property
    def interval(self) -> timedelta:
        return timedelta(milliseconds=self.interval_ms)

    @property
    def deadline(self) -> timedelta:
        return timedelta(milliseconds=self.deadline_ms)
