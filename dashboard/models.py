"""People, their sign-in links and sessions, tokens of programs, and the forms that were already carried out."""

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils import timezone


class UserManager(BaseUserManager["User"]):
    """Nobody has a password: people sign in by a link that works once."""


class User(AbstractBaseUser):
    """A named person. `password` stays unusable; its random text is what a session is bound to."""

    class Role(models.TextChoices):
        VIEWER = "viewer"
        RESPONDER = "responder"
        ADMINISTRATOR = "administrator"

    name = models.CharField(max_length=150, unique=True)
    role = models.CharField(max_length=20, choices=Role, default=Role.VIEWER)
    is_active = models.BooleanField(default=True)
    subject = models.CharField(max_length=400, unique=True, null=True)  # noqa: DJ001 - many have none, and "" is one
    """Issuer and `sub` of who signs in by OpenID Connect; null: by link only."""
    created_at = models.DateTimeField(default=timezone.now)

    USERNAME_FIELD = "name"
    objects = UserManager()

    def __str__(self) -> str:
        return self.name


class SignInLink(models.Model):
    """A link that signs one person in, once, within minutes. Only the SHA-256 of its token is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="links")
    hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class SignIn(models.Model):
    """Where a living session came from, so that people recognise theirs. The session itself is Django's row."""

    session_key = models.CharField(max_length=40, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    at = models.DateTimeField(default=timezone.now)
    how = models.CharField(max_length=20)
    """"link" or "OpenID"."""
    address = models.CharField(max_length=64, default="", blank=True)
    agent = models.CharField(max_length=200, default="", blank=True)


class ApiToken(models.Model):
    """A program's token for /api/v1/. Only the SHA-256 is stored; the token is shown once."""

    class Scope(models.TextChoices):
        READ = "read"
        DEPLOY = "deploy"
        """Reads, marks deploys, and changes nothing else: for CI."""
        ACT = "act"
        ADMIN = "admin"

    name = models.CharField(max_length=100)
    scope = models.CharField(max_length=10, choices=Scope)
    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        # A name says which token to revoke, so only one living token has it.
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(revoked_at__isnull=True), name="living_token_name_once"
            )
        ]


class Submission(models.Model):
    """A form that was carried out, by the random key it carried: the same form sent again finds its result here."""

    key = models.CharField(max_length=64, primary_key=True)
    author = models.CharField(max_length=150)
    result = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now, db_index=True)


class PracticedFault(models.Model):
    """One fault that was started in a reference service, as pages tell it without asking the service. It is on while
    `until` lies ahead: a fault that is ended early has its `until` moved to that moment."""

    target = models.ForeignKey("probes.Target", on_delete=models.CASCADE, related_name="practiced_faults")
    fault = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    until = models.DateTimeField(db_index=True)


class Tour(models.Model):
    """How far one person is in the first-run tour (dashboard/tour.py). No row: nobody has offered it to them yet."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="tour")
    step = models.CharField(max_length=10)
    revision = models.PositiveBigIntegerField(default=0)
    """The revision of staging when it began: the cure is a later one."""
