"""`manage.py check` finds settings that contradict each other."""

import pytest

from dashboard.checks import check_public_url


@pytest.mark.parametrize(
    ("address", "hosts", "found"),
    [
        ("http://127.0.0.1:8000", ["127.0.0.1"], []),
        ("http://[::1]:8000", ["[::1]"], []),
        ("https://wire.example", [".example"], []),
        ("https://wire.example", ["127.0.0.1"], ["readywire.E002"]),
        ("http://wire.example", ["*"], ["readywire.W001"]),
        ("http://10.0.0.4:8000", ["127.0.0.1"], ["readywire.E002", "readywire.W001"]),
        ("wire.example", ["*"], ["readywire.E001"]),
    ],
)
def test_the_public_address_answers_and_is_not_in_clear(address: str, hosts: list[str], found: list[str]) -> None:
    assert [message.id for message in check_public_url(address, hosts)] == found
