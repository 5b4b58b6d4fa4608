"""`/api/v1/openapi.json` says what programs may ask: all of it, and nothing else."""

import re

import pytest
from django.test import Client
from django.urls import URLPattern
from openapi_spec_validator import validate

from dashboard.api.openapi import document
from dashboard.api.urls import urlpatterns

METHODS = {"get", "post", "put", "patch", "delete"}


def addresses() -> set[str]:
    """What is served, in OpenAPI's spelling of parameters."""
    patterns = (str(one.pattern) for one in urlpatterns if isinstance(one, URLPattern))
    return {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", pattern) for pattern in patterns}


def test_the_document_is_valid_openapi(client: Client) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    validate(answer.json())


def test_every_address_for_programs_is_described_and_no_other() -> None:
    assert set(document()["paths"]) == addresses()


@pytest.mark.django_db
@pytest.mark.parametrize("address", sorted(addresses()))
def test_methods_that_are_not_described_are_refused(client: Client, address: str) -> None:
    described = METHODS & document()["paths"][address].keys()
    names = {"slug": "nobody", "key": "a", "environment": "staging", "plan": "phase-1", "verb": "pause"}
    real = address.format(number=1, **names)
    for method in METHODS - described:
        assert client.generic(method.upper(), real).status_code == 405, f"{method} {address}"
