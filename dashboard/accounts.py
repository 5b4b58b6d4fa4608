"""Who exists and how they get in: sign-in links that work once, and tokens of programs.

Secrets are 256 random bits, so a plain SHA-256 is enough to store them: there is nothing to guess.
"""

import getpass
import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from connections.models import AuditRecord
from dashboard.models import ApiToken, SignInLink, User

TOKEN_PREFIX = "rwt_"  # noqa: S105 - the public beginning of every token, not a secret
LAST_USE_PRECISION = timedelta(minutes=1)
KEEP_SPENT_LINKS = timedelta(days=7)


class AccountError(ValueError):
    """A name, role or scope that cannot be used. The message names it and the cure."""


class LinkRefusedError(Exception):
    """A sign-in link that was used, is too old, or never existed. `user` is whose it was, where that is known."""

    def __init__(self, user: User | None) -> None:
        self.user = user
        super().__init__("This link was used, or is too old.")


def command_line_actor() -> str:
    """How an act from a shell is signed in the audit trail."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"


def issue_link(name: str, role: str, *, actor: str | None = None) -> str:
    """A new sign-in link for `name`: a full address, usable once within SIGNIN_LINK_MINUTES.

    Creates the person, or sets the role of the one who exists; either leaves an audit row. Raises AccountError.
    """
    now = timezone.now()
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        user = _person(name, role, actor=actor or command_line_actor())
        SignInLink.objects.filter(expires_at__lt=now - KEEP_SPENT_LINKS).delete()
        SignInLink.objects.create(
            user=user, hash=_hashed(token), expires_at=now + timedelta(minutes=settings.SIGNIN_LINK_MINUTES)
        )
    return settings.PUBLIC_URL + reverse("signin_link", args=[token])


def redeem(token: str) -> User:
    """The person a link signs in. The link is spent by this call; raises LinkRefusedError otherwise."""
    now = timezone.now()
    hashed = _hashed(token)
    # Two requests with one link: the row count says which of them spent it.
    spent = SignInLink.objects.filter(
        hash=hashed, used_at__isnull=True, expires_at__gt=now, user__is_active=True
    ).update(used_at=now)
    link = SignInLink.objects.select_related("user").filter(hash=hashed).first()
    if spent != 1 or link is None:
        raise LinkRefusedError(link.user if link else None)
    return link.user


def create_token(name: str, scope: str, *, actor: str | None = None) -> str:
    """A new API token, shown by this call alone. Raises AccountError for a bad or taken name, or an unknown scope."""
    name = checked_name(name, longest=100)
    if scope not in ApiToken.Scope.values:
        raise AccountError(f"scope: {scope!r} is none of {', '.join(ApiToken.Scope.values)}.")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            ApiToken.objects.create(name=name, scope=scope, hash=_hashed(token))
            _audit(actor or command_line_actor(), "token.created", name, after={"scope": scope})
    except IntegrityError:
        raise AccountError(f"name: a token named {name!r} exists. Revoke it first, or choose another name.") from None
    return token


def revoke_token(name: str, *, actor: str | None = None) -> None:
    """End the living token of this name. Raises AccountError where there is none."""
    with transaction.atomic():
        name = name.strip()
        ended = ApiToken.objects.filter(name=name, revoked_at__isnull=True).update(revoked_at=timezone.now())
        if ended != 1:
            raise AccountError(f"name: no living token is named {name!r}. `manage.py api_token list` shows them.")
        _audit(actor or command_line_actor(), "token.revoked", name)


def token_for(secret: str) -> ApiToken | None:
    """The living token with this text. Its last use is noted to the minute, so that reading does not mean writing."""
    token = ApiToken.objects.filter(hash=_hashed(secret), revoked_at__isnull=True).first()
    if token is None:
        return None
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - LAST_USE_PRECISION:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - LAST_USE_PRECISION)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token


def _person(name: str, role: str, *, actor: str) -> User:
    name = checked_name(name, longest=150)
    if role not in User.Role.values:
        raise AccountError(f"role: {role!r} is none of {', '.join(User.Role.values)}.")
    fresh = User(name=name, role=role)
    fresh.set_unusable_password()
    user, created = User.objects.get_or_create(name=name, defaults={"role": role, "password": fresh.password})
    if created:
        _audit(actor, "person.added", name, after={"role": role})
    elif user.role != role:
        before, user.role = user.role, role
        user.save(update_fields=["role"])
        _audit(actor, "person.role", name, before={"role": before}, after={"role": role})
    if not user.is_active:
        raise AccountError(f"user: {name!r} is deactivated and cannot sign in.")
    return user


def checked_name(name: str, *, longest: int) -> str:
    name = name.strip()
    if not name or len(name) > longest or not name.isprintable():
        raise AccountError(f"name: {name!r} must have 1 to {longest} printable characters.")
    return name


def _audit(actor: str, action: str, subject: str, *, before: object = None, after: object = None) -> None:
    AuditRecord.objects.create(actor=actor, action=action, subject=subject, before=before, after=after)


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
