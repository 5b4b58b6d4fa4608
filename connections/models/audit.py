"""The audit trail."""

from django.db import models
from django.utils import timezone

from connections.models.flags import Environment


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
