"""The recorder: reads outcomes from the stream, stores them in batches, acknowledges them after the commit.

Whatever is not acknowledged stays pending in the consumer group. So the answer to every trouble, ours or Redis's or the
database's, is the same: wait, claim all that is pending, and record it again, which changes nothing twice.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.db.utils import DataError, Error, IntegrityError
from django.utils import timezone
from redis.exceptions import RedisError, ResponseError

from probes import condensing, partitions, race_check_records, race_checks
from probes.lives import record_lives
from probes.lives_stream import LifeEntry, decode_life, is_life
from probes.memory import Memory
from probes.pausing import resume_expired
from probes.recording import record
from probes.results_stream import BAD, BAD_LENGTH, GROUP, RECORDER, STREAM, WORKERS, Entry, EntryError, decode, storable
from probes.sweeper import sweep

logger = logging.getLogger(__name__)
DUTIES_SECONDS = 1.0
PARTITIONS_SECONDS = 3600.0
FORGET_WORKER = timedelta(minutes=5)
"""A worker whose heartbeat is older leaves the list."""
TAKE_OVER_SECONDS = 5.0
"""Entries that another recorder took and did not acknowledge for so long are recorded by this one."""
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_TROUBLE = (RedisError, OSError, Error)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One stream entry: its id, and its text."""

    key: str
    text: str


