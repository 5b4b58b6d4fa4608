"""What a target is now, when that changed, and how far the recorder has come."""

from django.db import models
from django.utils import timezone

from probes.models.targets import Target


class TargetStatus(models.Model):
    """One row per target for the overview: what it is now, since when, and the last sixty slots."""

    class State(models.TextChoices):
        UP = "up"
        DEGRADED = "degraded"
        DOWN = "down"
        STALE = "stale"
        PAUSED = "paused"
        UNKNOWN = "unknown"

    target = models.OneToOneField(Target, on_delete=models.CASCADE, primary_key=True, related_name="status")
    state = models.CharField(max_length=10, choices=State, default=State.UNKNOWN)
    since = models.DateTimeField(default=timezone.now)
    why = models.CharField(max_length=300, default="")
    ribbon = models.CharField(max_length=60, default="")
    """One letter per slot, oldest first: u up, g degraded (slow), d down, m missed; the worst of all locations."""
    recent = models.JSONField(default=list)
    """The last sixty slots at all locations, oldest first: lists of `probes.recent.STORED`."""
    last_slot = models.DateTimeField(null=True)
    last_result_at = models.DateTimeField(null=True)
    sequence = models.PositiveBigIntegerField(default=0)
    """+1 at each write, so that a page knows whether what it shows is the newest."""


class ServedCertificate(models.Model):
    """The certificate that a target showed last; written where it is another than before."""

    target = models.OneToOneField(Target, on_delete=models.CASCADE, primary_key=True, related_name="certificate")
    subject = models.CharField(max_length=100)
    issuer = models.CharField(max_length=100)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    since = models.DateTimeField()
    """The first slot that saw it."""


class Flip(models.Model):
    """One change of a target's state: from, to, when, why."""

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="flips")
    before = models.CharField(max_length=10)
    after = models.CharField(max_length=10)
    at = models.DateTimeField(db_index=True)
    why = models.CharField(max_length=300)


class Watermark(models.Model):
    """How far a periodic duty has come; moved only by a conditional UPDATE."""

    name = models.CharField(primary_key=True, max_length=40)
    at = models.DateTimeField()
