"""The team's own rollback plans, and the rehearsals of any plan."""

from django.db import models
from django.utils import timezone

from connections.models.flags import Environment


class TeamPlan(models.Model):
    """A plan of the team's own: flag values, applied as one version. What it was stands in the audit trail."""

    key = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=80)
    effect = models.CharField(max_length=300)
    values = models.JSONField()
    """{flag key: variant}."""
    edition = models.PositiveIntegerField(default=1)
    """Counts its edits, so that two people cannot both change what they saw."""
    edited_at = models.DateTimeField(default=timezone.now)
    edited_by = models.CharField(max_length=150)
    values_by = models.CharField(max_length=150)
    """Who chose the values."""

    class Meta:
        ordering = ["name", "key"]


class Drill(models.Model):
    """One rehearsal of a plan: everything but the write."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="drills")
    plan_key = models.CharField(max_length=40)
    at = models.DateTimeField(default=timezone.now)
    by = models.CharField(max_length=150)
    seconds = models.FloatField()
    changes = models.PositiveIntegerField(default=0)
    """How many flags would have changed."""
    problem = models.TextField(default="", blank=True)
    """Why it could not have been run; empty: it could."""

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["environment", "plan_key", "at"])]
