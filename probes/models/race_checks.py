"""Bursts of probes that a person asked for."""

from django.db import models

from probes.models.targets import Location, Target


class RaceCheck(models.Model):
    """A bounded burst against one target that a person asked for, and what it found. In no rollup, status or objective.

    People insert and cancel it, the recorder writes all else; `probes/race_checks.py` has the states and who may follow
    whom.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        CANCELLED = "cancelled"
        EXPIRED = "expired"

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="race_checks")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    count = models.PositiveIntegerField()
    at_once = models.PositiveIntegerField()
    early_send = models.BooleanField()
    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    """When its worker was first heard of; null where none took it."""
    heard_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(db_index=True)
    worker = models.CharField(max_length=200, default="")
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    why = models.TextField(default="")
    """Why it was cancelled or has expired, in a sentence."""
    report = models.JSONField(null=True)
    """A `probes.race_report.Report` as JSON without its samples; of a cancelled check, what was found until then."""
    samples = models.JSONField(default=list)
    """The report's failing probes with their transcripts: apart, so that lists need not read them."""

    class Meta:
        ordering = ["-asked_at"]
        indexes = [models.Index(fields=["target", "-asked_at"], name="race_check_target")]
        # Whoever asks second finds this: two bursts at once would measure each other.
        constraints = [
            models.UniqueConstraint(
                fields=["target"], condition=models.Q(state__in=["queued", "running"]), name="one_active_race_check"
            )
        ]

    @property
    def active(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING)
