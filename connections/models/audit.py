"""The audit trail, as a hash chain."""

from typing import Any

from django.db import models
from django.utils import timezone

from connections.flags import chain
from connections.models.chained import Chained
from connections.models.flags import Environment


class AuditRecord(Chained):
    """One change made by a person or the product: who, when, why, what it was before and what it is after."""

    LINKED = chain.AUDIT

    number = models.PositiveBigIntegerField(null=True, unique=True, editable=False)
    """Its place in the chain, without gaps. Null only inside a migration, until `chain.seal`."""
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

    def take_place(self) -> str:
        # The row stays locked until the transaction ends (SQLite has one writer anyway): lock nothing else after it.
        self._head = AuditHead.objects.select_for_update().get(pk=1)
        self.number = self._head.number + 1
        return self._head.hash

    def leave_place(self) -> None:
        AuditHead.objects.filter(pk=1).update(number=self.number, hash=self.hash)


class AuditHead(models.Model):
    """Where the audit trail ends: its newest row's number and hash. One row."""

    number = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="", blank=True)


def head() -> tuple[int, str]:
    """The number and the hash of the newest audit row; 0 and "" where there is none."""
    found: Any = AuditHead.objects.filter(pk=1).values_list("number", "hash").first()
    return found or (0, "")
