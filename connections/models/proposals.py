"""Acts that wait for a second person, glass that is broken where nobody can wait, and what people are told of it."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone

from connections.models.flags import Environment


class Proposal(models.Model):
    """One act towards something new, as one person wants it, until another one approves or rejects it.

    An act that makes a version is stored as the definitions it would append; any other by its verb's arguments.
    """

    class State(models.TextChoices):
        OPEN = "open"
        APPROVED = "approved"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="proposals")
    act = models.CharField(max_length=20)
    """What the audit trail will call it: "change", "promotion", "ramp", "lift", "policy"."""
    subject = models.CharField(max_length=200)
    changes = models.JSONField(null=True)
    """{flag: definition, or null to remove it}; null where the act makes no version."""
    arguments = models.JSONField(null=True)
    base_version = models.PositiveBigIntegerField()
    """What was served when it was proposed."""
    proposed_by = models.CharField(max_length=150)
    by_person = models.BooleanField(default=True)
    """False: a program or a shell proposed it, which is nobody; then two people must approve."""
    seconded_by = models.CharField(max_length=150, default="", blank=True)
    """The first of two who approve what a program proposed."""
    reason = models.TextField()
    proposed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=20, choices=State, default=State.OPEN)
    decided_by = models.CharField(max_length=150, default="", blank=True)
    decided_at = models.DateTimeField(null=True)
    decided_reason = models.TextField(default="", blank=True)
    revision = models.PositiveBigIntegerField(null=True)
    """The environment's revision that the approval made."""

    class Meta:
        ordering = ["-proposed_at", "-pk"]
        indexes = [models.Index(fields=["state", "expires_at"], name="proposals_by_state")]

    @property
    def people(self) -> tuple[str, ...]:
        """The named people who stand for it so far."""
        return tuple(name for name in (self.proposed_by if self.by_person else "", self.seconded_by) if name)

    def waits(self, now: datetime) -> bool:
        """Whether it can still be decided."""
        return self.state == self.State.OPEN and now < self.expires_at


class BreakGlass(models.Model):
    """One person acting alone where two are asked for, for a while, with a review afterwards."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="broken_glass")
    by = models.CharField(max_length=150)
    reason = models.TextField()
    at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    """Brought forward where somebody ends it early."""
    ended_by = models.CharField(max_length=150, default="", blank=True)
    reviewed_by = models.CharField(max_length=150, default="", blank=True)
    reviewed_at = models.DateTimeField(null=True)
    review_note = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["reviewed_at"], condition=Q(reviewed_at__isnull=True), name="glass_unreviewed")]

    def in_force(self, now: datetime) -> bool:
        return now < self.expires_at


class Notification(models.Model):
    """Something that people must hear of, kept until something delivers it (`delivered_at`)."""

    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=40)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, null=True)
    audience = models.JSONField(default=list)
    """"role:administrator", and names of owners as the flags' metadata tells them."""
    subject = models.CharField(max_length=200)
    body = models.TextField(default="", blank=True)
    path = models.CharField(max_length=300, default="", blank=True)
    """The page that tells more."""
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-at", "-pk"]
