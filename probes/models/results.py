"""What single probes found: results of slots, transcripts, and lives of resident probes."""

from django.db import models
from django.utils import timezone

from probes.models.targets import Location, Target


class Result(models.Model):
    """What one slot of a target found at one location. The identity is the slot, so a second delivery changes nothing.

    Times are integer microseconds; null where the probe did not get that far. Here and in what is derived, the target
    and the location have no index of their own: those of the table begin with the target, and nobody asks by location.
    """

    pk = models.CompositePrimaryKey("target_id", "location_id", "slot")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, db_index=False, related_name="results")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, db_index=False, related_name="+")
    slot = models.DateTimeField()
    ok = models.BooleanField()
    kind = models.CharField(max_length=30)
    """A FailureKind value; "" where the probe succeeded."""
    phase = models.CharField(max_length=20, default="")
    also = models.JSONField(default=list)
    """Other defects seen beside `kind`."""
    detail = models.TextField(default="")
    start_delay_us = models.BigIntegerField(null=True)
    dns_us = models.BigIntegerField(null=True)
    tcp_us = models.BigIntegerField(null=True)
    tls_us = models.BigIntegerField(null=True)
    upgrade_us = models.BigIntegerField(null=True)
    claimed_us = models.BigIntegerField(null=True)
    """upgraded -> claimed."""
    race_window_us = models.BigIntegerField(null=True)
    """upgraded -> ready."""
    user_ready_us = models.BigIntegerField(null=True)
    """intended -> ready."""
    events = models.JSONField(default=dict)
    """{"expected": 5, "delivered": n, "marks": {event: microseconds after the trigger}, "defects": {event: defect}},
    and "absent": [event] where some never came. Empty where the slot is ours (missed, probe_error, policy_denied)."""
    close_code = models.PositiveSmallIntegerField(null=True)
    closed_by = models.CharField(max_length=10, default="")
    http_status = models.PositiveSmallIntegerField(null=True)
    address = models.CharField(max_length=64, default="")
    clock = models.CharField(max_length=12, default="")
    lag_us = models.BigIntegerField(default=0)
    flagged = models.BooleanField(default=False)
    strategy = models.CharField(max_length=40, default="")
    flags_revision = models.PositiveBigIntegerField(null=True)
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["target", "-slot"], name="result_target_slot"),  # the target page's last probes
            models.Index(fields=["slot"], name="result_slot"),  # the sweeper's windows and retention
        ]


class Transcript(models.Model):
    """The frames of one probe, redacted and bounded: every failure, and a share of the successes."""

    pk = models.CompositePrimaryKey("target_id", "location_id", "slot")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, db_index=False, related_name="+")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, db_index=False, related_name="+")
    slot = models.DateTimeField(db_index=True)
    marks = models.JSONField(default=dict)
    """Every mark by name: microseconds after `intended`."""
    frames = models.JSONField(default=list)
    """[{"at_us", "direction": "in"|"out", "kind", "text"}]; `at_us` counts from `intended`, as the marks do. Where
    frames did not fit TRANSCRIPT_BYTES, the last has kind "cut" and says how many."""


class ResidentLife(models.Model):
    """One life of a resident probe: `probes.engine.lives.Life`, field by field. Durations are integer microseconds."""

    pk = models.CompositePrimaryKey("target_id", "location_id", "number", "started")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, db_index=False, related_name="lives")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, db_index=False, related_name="+")
    number = models.PositiveSmallIntegerField()
    started = models.DateTimeField()
    ended = models.DateTimeField(db_index=True)
    """When it ended; of a living one: up to when it is known to live."""
    ending = models.CharField(max_length=10)
    charged = models.BooleanField()
    """Whether somebody else ended it: never true of what we ended ourselves."""
    opened_us = models.BigIntegerField(null=True)
    ready_us = models.BigIntegerField(null=True)
    ended_us = models.BigIntegerField()
    idle_us = models.BigIntegerField()
    patience_us = models.BigIntegerField()
    every_us = models.BigIntegerField()
    closed_by = models.CharField(max_length=10)
    close_code = models.PositiveSmallIntegerField(null=True)
    reason = models.TextField()
    attempts = models.PositiveIntegerField()
    failure = models.CharField(max_length=30)
    conversations_ok = models.PositiveIntegerField()
    conversations_failed = models.PositiveIntegerField()
    events_expected = models.PositiveBigIntegerField()
    events_delivered = models.PositiveBigIntegerField()
    events_lost = models.PositiveBigIntegerField()
    lost_in_cut = models.PositiveIntegerField()
    reconnect_us = models.BigIntegerField(null=True)
    address = models.CharField(max_length=80)
    strategy = models.CharField(max_length=40)
    flags_revision = models.BigIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["target", "ended"], name="life_target_ended")]
