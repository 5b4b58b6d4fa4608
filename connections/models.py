"""Flags as immutable versions, the revisions that are served, the servers that hold them, and the audit trail."""

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

flag_key_validator = RegexValidator(
    r"\A[A-Za-z0-9._-]{1,100}\Z", "A flag key has 1 to 100 letters, digits, dots, underscores or hyphens."
)


class Environment(models.Model):
    """One stage of the rollout, in order. `revision` counts every change of what is served here."""

    key = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=60)
    position = models.PositiveSmallIntegerField(unique=True)
    revision = models.PositiveBigIntegerField(default=0)
    is_production = models.BooleanField(default=False)
    reason_required = models.BooleanField(default=True)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name


class Definition(models.Model):
    """One flag's definition by the SHA-256 of its canonical JSON, so that a version costs only what changed."""

    hash = models.CharField(primary_key=True, max_length=64)
    body = models.JSONField()


class Version(models.Model):
    """A flag set of an environment: immutable and numbered. `set_hash` covers the whole set, not just the changes."""

    class Kind(models.TextChoices):
        INITIAL = "initial"
        CHANGE = "change"
        REVERT = "revert"
        PLAN = "plan"
        PROMOTION = "promotion"

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveBigIntegerField()
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    kind = models.CharField(max_length=20, choices=Kind)
    set_hash = models.CharField(max_length=64)
    author = models.CharField(max_length=150)
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


class Revision(models.Model):
    """One change of what an environment serves: stamped on connections, streamed, held and confirmed by this number."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveBigIntegerField()
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="revisions")
    cause = models.CharField(max_length=20)
    summary = models.JSONField(default=list)
    """One entry per flag whose served value changed: {"flag", "before", "after"} (variant names, null where absent)."""
    author = models.CharField(max_length=150)
    reason = models.TextField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["environment", "-number"]
        constraints = [models.UniqueConstraint(fields=["environment", "number"], name="revision_number_once")]
        indexes = [models.Index(fields=["environment", "at"])]


class ServerKey(models.Model):
    """A watched server's credential for one environment. Only the SHA-256 is stored; the key is shown once."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="server_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)


class WatchedServer(models.Model):
    """A server that reports what it holds: the revision, and what its real connections met."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="servers")
    instance = models.CharField(max_length=200)
    key_name = models.CharField(max_length=100)
    library_version = models.CharField(max_length=40)
    held_revision = models.PositiveBigIntegerField()
    held_since = models.DateTimeField()
    reported_at = models.DateTimeField()
    counting_since = models.DateTimeField(null=True)
    """When the oldest of its living processes began to count; null: it does not say."""
    evaluations = models.JSONField(default=dict)
    """{flag: {variant: count}} since its living processes began."""
    connections = models.JSONField(default=dict)
    """{strategy: {cause: count}} since its living processes began."""
    readiness = models.JSONField(default=dict)
    """{strategy: {"opened" | "false_ready" | "false_not_ready": count}} since then, where the application can tell."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "instance"], name="server_instance_once")]


class ServerRun(models.Model):
    """One process of a watched server, from its start to its end, and its totals as last reported.

    Several may report under one instance (a server with worker processes), and one follows another (a restart): what is
    new in a report is told from the same run's totals before it.
    """

    server = models.ForeignKey(WatchedServer, on_delete=models.CASCADE, related_name="runs")
    run = models.CharField(max_length=40, default="", blank=True)
    """Empty for a library that names none: its instance is taken for one process."""
    began_at = models.DateTimeField()
    reported_at = models.DateTimeField()
    ended = models.BooleanField(default=False)
    """It said so itself; one that was killed just stops reporting."""
    held_revision = models.PositiveBigIntegerField()
    evaluations = models.JSONField(default=dict)
    connections = models.JSONField(default=dict)
    readiness = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "run"], name="server_run_once")]


class ConnectionCount(models.Model):
    """How many real connections of an environment met one thing under one strategy, by minute and revision.

    A count stands in the minute, and under the revision, with which the span that it was reported for began: a window
    may miss its first counts, and never shows older ones.
    """

    class Figure(models.TextChoices):
        OPENED = "opened"
        FALSE_READY = "false_ready"
        FALSE_NOT_READY = "false_not_ready"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="connection_counts")
    minute = models.DateTimeField(db_index=True)
    revision = models.PositiveBigIntegerField()
    strategy = models.CharField(max_length=100)
    figure = models.CharField(max_length=120)
    """"ended." and a cause (each connection has exactly one), or "ready." and one of `Figure`."""
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "minute", "revision", "strategy", "figure"], name="connection_count_once"
            )
        ]


class AuditRecord(models.Model):
    """One change made by a person or the product: who, when, why, what it was before and what it is after."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, null=True)
    subject = models.CharField(max_length=200)
    reason = models.TextField(default="", blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        ordering = ["-at", "-pk"]
