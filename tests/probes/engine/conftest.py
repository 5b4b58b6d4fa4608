"""What the engine's tests share: specifications, and a certificate authority of their own."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from probes.engine.client import Prober
from probes.engine.guardrails import Policy
from probes.engine.outcome import Outcome
from probes.engine.script import TargetSpec
from tests.support.certificates import Authority, authority

Probe = Callable[..., Any]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    async with Prober(policy=Policy(allow_private=True)) as prober:
        yield prober


@pytest.fixture
def probe(prober: Prober) -> Probe:
    """Probe a URL with a short deadline; keyword arguments go into the specification."""

    async def run(url: str, **changes: Any) -> Outcome:
        spec = TargetSpec(target_id=1, slug="target", url=url, deadline_s=changes.pop("deadline_s", 3.0))
        return await prober.probe(replace(spec, **changes))

    return run
