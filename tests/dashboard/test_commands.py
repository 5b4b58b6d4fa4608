"""The commands that print a secret print it alone, so that a shell can take it."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from connections.models import AuditRecord
from dashboard.accounts import token_for
from dashboard.models import ApiToken

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_signin_link_prints_the_link_alone() -> None:
    printed = run("signin_link", "--user", "Rosa", "--role", "responder")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/signin/[\w-]{43}/\n", printed)


def test_signin_link_refuses_an_unknown_role() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'boss'"):
        run("signin_link", "--user", "Rosa", "--role", "boss")


def test_signin_link_refuses_an_empty_name() -> None:
    with pytest.raises(CommandError, match="name: "):
        run("signin_link", "--user", " ", "--role", "viewer")


def test_api_token_prints_the_token_alone_and_stores_its_hash() -> None:
    printed = run("api_token", "create", "--name", "ci", "--scope", "act")
    assert re.fullmatch(r"rwt_[\w-]{43}\n", printed)
    token = token_for(printed.strip())
    assert token is not None
    assert (token.name, token.scope) == ("ci", "act")
    assert printed.strip() not in token.hash


def test_a_revoked_token_opens_nothing() -> None:
    secret = run("api_token", "create", "--name", "ci", "--scope", "read").strip()
    assert run("api_token", "revoke", "--name", "ci") == "Revoked ci.\n"
    assert token_for(secret) is None
    assert list(AuditRecord.objects.order_by("pk").values_list("action", flat=True)) == [
        "token.created",
        "token.revoked",
    ]


def test_a_name_is_given_once_and_again_after_revoking() -> None:
    run("api_token", "create", "--name", "ci", "--scope", "read")
    with pytest.raises(CommandError, match="a token named 'ci' exists"):
        run("api_token", "create", "--name", "ci", "--scope", "admin")
    run("api_token", "revoke", "--name", "ci")
    run("api_token", "create", "--name", "ci", "--scope", "admin")
    assert ApiToken.objects.filter(name="ci").count() == 2


def test_revoking_an_unknown_name_says_where_to_look() -> None:
    with pytest.raises(CommandError, match="api_token list"):
        run("api_token", "revoke", "--name", "nobody")


def test_the_list_tells_living_from_revoked() -> None:
    assert run("api_token", "list") == "No tokens yet.\n"
    run("api_token", "create", "--name", "ci", "--scope", "read")
    run("api_token", "create", "--name", "old", "--scope", "act")
    run("api_token", "revoke", "--name", "old")
    lines = {line.split("\t")[0]: line.split("\t")[-1] for line in run("api_token", "list").splitlines()}
    assert lines == {"ci": "living", "old": "revoked"}


def test_the_last_use_is_noted_once_a_minute() -> None:
    secret = run("api_token", "create", "--name", "ci", "--scope", "read").strip()
    token_for(secret)
    first = ApiToken.objects.get().last_used_at
    token_for(secret)
    assert first is not None
    assert ApiToken.objects.get().last_used_at == first
