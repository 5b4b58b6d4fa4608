"""The servers that are watched: their keys, what they hold, and what their real connections met."""

from django.db import models
from django.utils import timezone

from connections.models.flags import Environment


class ServerKey(models.Model):
    """A watched server's credential for one environment. Only the SHA-256 is stored; the key is shown once."""

    class Scope(models.TextChoices):
        SERVER = "server", "watched server"
        READ = "read", "read-only"

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="server_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    hash = models.CharField(max_length=64, unique=True)
    tags = models.JSONField(default=list)
    """Selects flags: those with one of these tags, and those without any. Empty: all."""
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.SERVER)
    """Read-only: flags are evaluated for it, over OFREP. It sees no definitions (rules may name people) and tells
    nothing: for clients whose key others can read, such as browsers."""
    expires_at = models.DateTimeField(null=True)
    """Works until then; null: until it is revoked."""
    replaces = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="replaced_by")
    """The key that this one was made to take over from; both work until the old one expires or is revoked."""


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
    held_since = models.DateTimeField(null=True)
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
