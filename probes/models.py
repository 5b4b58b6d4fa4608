"""Targets, the results of their slots, and what is derived from them: rollups, status and flips."""

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


class Rollup(models.Model):
    """A minute, five, an hour or four of a target at a location: counts, and one mergeable histogram per figure."""

    class Width(models.IntegerChoices):
        MINUTE = 60
        FIVE_MINUTES = 300
        HOUR = 3600
        FOUR_HOURS = 14_400

    pk = models.CompositePrimaryKey("target_id", "location_id", "width", "start")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, db_index=False, related_name="rollups")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, db_index=False, related_name="+")
    width = models.PositiveIntegerField(choices=Width)
    start = models.DateTimeField()
    probes = models.PositiveIntegerField(default=0)
    """Outcomes that count for the target: successes and its own failures; missed slots and our errors are apart."""
    failed = models.PositiveIntegerField(default=0)
    ours = models.PositiveIntegerField(default=0)
    """Missed slots and our own errors."""
    flagged = models.PositiveIntegerField(default=0)
    kinds = models.JSONField(default=dict)
    """{kind: count} of what went wrong; successes are `probes - failed`."""
    events = models.JSONField(default=dict)
    """{event: {"expected": n, "delivered": n, "lost": n, "late": n, ...}}; counts of zero are left out."""
    histograms = models.JSONField(default=dict)
    """{figure: probes.histogram.Histogram as JSON}; figures: start_delay, dns, tcp, tls, upgrade, race_window, ..."""

    class Meta:
        indexes = [
            models.Index(fields=["width", "start"], name="rollup_width_start"),  # retention, and sums of many targets
            models.Index(fields=["target", "width", "start"], name="rollup_target"),  # a target at all its locations
        ]


class ServedRollup(models.Model):
    """Five minutes, an hour or a day of a target at a location, as one strategy served it. Written by the recorder.

    Our own failures and missed slots count nowhere here.
    """

    class Width(models.IntegerChoices):
        FIVE_MINUTES = 300
        HOUR = 3600
        DAY = 86_400

    pk = models.CompositePrimaryKey("target_id", "location_id", "width", "start", "strategy")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, db_index=False, related_name="served")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, db_index=False, related_name="+")
    width = models.PositiveIntegerField(choices=Width)
    start = models.DateTimeField()
    """Counted from the Unix epoch in UTC: a day begins at midnight UTC."""
    strategy = models.CharField(max_length=40)
    """"" of probes that never heard what served them."""
    probes = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    false_ready = models.PositiveIntegerField(default=0)
    """Those that failed, or failed beside another failure, by `probes.served_tally.FALSE_READY`."""
    flagged = models.PositiveIntegerField(default=0)
    """Those whose race window is left out: our own loop lagged."""
    asked = models.PositiveIntegerField(default=0)
    """Probes that expect events of an answer."""
    incomplete = models.PositiveIntegerField(default=0)
    """Those of them to which an event did not come in time."""
    expected = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    """Events that were expected, and those that came in time."""
    never = models.PositiveIntegerField(default=0)
    """Probes that were never ready: beyond the deadline in the race window."""
    race_window = models.BinaryField(default=bytes)
    """A histogram of `probes.packed`."""

    class Meta:
        indexes = [models.Index(fields=["width", "start"], name="served_width_start")]


class LocationRollup(models.Model):
    """How a location's own work went in a minute, an hour, ever...: `probes/fleet/counting.py` writes it.

    Nothing in it is charged to a target.
    """

    class Width(models.IntegerChoices):
        EVER = 0
        MINUTE = 60
        FIVE_MINUTES = 300
        QUARTER = 900
        HOUR = 3600
        SIX_HOURS = 21_600

    pk = models.CompositePrimaryKey("location_id", "width", "start")
    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="rollups")
    width = models.PositiveIntegerField(choices=Width)
    start = models.DateTimeField()
    on_time = models.PositiveBigIntegerField(default=0)
    late = models.PositiveBigIntegerField(default=0)
    """Probed, but begun later after its slot than `counting.LATE_US`."""
    missed = models.PositiveBigIntegerField(default=0)
    """Without an outcome until now; since ever (width 0), all that ever were, for it never falls."""
    errors = models.PositiveBigIntegerField(default=0)
    """Slots without a finding because of us, other than missed: our probe broke, or was not allowed."""
    flagged = models.PositiveBigIntegerField(default=0)
    lag_us = models.BigIntegerField(default=0)
    """The worst lag of the loop that measured."""
    answered_at = models.DateTimeField(null=True)
    """When its newest outcome was recorded."""
    ill_at = models.DateTimeField(null=True)
    """Its newest slot that was late or missed."""
    start_delay = models.JSONField(default=dict)
    """A `probes.histogram.Histogram` as JSON: slot -> start; {} while it is empty."""

    class Meta:
        indexes = [models.Index(fields=["width", "start"], name="location_rollup_width")]


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
