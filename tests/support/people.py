"""The cast of the page tests: Vera looks (viewer), Rosa acts (responder), Ada administers (administrator)."""

from django.test import Client

from dashboard.models import User

CAST = {"viewer": "Vera", "responder": "Rosa", "administrator": "Ada"}


def person(role: str, name: str = "") -> User:
    """The person of the cast with this role, added if need be."""
    user = User.objects.filter(name=name or CAST[role]).first()
    if user is None:
        user = User(name=name or CAST[role], role=role)
        user.set_unusable_password()
        user.save()
    return user


def signed_in(role: str, *, name: str = "", csrf: bool = False) -> Client:
    """A client in which that person is signed in; `csrf` makes it as strict as a browser's requests are treated."""
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(person(role, name))
    return client
