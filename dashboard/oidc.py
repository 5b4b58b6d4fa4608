"""Who somebody is by the organisation's own sign-in (OpenID Connect): claims become a person with a role.

A person is the issuer and its `sub`, for ever; the name is taken once, at the first sign-in, because audit rows carry
it. A name that somebody else bears is refused: two accounts of one human would be two people to the four-eyes rule.
Roles are read anew at each sign-in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction

from connections.models import AuditRecord
from dashboard.accounts import AccountError, checked_name
from dashboard.models import User

ORDER = (User.Role.VIEWER.value, User.Role.RESPONDER.value, User.Role.ADMINISTRATOR.value)
EVERYBODY = "*"
NAME_CLAIMS = ("preferred_username", "email")
"""Tried after the one that is set."""


class NotAdmittedError(Exception):
    """Somebody whom the provider knows and we do not let in. The message is for them, and names the cure."""


def subject_of(issuer: str, sub: object) -> str:
    """The one text that names a person of an issuer."""
    return f"{issuer.rstrip('/')} {sub}"


def groups_in(claims: Mapping[str, Any], path: str) -> list[str]:
    """The groups under a claim; dots lead into objects ("realm_access.roles"), unless a claim is called so whole."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, Sequence) else []


def role_for(groups: Sequence[str], roles: Mapping[str, str]) -> str | None:
    """The highest role that any of the groups has; None: nobody said that they may come in."""
    granted = [roles[group] for group in (*groups, EVERYBODY) if group in roles]
    return max(granted, key=ORDER.index, default=None)


def admit(claims: Mapping[str, Any]) -> User:
    """The person of these claims, added if need be, with the role that their groups give. Raises NotAdmittedError."""
    sub = claims.get("sub")
    if not isinstance(sub, str) or not sub:
        raise NotAdmittedError("The provider did not say who you are: its answer has no sub.")
    role = role_for(groups_in(claims, settings.OIDC_ROLES_CLAIM), settings.OIDC_ROLES)
    if role is None:
        raise NotAdmittedError("None of your groups may come in here. OIDC_ROLES says which may.")
    subject = subject_of(settings.OIDC_ISSUER, sub)
    with transaction.atomic():
        user = User.objects.select_for_update().filter(subject=subject).first()
        user = user or _added(subject, _name(claims), role)
        if not user.is_active:
            raise NotAdmittedError(f"{user.name} is deactivated and cannot sign in.")
        if user.role != role:
            _audit(user, "person.role", before={"role": user.role}, after={"role": role})
            user.role = role
            user.save(update_fields=["role"])
    return user


def adopt(name: str, sub: str, *, actor: str) -> User:
    """Let the person who signed in by link until now sign in as this `sub`. Raises AccountError."""
    subject = subject_of(settings.OIDC_ISSUER, sub)
    with transaction.atomic():
        user = User.objects.select_for_update().filter(name=name).first()
        if user is None:
            raise AccountError(f"user: nobody is called {name!r}.")
        if taken := User.objects.filter(subject=subject).exclude(pk=user.pk).first():
            raise AccountError(f"subject: that is {taken.name!r} already.")
        AuditRecord.objects.create(actor=actor, action="person.identity", subject=user.name, after={"subject": subject})
        user.subject = subject
        user.save(update_fields=["subject"])
    return user


def _name(claims: Mapping[str, Any]) -> str:
    for claim in (settings.OIDC_NAME_CLAIM, *NAME_CLAIMS):
        value = claims.get(claim)
        if isinstance(value, str) and value.strip():
            try:
                return checked_name(value, longest=150)
            except AccountError as error:
                raise NotAdmittedError(f"{claim}: {error}") from error
    raise NotAdmittedError(f"The provider sends no {settings.OIDC_NAME_CLAIM}, so nobody could sign what you do.")


def _added(subject: str, name: str, role: str) -> User:
    if User.objects.filter(name__iexact=name).exists():
        sub = subject.partition(" ")[2]
        raise NotAdmittedError(
            f"Somebody called {name} signs in another way. If that is you: "
            f"manage.py oidc_person --user '{name}' --subject '{sub}'"
        )
    user = User(name=name, role=role, subject=subject)
    user.set_unusable_password()
    user.save()
    _audit(user, "person.added", before=None, after={"role": role, "subject": subject})
    return user


def _audit(user: User, action: str, *, before: object, after: object) -> None:
    AuditRecord.objects.create(actor="sign-in", action=action, subject=user.name, before=before, after=after)
