"""Keeps many long-lived connections in one asyncio loop: one suspended task and at most one timer each.

A resident's task waits for the end of its socket. What wakes the loop is what comes, and the resident's own next
instant; an idle resident costs memory and nothing else.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType

from probes.engine import lives
from probes.engine.classification import Finding, Phase
from probes.engine.connection import OptionError
from probes.engine.dialling import Dialler, server_name
from probes.engine.guardrails import Limits, Policy
from probes.engine.lives import Ending, Life
from probes.engine.names import Resolver
from probes.engine.outcome import FailureKind
from probes.engine.protocol import random_bytes
from probes.engine.quiet import LongClock, QuietReader
from probes.engine.resident import Resident, Standing, Stay
from probes.engine.script import ScriptError, TargetSpec, endpoint
from probes.engine.tls import tls_context
from probes.engine.transport import Lingering, Wire

logger = logging.getLogger(__name__)

Report = Callable[[Life], None]
"""Takes a life that has ended, or what one that lives has come to."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next connection, seconds. After a cut: not at all; then longer with each failure."""

    first_s: float = 0.5
    most_s: float = 30.0
    steady_s: float = 5.0
    """A life that was ready for so long begins the count anew: a server that cuts at once is not hammered."""

    def wait_s(self, failures: int, jitter: float) -> float:
        """Before the next try, after so many failures in a row. `jitter`: 0..1, so that a crowd spreads."""
        if failures == 0:
            return 0.0
        # The exponent is bounded: a float ends at 2 ** 1024.
        whole = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return whole * (0.5 + 0.5 * jitter)


@dataclass(slots=True)
class _Kept:
    """One resident: its task, and the connection that it has now."""

    spec: TargetSpec
    stay: Stay
    number: int
    delay_s: float = 0.0
    task: "asyncio.Task[None] | None" = None
    session: Resident | None = None
    wire: Wire | None = None
    life: Life | None = None
    """What the present life is known to be, but for its session's part."""
    began: int = 0
    cut_at: int | None = None
    failures: int = 0
    leaving: tuple[Ending, str] | None = None