class Recorder:
    """One process's recorder. `run` returns soon after `stop` is set, from any thread or signal handler."""

    def __init__(self, client: "redis.Redis", stop: threading.Event) -> None:
        self.consumer = f"{socket.gethostname()}:{os.getpid()}"
        self._client = client
        self._stop = stop
        self._claiming = True
        self._claim_idle_ms = 0
        self._claim_range: tuple[str, str] | None = None
        self._backlog_from: datetime | None = None
        self._grouped = False
        self._memory = Memory()
        self._next_duties = 0.0
        self._next_take_over = 0.0
        self._next_partitions = 0.0

    def run(self) -> None:
        """Record until told to stop; every trouble with Redis or the database is waited out."""
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            try:
                self.record_some()
                wait = _FIRST_WAIT
            except _TROUBLE as error:
                logger.warning("results wait, trying again in %.1f s: %s", wait, error)
                self._begin_again()
                self._stop.wait(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            if time.monotonic() >= self._next_duties:
                self._next_duties = time.monotonic() + DUTIES_SECONDS
                self._duties()

    def record_some(self) -> int:
        """Claim or read one batch and store it; returns how many entries it had. Raises RedisError, DatabaseError."""
        self._join_group()
        batch = self._claim() if self._claiming else self._read()
        if batch:
            self._flush(batch)
        return len(batch)

    def _begin_again(self) -> None:
        connection.close()
        self._claiming, self._claim_idle_ms, self._claim_range = True, 0, None
        self._grouped, self._backlog_from = False, None

    def _join_group(self) -> None:
        if self._grouped:
            return
        try:
            self._client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._grouped = True

    def _claim(self) -> list[Delivery]:
        """Pending entries of whoever died before acknowledging them, a page at a time; ours of an earlier try too.

        A pass ends with what was pending when it began: what another recorder takes meanwhile is its own.
        """
        idle = self._claim_idle_ms
        first, last = self._claim_range or self._pending_range()
        page: Any = self._client.xpending_range(
            STREAM, GROUP, min=first, max=last, count=settings.FLUSH_OUTCOMES, idle=idle or None
        )
        keys = [pending["message_id"] for pending in page]
        self._claiming, self._claim_range = bool(keys), (f"({keys[-1]}", last) if keys else None
        batch = _deliveries(self._client.xclaim(STREAM, GROUP, self.consumer, idle, keys)) if keys else []
        lost = set(keys) - {delivery.key for delivery in batch}
        if lost and not idle:
            # With an idle time they may be another recorder's, who was quicker.
            logger.error("%d outcomes left the stream before they were recorded: RESULTS_STREAM_LENGTH", len(lost))
            self._client.xack(STREAM, GROUP, *lost)
        self._note_backlog(batch, more=self._claiming)
        return batch

    def _pending_range(self) -> tuple[str, str]:
        summary: Any = self._client.xpending(STREAM, GROUP)
        return summary["min"] or "-", summary["max"] or "-"

    def _read(self) -> list[Delivery]:
        """New entries: FLUSH_OUTCOMES, or those that come within FLUSH_MILLISECONDS of the first."""
        batch: list[Delivery] = []
        ends = time.monotonic() + settings.FLUSH_MILLISECONDS / 1000
        while (room := settings.FLUSH_OUTCOMES - len(batch)) > 0 and not self._stop.is_set():
            left = int((ends - time.monotonic()) * 1000)
            if left <= 0:
                break
            answer: Any = self._client.xreadgroup(GROUP, self.consumer, {STREAM: ">"}, count=room, block=left)
            for _, entries in answer or ():
                batch += _deliveries(entries)
            if batch and len(batch) < settings.FLUSH_OUTCOMES:
                # Redis wakes us at the first entry: let more gather, or each would be its own round trip.
                self._stop.wait(max(0.0, min(ends - time.monotonic(), 0.05)))
        self._note_backlog(batch, more=len(batch) >= settings.FLUSH_OUTCOMES)
        return batch

    def _note_backlog(self, batch: Sequence[Delivery], *, more: bool) -> None:
        self._backlog_from = _instant(batch[-1].key) if more and batch else None

    def _flush(self, batch: Sequence[Delivery]) -> None:
        readable: list[tuple[Delivery, Entry]] = []
        lives: list[tuple[Delivery, LifeEntry]] = []
        for delivery in self._record_race_checks(batch):
            try:
                if is_life(delivery.text):
                    lives.append((delivery, decode_life(delivery.text)))
                else:
                    readable.append((delivery, decode(delivery.text)))
            except EntryError as error:
                self._set_aside(delivery, str(error))
        self._record(readable)
        self._record_lives(lives)
        pipeline = self._client.pipeline(transaction=True)
        keys = [delivery.key for delivery in batch]
        pipeline.xack(STREAM, GROUP, *keys)
        pipeline.xdel(STREAM, *keys)
        pipeline.execute()

    def _record_race_checks(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """Write the entries about race checks; returns the others."""
        others = []
        for delivery in batch:
            if not race_checks.is_entry(delivery.text):
                others.append(delivery)
                continue
            try:
                entry = race_checks.Entry.from_text(storable(delivery.text))
                race_check_records.record(entry, timezone.now())
            except (DataError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
                self._set_aside(delivery, f"{type(error).__name__}: {error}")
        return others

    def _record(self, deliveries: Sequence[tuple[Delivery, Entry]]) -> None:
        """Store a batch; what the database refuses is found by halving, so that one entry never blocks the rest."""
        if not deliveries:
            return
        try:
            refused = record((entry for _, entry in deliveries), now=timezone.now(), memory=self._memory)
        except (DataError, IntegrityError, UnicodeError, ValueError) as error:
            if len(deliveries) == 1:
                self._set_aside(deliveries[0][0], f"{type(error).__name__}: {error}")
                return
            half = len(deliveries) // 2
            self._record(deliveries[:half])
            self._record(deliveries[half:])
        else:
            for delivery, entry in deliveries:
                if reason := refused.get(entry.identity):
                    self._set_aside(delivery, reason)

    def _record_lives(self, deliveries: Sequence[tuple[Delivery, LifeEntry]]) -> None:
        if not deliveries:
            return
        try:
            refused = record_lives((entry for _, entry in deliveries), now=timezone.now())
        except (DataError, IntegrityError, UnicodeError, ValueError) as error:
            if len(deliveries) == 1:
                self._set_aside(deliveries[0][0], f"{type(error).__name__}: {error}")
                return
            half = len(deliveries) // 2
            self._record_lives(deliveries[:half])
            self._record_lives(deliveries[half:])
        else:
            for delivery, entry in deliveries:
                if reason := refused.get(entry.identity):
                    self._set_aside(delivery, reason)

    def _set_aside(self, delivery: Delivery, reason: str) -> None:
        logger.warning("entry %s moved to %s: %s", delivery.key, BAD, reason)
        fields: Any = {"o": delivery.text, "why": reason}
        self._client.xadd(BAD, fields, maxlen=BAD_LENGTH, approximate=True)

    def _duties(self) -> None:
        """Each second: missed slots, ended pauses, partitions, heartbeat."""
        now = timezone.now()
        try:
            if time.monotonic() >= self._next_partitions:
                partitions.ensure(now)
                self._next_partitions = time.monotonic() + PARTITIONS_SECONDS
            self._take_over()
            resume_expired(now)
            race_check_records.expire(min(now, self._backlog_from or now))
            # What waits in the stream is not missed: sweep only up to where it was read.
            known_until = min(now, self._backlog_from or now)
            more = [sweep(known_until, self._memory), condensing.condense(known_until)]
            if any(more):
                self._next_duties = 0.0
        except Error as error:
            logger.warning("missed slots wait for the database: %s", error)
            connection.close()
        try:
            self._client.set(RECORDER, json.dumps({"at": now.isoformat(), "consumer": self.consumer}))
            self._forget_workers(now)
        except (RedisError, OSError) as error:
            logger.warning("no heartbeat: %s", error)

    def _take_over(self) -> None:
        """Now and then look for what a recorder left that was killed, while this one goes on."""
        if time.monotonic() >= self._next_take_over and not self._claiming:
            self._next_take_over = time.monotonic() + TAKE_OVER_SECONDS
            self._claiming, self._claim_idle_ms = True, int(TAKE_OVER_SECONDS * 1000)

    def _forget_workers(self, now: datetime) -> None:
        states: Any = self._client.hgetall(WORKERS)
        for name, state in states.items():
            if datetime.fromisoformat(json.loads(state)["at"]) < now - FORGET_WORKER:
                self._client.hdel(WORKERS, name)


def connect(url: str) -> "redis.Redis":
    """A client for a recorder: bytes that are no UTF-8 are replaced, so that no entry can block the stream."""
    return redis.Redis.from_url(
        url, decode_responses=True, encoding_errors="replace", socket_timeout=10, socket_connect_timeout=2
    )


def _deliveries(entries: Any) -> list[Delivery]:
    return [Delivery(key, fields.get("o", "")) for key, fields in entries if fields is not None]


def _instant(key: str) -> datetime:
    return datetime.fromtimestamp(int(key.partition("-")[0]) / 1000, UTC)
