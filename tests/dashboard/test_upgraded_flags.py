"""Pages of a database that was made before all nine strategies were there: a version is saved that was never served."""

import pytest

from connections.flags import control
from tests.connections.flags.test_seed import from_the_old_state, old_database, upgrade
from tests.support.people import signed_in

__all__ = ["old_database"]
PAGES = ("/flags/?env=staging", "/flags/staging/change/", "/rollback/?env=staging", "/audit/")


@from_the_old_state
@pytest.mark.parametrize("address", PAGES)
def test_every_page_of_flags_can_be_seen_after_the_upgrade(address: str) -> None:
    values = {"readiness-strategy": "immediate"}
    control.change("staging", values, author="Rosa", reason="a change of ours", expected_version=1)
    upgrade()
    assert signed_in("responder").get(address).status_code == 200
