"""Sums of results: by target, by the strategy that served, by location."""

from django.db import models

from probes.models.targets import Location, Target


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
