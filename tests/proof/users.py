"""Authenticated users of the reference chat: what each of them said, got, and was told at the end."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from probes.engine.script import CRITICAL_EVENTS
from tests.proof.chat_service import token_of

RACE_ERRORS = ("was not answered", 'Need to call "accept"', "Traceback")
"""What a log holds where a message met an application that was not ready, or one that had closed."""
PATIENCE_S = 60.0


@dataclass(slots=True)
class Session:
    """One connection of one user. `code` is the server's close code: None where the user left, 1006 without one."""

    connection_id: str = ""
    said: int = 0
    answered: int = 0
    """Runs whose five events came, in order, the last one with the right number."""
    events: int = 0
    disorder: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    code: int | None = None

    @property
    def stayed(self) -> bool:
        """It ended by the user's own decision: everything that was asked is due."""
        return self.code is None


class User:
    """Talks until told to stop; comes back after every end that was not its own."""

    def __init__(self, number: int, port: int, *, think_s: float, session_s: float = 1e9) -> None:
        self._token = token_of(number)
        self._url = f"ws://127.0.0.1:{port}/ws/chat"
        self._think_s = think_s
        self._session_s = session_s
        self._random = random.Random(number)
        self.sessions: list[Session] = []
        self.refused = 0

    async def talk(self, stop: asyncio.Event, *, once: bool = False) -> None:
        """Sessions of about `session_s` seconds, one after another, until `stop`; or one, however it ends."""
        while not stop.is_set() and not (once and self.sessions):
            try:
                await self._visit(stop)
            except (OSError, InvalidHandshake, TimeoutError):
                self.refused += 1
                await asyncio.sleep(self._random.uniform(0.05, 0.2))

    async def _visit(self, stop: asyncio.Event) -> None:
        offered = [Subprotocol("readywire.chat.v1"), Subprotocol(f"bearer.{self._token}")]
        until = asyncio.get_running_loop().time() + self._session_s * self._random.uniform(0.5, 1.5)
        async with connect(self._url, subprotocols=offered, compression=None, ping_interval=None) as client:
            session = Session()
            self.sessions.append(session)
            try:
                while not session.said or (not stop.is_set() and asyncio.get_running_loop().time() < until):
                    await self._run(client, session)
                    await asyncio.sleep(self._think_s * self._random.uniform(0.5, 1.5))
            except ConnectionClosed as end:
                session.code = end.rcvd.code if end.rcvd else 1006

    async def _run(self, client: ClientConnection, session: Session) -> None:
        run_id = f"run-{session.said}"
        session.said += 1
        await client.send(json.dumps({"type": "user_message", "run_id": run_id, "text": "hello"}))
        for expected in CRITICAL_EVENTS:
            event = await self._next(client, session)
            session.events += 1
            if (event["type"], event["run_id"], event["seq"]) != (expected, run_id, session.events):
                session.disorder.append(f"{event['type']} {event['run_id']} {event['seq']}")
        if event.get("last_seq") != session.events:
            session.disorder.append(f"last_seq {event.get('last_seq')}")
        session.answered += 1

    async def _next(self, client: ClientConnection, session: Session) -> dict[str, Any]:
        """The next event of the application; the gate's own frames are noted on the way."""
        while True:
            event: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), PATIENCE_S))
            if "run_id" in event:
                return event
            session.kinds[event["type"]] += 1
            session.connection_id = event.get("connection_id", session.connection_id)


async def everybody(users: Iterable[User], stop: asyncio.Event, *, once: bool = False) -> None:
    async with asyncio.TaskGroup() as group:
        for user in users:
            group.create_task(user.talk(stop, once=once))


@dataclass(slots=True)
class Tally:
    """What all users met, beside what the gate recorded of the same connections."""

    sessions: int = 0
    said: int = 0
    answered: int = 0
    events: int = 0
    due: int = 0
    """Events that were due: five for each run of those who stayed."""
    due_and_come: int = 0
    called_sent: int = 0
    """Events that the gate's records call sent: the server took them."""
    codes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def _contradictions(session: Session, record: Mapping[str, Any]) -> list[str]:
    """What the gate's record of a session says, and its user does not."""
    delivered = record["messages"]["delivered"]
    whole = session.events == len(CRITICAL_EVENTS) * session.answered
    found = [f"{record['sent']} called sent, {session.events} came"] if record["sent"] != session.events else []
    if whole and delivered != session.answered:
        found.append(f"{delivered} messages called delivered, {session.answered} answered")
    return found


def tally(users: Sequence[User], records: Sequence[dict[str, Any]], log: str) -> Tally:
    """Add up, and compare each session with its record: the gate may call sent only what came."""
    found = Tally(causes=Counter(record["cause"] for record in records))
    by_id = {record["connection_id"]: record for record in records}
    for session in (session for user in users for session in user.sessions):
        found.sessions += 1
        found.said += session.said
        found.answered += session.answered
        found.events += session.events
        found.codes[str(session.code or "left")] += 1
        if session.stayed:
            found.due += len(CRITICAL_EVENTS) * session.said
            found.due_and_come += session.events
        found.wrong += session.disorder
        record = by_id.get(session.connection_id)
        if record is None and session.connection_id:
            found.wrong.append(f"{session.connection_id} has no record")
        elif record is not None:
            found.wrong += _contradictions(session, record)
    if found.due_and_come != found.due:
        found.wrong.append(f"{found.due - found.due_and_come} events of users who stayed did not come")
    found.wrong += [f"{log.count(each)} times in the log: {each}" for each in RACE_ERRORS if each in log]
    return found
