"""The guard against a real service: a variant that really breaks connections there is ramped, tripped, and cured.

The reference service and its probes are real, the schedule is compressed: probes that ran together are recorded as the
slots of a minute. `python -m benchmarks.guard_live` is the same on the running product, second by second.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from connections.flags import control, guards, reading
from connections.gate.selection import Snapshot
from connections.gate.telemetry import ConnectionRecord
from connections.models import Environment, GuardTrip
from connections.reference.app import create_app
from probes.engine.client import run_probe
from probes.engine.guardrails import Policy
from probes.engine.outcome import Outcome
from probes.engine.script import Script, TargetSpec
from probes.models import TargetStatus
from probes.recording import record
from tests.support.asgi import serving
from tests.support.outcomes import entry, stored_target

pytestmark = pytest.mark.django_db
FLAG = guards.STAMPED
WHO: dict[str, Any] = {"author": "alice", "reason": "trying it out first"}


class Held:
    """The flags as the service holds them: what staging served when it was last told."""

    def __init__(self) -> None:
        self.learn()

    def learn(self) -> None:
        flags = reading.flag_set("staging")
        self._snapshot = Snapshot(flags.served, flags.revision, "staging", origin="server")

    def start(self) -> None:
        return

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def evaluated(self, evaluations: Iterable[tuple[str, str]]) -> None:
        return

    def ended(self, record: ConnectionRecord) -> None:
        return

    def stop(self) -> None:
        return


def probed(url: str, count: int) -> list[Outcome]:
    """So many probes at once, each a connection of its own."""
    spec = TargetSpec(target_id=1, slug="chat", url=f"{url}/ws/chat", deadline_s=4.0, script=Script())

    async def all_of_them() -> list[Outcome]:
        return await asyncio.gather(*(run_probe(spec, policy=Policy(allow_private=True)) for _ in range(count)))

    return asyncio.run(all_of_them())


def test_a_ramp_to_a_variant_that_breaks_is_tripped_and_the_target_is_green_again() -> None:
    """Half of staging is ramped to `immediate`, which answers nobody there."""
    Environment.objects.filter(key="staging").update(guard_mode="act", four_eyes=False)
    target = stored_target(deadline_ms=4000)
    guards.set_mode("staging", FLAG, "act", **WHO)
    control.start_ramp("staging", FLAG, "immediate", [{"percentage": 50, "hold_seconds": 600}], **WHO)
    held, slot = Held(), timezone.now().replace(microsecond=0) + timedelta(seconds=1)
    with serving(create_app("staging", instance="staging-chat-1", flags=held)) as service:
        for outcome in probed(service.ws, 60):
            record([entry(target, slot, outcome)], now=slot + timedelta(seconds=5))
            slot += timedelta(seconds=1)
            if GuardTrip.objects.exists():
                break
        assert TargetStatus.objects.get(target=target).state != "up"
        trip = GuardTrip.objects.get()
        assert (trip.did, trip.figure) == ("acted", "failed")
        held.learn()
        for outcome in probed(service.ws, 20):
            assert outcome.ok, outcome.detail
            assert (outcome.strategy, outcome.flags_revision) == ("dependency_gate", trip.revision)
            record([entry(target, slot, outcome)], now=slot + timedelta(seconds=5))
            slot += timedelta(seconds=1)
    assert TargetStatus.objects.get(target=target).state == "up"
