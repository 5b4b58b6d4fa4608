"""Outcomes as rows: results, and the transcripts that are kept of some."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.conf import settings

from probes.bulk import Conflict, insert
from probes.engine.outcome import FailureKind, Outcome
from probes.models import Result, Transcript
from probes.results_stream import Entry, Identity, wants_transcript
from probes.tally import latencies_of

IDENTITY = ("target_id", "location_id", "slot")
COLUMNS = (
    "ok", "kind", "phase", "also", "detail", "start_delay_us", "dns_us", "tcp_us", "tls_us", "upgrade_us", "claimed_us",
    "race_window_us", "user_ready_us", "events", "close_code", "closed_by", "http_status", "address", "clock", "lag_us",
    "flagged", "strategy", "flags_revision", "recorded_at",
)  # fmt: skip
_encode = json.JSONEncoder(separators=(",", ":")).encode


def insert_new(entries: Sequence[Entry], now: datetime) -> set[Identity]:
    """Store results whose slot has none yet; returns the identities that were stored."""
    rows = [row_of(entry, now) for entry in entries]
    return {_identity(row) for row in insert(Result, IDENTITY, COLUMNS, rows, Conflict.KEEP)}


def replace_missed(entries: Sequence[Entry], now: datetime) -> set[Identity]:
    """Let late outcomes take the place of `missed` rows, in one conditional statement; returns those that did."""
    rows = [row_of(entry, now) for entry in entries]
    missed = f"kind = '{FailureKind.MISSED.value}'"
    return {_identity(row) for row in insert(Result, IDENTITY, COLUMNS, rows, Conflict.REPLACE, only_where=missed)}


def keep_transcripts(entries: Iterable[Entry]) -> None:
    """Store the frames of every failure and of the chosen successes, each at most TRANSCRIPT_BYTES long."""
    rows = [
        (*entry.identity, *transcript_of(entry.outcome))
        for entry in entries
        if entry.outcome.frames and wants_transcript(entry.identity, entry.outcome)
    ]
    insert(Transcript, IDENTITY, ("marks", "frames"), rows, Conflict.KEEP)


def _identity(row: tuple[Any, ...]) -> Identity:
    target_id, location, slot = row
    return target_id, location, slot


def row_of(entry: Entry, now: datetime) -> tuple[Any, ...]:
    """The values of a result: its identity, then `COLUMNS`, JSON as text."""
    outcome = entry.outcome
    return (
        *entry.identity,
        outcome.ok,
        outcome.kind.value if outcome.kind else "",
        outcome.phase[:20],
        _encode([kind.value for kind in outcome.also]) if outcome.also else "[]",
        outcome.detail,
        None if outcome.kind is FailureKind.MISSED else outcome.start_delay_us,
        *latencies_of(outcome),
        _encode(_events(outcome)),
        outcome.close_code,
        outcome.closed_by[:10],
        outcome.http_status,
        outcome.address[:64],
        "" if outcome.kind is FailureKind.MISSED else outcome.clock[:12],
        outcome.lag_us,
        outcome.flagged,
        outcome.strategy[:40],
        outcome.flags_revision,
        now,
    )


def _events(outcome: Outcome) -> dict[str, Any]:
    if outcome.kind is not None and outcome.kind.ours:
        return {}
    events = outcome.events
    found = {
        "expected": len(events.expected),
        "delivered": events.delivered,
        "marks": dict(events.marks),
        "defects": dict(events.defects),
    }
    absent = [name for name in events.expected if name not in events.marks]
    return {**found, "absent": absent} if absent else found


def transcript_of(outcome: Outcome) -> tuple[str, str]:
    """Marks and frames as JSON, as long as TRANSCRIPT_BYTES allow."""
    # The marks of an outcome count from `started`; people compare them with the slot.
    shift = outcome.start_delay_us
    marks = {"intended": 0, "started": shift, **{name: us + shift for name, us in outcome.marks.items()}}
    frames: list[dict[str, Any]] = []
    room = settings.TRANSCRIPT_BYTES
    for frame in outcome.frames:
        shown = {**asdict(frame), "at_us": frame.at_us + shift}
        room -= len(json.dumps(shown))
        if room < 0:
            left = len(outcome.frames) - len(frames)
            text = f"{left} more frames did not fit"
            frames.append({"at_us": shown["at_us"], "direction": "", "kind": "cut", "text": text})
            break
        frames.append(shown)
    return json.dumps(marks), json.dumps(frames)