class Residents:
    """Use it as `async with Residents(report) as residents: ...`, within one loop."""

    def __init__(
        self,
        report: Report,
        *,
        policy: Policy | None = None,
        limits: Limits | None = None,
        backoff: Backoff | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._report = report
        self._limits = limits or Limits()
        self._backoff = backoff or Backoff()
        self._resolver = resolver or Resolver()
        self._dialler = Dialler(self._resolver, policy or Policy(), self._limits.header_bytes)
        self._reader = QuietReader(asyncio.get_running_loop())
        self._kept: dict[Hashable, _Kept] = {}
        self._lingering = Lingering(asyncio.get_running_loop(), self._limits.linger_s)

    async def __aenter__(self) -> "Residents":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def keep(self, key: Hashable, spec: TargetSpec, stay: Stay, number: int, delay_s: float = 0.0) -> None:
        """Keep a resident from `delay_s` seconds on, until it is dropped. Raises ValueError where `key` is kept."""
        if key in self._kept:
            raise ValueError(f"{key!r} is kept already. Drop it first")
        kept = self._kept[key] = _Kept(spec, stay, number, delay_s)
        kept.task = asyncio.get_running_loop().create_task(self._keep(kept), name=f"resident {spec.slug} {number}")

    async def drop(self, key: Hashable, why: str) -> None:
        """End a resident with a close 1000, for a reason of ours; its last life is reported. No-op where unknown."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            await self._end(kept, why)

    async def close(self, why: str = "the prober stopped") -> None:
        """End all residents, and let go of every socket."""
        ending = [self._end(kept, why) for kept in self._kept.values()]
        self._kept.clear()
        await asyncio.gather(*ending)
        self._lingering.stop()
        await self._resolver.close()

    def present(self) -> list[Life]:
        """What the residents have come to, those that try to connect too."""
        now = time.monotonic_ns()
        return [self._life(kept, kept.life, now) for kept in self._kept.values() if kept.life is not None]

    def standings(self) -> dict[Standing, int]:
        """How many are in each standing."""
        found = dict.fromkeys(Standing, 0)
        for kept in self._kept.values():
            found[kept.session.standing if kept.session is not None else Standing.CONNECTING] += 1
        return found

    # One resident. ---------------------------------------------------------------------------------------------------

    async def _end(self, kept: _Kept, why: str) -> None:
        kept.leaving = Ending.STOPPED, why
        if kept.task is None:
            return
        if kept.session is not None and kept.wire is not None:
            kept.session.leave(time.monotonic_ns(), *kept.leaving)
            kept.wire.nudge()
        else:
            kept.task.cancel()
        await asyncio.gather(kept.task, return_exceptions=True)
        if kept.life is not None:
            # It was between two connections: its life ends with the outage.
            life = self._life(kept, kept.life, time.monotonic_ns())
            self._report(replace(life, ending=Ending.STOPPED, closed_by="us", reason=why))

    async def _keep(self, kept: _Kept) -> None:
        await asyncio.sleep(kept.delay_s)
        while kept.leaving is None:
            try:
                await self._live(kept)
            except asyncio.CancelledError:
                raise
            except Exception:
                # Ours: it must not end the resident, nor be charged to the target.
                logger.exception("a resident of %s broke", kept.spec.slug)
                kept.failures += 1
            finally:
                kept.session = kept.wire = None
            if kept.leaving is None:
                await asyncio.sleep(self._backoff.wait_s(kept.failures, random.random()))  # noqa: S311 - no secret

    async def _live(self, kept: _Kept) -> None:
        """Connect, hold, and report the life if it ever was ready. Failed attempts are told by the life that holds."""
        lead_s = random.uniform(0.0, kept.stay.every_s / 2)  # noqa: S311 - no secret
        session = Resident(kept.spec, kept.stay, nonces=_nonce, limits=self._limits, lead_s=lead_s)
        began = time.monotonic_ns()
        if kept.life is None:
            kept.life = Life(kept.spec.target_id, kept.number, datetime.now(UTC), every_us=int(kept.stay.every_s * 1e6))
            kept.began = began
        session.begin(began)
        await self._connect(kept, session)
        if session.ready_at is None:
            kept.failures += 1
            failure = session.failure
            if failure is not None:
                kept.life = replace(kept.life, attempts=kept.life.attempts + 1, failure=failure.kind.value)
            session.release()
            return
        life = self._life(kept, kept.life, time.monotonic_ns())
        session.release()
        steady = (session.ended_at or began) - session.ready_at >= self._backoff.steady_s * 1e9
        kept.failures = 0 if steady or not life.ending.cut else kept.failures + 1
        kept.cut_at = session.ended_at if life.ending.cut else None
        kept.life = None
        self._report(life)

    async def _connect(self, kept: _Kept, session: Resident) -> None:
        spec = kept.spec
        try:
            context = tls_context(spec.ca_pem, spec.connection.client_pem) if endpoint(spec.url).secure else None
        except (ScriptError, OptionError) as error:
            session.fail(Finding(FailureKind.PROBE_ERROR, Phase.TLS, f"{error}."))
            return
        opened = await self._dialler.open(session)
        if opened is None:
            return
        far = session.deadline / 1e9 + kept.stay.hold_s + 4 * spec.deadline_s
        wire = Wire(opened.sock, session, clock=LongClock(), reader=self._reader, deadline=far)
        if kept.life is not None:
            kept.life = replace(kept.life, address=opened.shown)
        kept.session, kept.wire = session, wire
        try:
            await wire.run(context, server_name(spec))
        except BaseException:
            wire.drop()
            raise
        wire.release(self._lingering)

    def _life(self, kept: _Kept, known: Life, now: int) -> Life:
        session = kept.session
        if session is None:
            return replace(known, ended_us=max(0, now - kept.began) // 1000)
        ready = session.ready_at
        reconnect = None if kept.cut_at is None or ready is None else max(0, ready - kept.cut_at) // 1000
        tally = session.tally
        return replace(
            known,
            **_end_of(session),
            opened_us=_since(kept.began, session.opened_at),
            ready_us=_since(kept.began, ready),
            ended_us=max(0, (session.ended_at or now) - kept.began) // 1000,
            idle_us=session.idle_ns // 1000,
            patience_us=session.patience_ns // 1000,
            conversations_ok=tally.ok,
            conversations_failed=tally.failed,
            events_expected=tally.expected,
            events_delivered=tally.delivered,
            events_lost=tally.lost,
            lost_in_cut=session.lost_in_cut if session.ended_at is not None else 0,
            reconnect_us=reconnect,
            strategy=session.strategy,
            flags_revision=session.revision,
        )


def _end_of(session: Resident) -> "lives.End":
    ending = session.ending if session.ended_at is not None else None
    if ending is None:
        return lives.End(ending=Ending.LIVING, closed_by="", close_code=None, reason="")
    silent = ending in (Ending.DROPPED, Ending.RESET)
    ours = session.why != "" or (not silent and session.closed_by == "us")
    return lives.End(
        ending=ending,
        closed_by="us" if ours else "network" if silent else "peer",
        close_code=None if silent else session.close_code,
        reason=session.why or session.close_reason,
    )


def _since(began: int, at: int | None) -> int | None:
    return None if at is None else max(0, at - began) // 1000


def _nonce() -> str:
    return random_bytes(8).hex()
