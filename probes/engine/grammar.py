"""The order that a run of the five critical events obeys, and which tool events belong together. Pure.

    agent_started agent_thinking* (tool_executing tool_completed)* agent_completed

A pair shares its `call_id`; nothing stands between its two events.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from probes.engine.script import CRITICAL_EVENTS

_STARTED, _THINKING, EXECUTING, COMPLETED, _FINISHED = CRITICAL_EVENTS
_RANK = {_STARTED: 0, _THINKING: 1, EXECUTING: 2, COMPLETED: 2, _FINISHED: 3}


class RunEvent(NamedTuple):
    """One event of a run: when it came (ns), its number, and the call it belongs to."""

    name: str
    at: int
    seq: int | None
    call: str | int | None = None


def governs(expected: Sequence[str]) -> bool:
    """Whether the grammar is about these events; other lists of events have an order of names alone."""
    return tuple(expected) == CRITICAL_EVENTS


def disordered(events: Sequence[RunEvent]) -> list[str]:
    """Names of events that stand where the grammar has no place for them."""
    wrong, furthest = [], -1
    for event in events:
        if _RANK[event.name] < furthest:
            wrong.append(event.name)
        furthest = max(furthest, _RANK[event.name])
    tools = [event for event in events if event.name in (EXECUTING, COMPLETED)]
    for begun, ended in _pairs(tools):
        if begun is None or ended is None or ended == begun + 1:
            continue
        wrong.append(EXECUTING if ended < begun else COMPLETED)
    return wrong


def unpaired(events: Sequence[RunEvent]) -> Iterator[tuple[str, int | None, int | None]]:
    """The absent half of every broken pair, and the numbers between which it belongs; None: not bounded."""
    places = [place for place, event in enumerate(events) if event.name in (EXECUTING, COMPLETED)]
    for begun, ended in _pairs([events[place] for place in places]):
        if ended is None and begun is not None:
            place = places[begun]
            yield COMPLETED, events[place].seq, events[place + 1].seq if place + 1 < len(events) else None
        elif begun is None and ended is not None:
            place = places[ended]
            yield EXECUTING, events[place - 1].seq if place else None, events[place].seq


def _pairs(tools: Sequence[RunEvent]) -> Iterator[tuple[int | None, int | None]]:
    """Positions of each call's two events; None for one that is absent."""
    begun: dict[str | int | None, list[int]] = {}
    ended: list[int] = []
    for index, event in enumerate(tools):
        if event.name == EXECUTING:
            begun.setdefault(event.call, []).append(index)
        elif calls := begun.get(event.call):
            yield calls.pop(), index
        else:
            ended.append(index)
    for index in ended:  # an end whose beginning came later, or not at all
        calls = begun.get(tools[index].call)
        yield (calls.pop() if calls else None), index
    for index in sorted(index for calls in begun.values() for index in calls):
        yield index, None
