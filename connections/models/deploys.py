"""Deploys that somebody told us about: what changed beside the flags."""

from django.db import models
from django.utils import timezone

from connections.models.flags import Environment


class Deploy(models.Model):
    """A service went to another version in an environment. It serves nothing: charts and stories tell it."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="deploys")
    service = models.CharField(max_length=100)
    version = models.CharField(max_length=100)
    link = models.CharField(max_length=500, default="", blank=True)
    """Where to read more, as the teller gave it: an http or https address, or empty."""
    who = models.CharField(max_length=150)
    at = models.DateTimeField()
    told_at = models.DateTimeField(default=timezone.now)
    told_by = models.CharField(max_length=150)
    """Who marked it: a person, or "token NAME"."""

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["environment", "service", "version", "at"], name="deploy_told_once")
        ]
        indexes = [models.Index(fields=["environment", "-at"], name="deploy_newest")]

    @property
    def name(self) -> str:
        """What it is called: "chat 5.12.0"."""
        return f"{self.service} {self.version}"
