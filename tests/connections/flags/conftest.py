"""Flags as a fresh installation has them."""

from typing import Any

import pytest

from connections.flags import control, reading
from connections.models import Version


class Flags:
    """One environment, with less to type. Every change is made by Alice for the same reason."""

    def __init__(self, environment: str) -> None:
        self.environment = environment

    def change(self, **values: str) -> Version:
        named = {key.replace("_", "-"): variant for key, variant in values.items()}
        return control.change(
            self.environment, named, author="alice", reason="chat answers vanish", expected_version=self.version
        )

    @property
    def version(self) -> int:
        return reading.current_version(self.environment).number

    @property
    def revision(self) -> int:
        return reading.environment(self.environment).revision

    def served(self, flag: str) -> Any:
        return reading.flag_set(self.environment).definitions[flag]["defaultVariant"]


@pytest.fixture
def staging(db: None) -> Flags:
    return Flags("staging")
