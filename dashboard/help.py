"""What every failure kind, state, strategy and figure means, in one table: a sentence, what to check next, a runbook.

Pure. The tables of docs/ have the same sentences; a test compares them row by row, and finds every anchor.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

from connections.gate.strategies import STRATEGIES, ClientInit, Strategy
from dashboard.help_words import CUTS, FIGURES, KINDS, STATES
from dashboard.sentences import STATE_WORDS
from probes.engine.advice import NEXT_CHECK
from probes.engine.outcome import EventDefect, FailureKind

_CUTS_PAGE = "/docs/residents/#what-ended-it"


@dataclass(frozen=True, slots=True)
class Help:
    """One entry. `code`: the name is one of ours, written as code; `whose`: whose fault, of a failure."""

    name: str
    sentence: str
    check: str
    link: str
    code: bool = False
    whose: str = ""


@cache
def table() -> Mapping[str, Help]:
    """Every entry by "sort:name", for example "kind:accept_race"."""
    return {
        **{f"kind:{kind}": _kind(kind) for kind in FailureKind},
        **{f"state:{state}": _state(state) for state in STATE_WORDS},
        **{f"strategy:{name}": _strategy(name) for name in STRATEGIES},
        **{f"figure:{key}": Help(*words, f"/docs/console/#{key}") for key, words in FIGURES.items()},
        **{f"defect:{defect}": _defect(defect) for defect in EventDefect},
        **{
            f"cut:{cut}": Help(cut.words, seen, cut.next_check, "/docs/residents/#what-ended-it")
            for cut, seen in CUTS.items()
        },
    }


def entry(sort: str, name: str) -> Help | None:
    """None where the name is none of ours: a strategy of somebody else's gate, a kind of a later version."""
    return table().get(f"{sort}:{name}")


@cache
def as_json() -> str:
    """The whole table for the browser, which asks for it once."""
    return json.dumps({key: asdict(each) for key, each in table().items()}, ensure_ascii=False, separators=(",", ":"))


@cache
def version() -> str:
    """Changes whenever the table does: the browser may keep what has this version in its address."""
    return hashlib.sha256(as_json().encode()).hexdigest()[:12]


def _kind(kind: FailureKind) -> Help:
    whose = f"Fault: {kind.owner}"
    return Help(kind.value, KINDS[kind], NEXT_CHECK[kind], f"/docs/failures/#{kind}", code=True, whose=whose)


def _state(state: str) -> Help:
    sentence, check = STATES[state]
    return Help(STATE_WORDS[state], sentence, check, f"/docs/console/#{state}")


def _strategy(name: str) -> Help:
    told = STRATEGIES[name]
    says = f"Opens: {told.opens_when}. False ready: {told.false_ready}. Holds needlessly: {told.false_not_ready}."
    return Help(name, says, _strategy_check(told), f"/docs/strategies/#{name}", code=True)


def _strategy_check(told: type[Strategy]) -> str:
    if told.asks_checks:
        return "Where connections wait too long, look at the services that it requires."
    if told is ClientInit:
        return "Where clients only listen at first, serve dependency_gate instead."
    return "It checks nothing: where messages are lost, serve dependency_gate."


def _defect(defect: EventDefect) -> Help:
    kind = FailureKind(f"event_{defect}")
    return Help(defect.replace("_", " "), KINDS[kind], NEXT_CHECK[kind], f"/docs/failures/#{kind}")
