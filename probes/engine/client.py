"""Runs probes in an asyncio loop: many at once, each under one deadline. The only place of the engine that waits."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from types import TracebackType

from probes.engine.clock import KernelClock, Sentinel, stamping
from probes.engine.connection import OptionError
from probes.engine.dialling import Dialler, server_name
from probes.engine.guardrails import Limits, Policy
from probes.engine.names import Resolver
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.protocol import random_bytes
from probes.engine.reader import Reader
from probes.engine.script import ScriptError, TargetSpec, endpoint
from probes.engine.session import Session
from probes.engine.tls import tls_context
from probes.engine.transport import Lingering, Wire
from probes.engine.verdicts import outcome_of

logger = logging.getLogger(__name__)

_FAR_S = 86_400.0


async def run_probe(
    spec: TargetSpec,
    *,
    intended: float | None = None,
    policy: Policy | None = None,
    limits: Limits | None = None,
) -> Outcome:
    """Run one probe on a prober of its own; see `Prober.probe`."""
    async with Prober(policy=policy, limits=limits) as prober:
        return await prober.probe(spec, intended=intended)


class Prober:
    """Runs many probes in the running loop, with one resolver and one sentinel of the loop's lag beside them.

    Use it as `async with Prober() as prober: ...`. Not for several loops or threads.
    """

    def __init__(
        self, *, policy: Policy | None = None, limits: Limits | None = None, resolver: Resolver | None = None
    ) -> None:
        """`resolver`: one that asks other name servers than the machine's; the prober closes it."""
        self.policy = policy or Policy()
        self.limits = limits or Limits()
        self.in_flight = 0
        self._resolver = resolver or Resolver()
        self._dialler = Dialler(self._resolver, self.policy, self.limits.header_bytes)
        self._sentinel = Sentinel(asyncio.get_running_loop())
        self._reader = Reader(asyncio.get_running_loop(), self._sentinel)
        self._lingering = Lingering(asyncio.get_running_loop(), self.limits.linger_s)
        self._stamping: socket.socket | None = None

    async def __aenter__(self) -> "Prober":
        self._stamping = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        await stamping(self._stamping)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of every socket, lingering ones included."""
        self._lingering.stop()
        self._sentinel.stop()
        self._reader.stop()
        await self._resolver.close()
        if self._stamping is not None:
            self._stamping.close()
            self._stamping = None

    @property
    def lag_us(self) -> int:
        """The loop's longest lateness within the last second, microseconds; 0 while nothing is in flight."""
        now = time.monotonic_ns()
        return self._sentinel.worst_ns(now - 1_000_000_000, now) // 1000 if self.in_flight else 0

    async def probe(self, spec: TargetSpec, *, intended: float | None = None, success_frames: bool = True) -> Outcome:
        """Run one probe now and say what it found: within `spec.deadline_s`, and without raising for its target.

        `intended`: the instant it was meant to start, in seconds of `time.monotonic()` (= the loop's clock); None:
        now. `success_frames`: whether a success carries its transcript; a failure always does. Raises ValueError
        where `intended` is on another scale. An error of ours becomes kind `probe_error`.
        """
        if intended is not None and abs(time.monotonic() - intended) > _FAR_S:
            raise ValueError("intended: must be seconds of time.monotonic(). Convert wall-clock instants first")
        self._begin()
        try:
            return await self._run(spec, intended, success_frames=success_frames)
        except (ScriptError, OptionError) as error:
            return Outcome(kind=FailureKind.PROBE_ERROR, detail=f"{error}.")
        except Exception as error:
            logger.exception("probe of %s failed for a reason of ours", spec.slug)
            return Outcome(kind=FailureKind.PROBE_ERROR, detail=f"{type(error).__name__}: {error}")
        finally:
            self._end()

    async def burst(self, spec: TargetSpec, count: int, concurrency: int) -> AsyncIterator[Outcome]:
        """Run `count` probes of one target, at most `concurrency` at once; outcomes as they come."""
        async for outcome in self.run_all((spec for _ in range(count)), concurrency):
            yield outcome

    async def run_all(self, specs: Iterable[TargetSpec], concurrency: int) -> AsyncIterator[Outcome]:
        """Run a probe per specification, at most `concurrency` at once; outcomes as they come."""
        queue: asyncio.Queue[Outcome | None] = asyncio.Queue()
        source = iter(specs)

        async def worker() -> None:
            try:
                for spec in source:
                    queue.put_nowait(await self.probe(spec))
            finally:
                queue.put_nowait(None)

        workers = [asyncio.create_task(worker()) for _ in range(concurrency)]
        try:
            running = len(workers)
            while running:
                outcome = await queue.get()
                if outcome is None:
                    running -= 1
                else:
                    yield outcome
        finally:
            for each in workers:
                each.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _begin(self) -> None:
        if self.in_flight == 0:
            self._sentinel.start()
            self._reader.start()
        self.in_flight += 1

    def _end(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self._sentinel.stop()

    async def _run(self, spec: TargetSpec, intended: float | None, *, success_frames: bool) -> Outcome:
        session = Session(spec, nonce=random_bytes(8).hex(), limits=self.limits)
        context = tls_context(spec.ca_pem, spec.connection.client_pem) if endpoint(spec.url).secure else None
        clock = KernelClock()
        started = time.monotonic_ns()
        session.begin(started)
        delay_us = 0 if intended is None else max(0, (started - int(intended * 1e9)) // 1000)
        address = ""
        opened = await self._dialler.open(session)
        if opened is not None:
            address = opened.shown
            await self._converse(opened.sock, session, clock, context)
            if session.findings:
                await self._dialler.look(session, opened.address)
        kernel = opened is not None and clock.trustworthy()
        now = time.monotonic_ns()
        lag_us = self._sentinel.worst_ns(started, now) // 1000
        outcome = outcome_of(
            session,
            kernel=kernel,
            start_delay_us=delay_us,
            address=address,
            lag_us=lag_us,
            success_frames=success_frames,
        )
        session.release()
        return outcome

    async def _converse(
        self, sock: socket.socket, session: Session, clock: KernelClock, context: ssl.SSLContext | None
    ) -> None:
        wire = Wire(sock, session, clock=clock, reader=self._reader, deadline=session.deadline / 1e9)
        try:
            await wire.run(context, server_name(session.spec) if context else "")
        except BaseException:
            wire.drop()
            raise
        wire.release(self._lingering)
