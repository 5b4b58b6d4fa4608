"""What lies between users and their server: delay, a proxy that cuts, a dependency that stops and comes back.

python -m tests.proof.paths [--users N]. Exit status 1 where an event of a user who stayed did not come, a cut was taken
for an error, or a stop was not told.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

from dashboard.env import BASE_DIR
from tests.proof.bursts import may_open
from tests.proof.claims import tell
from tests.proof.crowd import APP
from tests.proof.users import Tally, User, everybody, tally
from tests.support.asgi_servers import KINDS, running
from tests.support.delaying_proxy import delaying_proxy
from tests.support.servers import free_port
from tests.support.waiting import await_until, wait_until

ONE_WAY_MS = (10, 50, 150)
CUTS_S = (0.3, 0.9)
"""The first falls into most setups of the slow service (0.3 to 1.2 s), the second behind most of them."""
TOLD_WITHIN_S = 30.0
"""The issue's own bound on noticing that a dependency is back."""
UVICORN = KINDS[0]


def delayed(count: int, one_way_ms: float, messages: int = 3) -> Tally:
    """`count` users behind a path that takes so long each way; each says so many messages."""
    with running(UVICORN, APP, BASE_DIR) as server:

        async def run() -> list[User]:
            async with delaying_proxy(server.port, one_way_s=one_way_ms / 1000) as proxy:
                users = [User(number, proxy.port, think_s=0.05) for number in range(count)]
                stop = asyncio.Event()
                talking = asyncio.create_task(everybody(users, stop))
                await _all_answered(users, messages)
                stop.set()
                await talking
                return users

        users = asyncio.run(run())
        records = server.ended(sum(len(user.sessions) for user in users))
        found = tally(users, records, server.log)
    found.wrong += [f"ended as {cause}" for cause in found.causes if cause != "client_closed"]
    return found


async def _all_answered(users: Sequence[User], messages: int) -> None:
    def answered() -> bool:
        return all(user.sessions and user.sessions[-1].answered >= messages for user in users)

    await await_until(answered, seconds=120, what=f"{messages} answers for each of {len(users)} users")


def cut(count: int, after_s: float, *, told: bool) -> Tally:
    """`count` users of a service that sets up slowly, each cut off `after_s` seconds after it came. The server is told,
    or keeps working for nobody."""
    with running(UVICORN, APP, BASE_DIR, environment={"PROOF_SETUP": "staging"}) as server:
        users = asyncio.run(_cut(server.port, count, after_s, told=told))
        wait_until(lambda: len(server.records()) >= count, 60, "every connection has ended")
    records = server.records()
    # What it sent while the proxy cut is more than what came: a server's sending is no delivery.
    found = tally(users, [], server.log)
    found.causes = Counter(record["cause"] for record in records)
    found.called_sent = sum(record["sent"] for record in records)
    gone = found.causes["client_gone"]
    in_handshake = sum(user.refused for user in users)  # cut before they had their 101: they came again
    claims = {
        "a user was not cut off": found.codes == {"1006": count},
        "a cut was taken for something else": found.causes.keys() <= {"client_gone", "client_closed"},
        "there are more ends than cuts": count <= len(records) <= count + in_handshake,
        "a user who was not told of is called gone": told or gone <= in_handshake,
        "less was called sent than came": found.called_sent >= found.events,
        "the application did not go on": told or found.called_sent > found.events,
    }
    found.wrong = [each for each in found.wrong if "no record" not in each]
    found.wrong += [what for what, holds in claims.items() if not holds]
    return found


async def _cut(port: int, count: int, after_s: float, *, told: bool) -> list[User]:
    async with delaying_proxy(port, cut_after_s=after_s, keeps_backend=not told) as proxy:
        users = [User(number, proxy.port, think_s=0.05) for number in range(count)]
        await everybody(users, asyncio.Event(), once=True)
        unready = 0 if told else sum(not user.sessions[-1].kinds["connection_ready"] for user in users)
        # Their setups go on, and end in a word to nobody.
        await await_until(lambda: proxy.swallowed.count(b"connection_ready") >= unready, 60, "the setups go on")
        return users


class Dependency:
    """A TCP service that can stop and come back on its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        self._server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", self.port)

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


def outage(count: int) -> Tally:
    """`count` users talk; an optional dependency stops, the next who comes finds out, everyone is told; as many more
    come; it serves again."""
    dependency = Dependency()
    with running(UVICORN, APP, BASE_DIR, environment={"PROOF_DEPENDENCY": str(dependency.port)}) as server:
        users = [User(number, server.port, think_s=0.2) for number in range(count)]
        newcomers = [User(count + number, server.port, think_s=0.2) for number in range(count)]
        visitor = User(2 * count, server.port, think_s=0.0, session_s=0.0)
        asyncio.run(_outage(dependency, users, visitor, newcomers))
        everyone = [*users, visitor, *newcomers]
        found = tally(everyone, server.ended(sum(len(user.sessions) for user in everyone)), server.log)
    for name, group in (("were connected", users), ("came meanwhile", newcomers)):
        kinds = [user.sessions[-1].kinds for user in group]
        for kind in ("connection_degraded", "connection_recovered"):
            told = sum(each[kind] == 1 for each in kinds)
            if told != len(group):
                found.wrong.append(f"{told} of {len(group)} who {name} got one {kind}")
    return found


async def _outage(dependency: Dependency, users: Sequence[User], visitor: User, newcomers: Sequence[User]) -> None:
    stop, noticed = asyncio.Event(), asyncio.Event()
    await dependency.up()
    talking = [asyncio.create_task(everybody(users, stop))]
    await _all_answered(users, 1)
    await dependency.down()
    talking.append(asyncio.create_task(visitor.talk(noticed)))
    await _told(users, "connection_degraded")
    noticed.set()
    talking.append(asyncio.create_task(everybody(newcomers, stop)))
    await _told(newcomers, "connection_degraded")
    await _all_answered([*users, *newcomers], 1)
    await dependency.up()
    await _told([*users, *newcomers], "connection_recovered")
    stop.set()
    await asyncio.gather(*talking)
    await dependency.down()


async def _told(users: Sequence[User], kind: str) -> None:
    def told() -> bool:
        return all(user.sessions and user.sessions[-1].kinds[kind] for user in users)

    await await_until(told, TOLD_WITHIN_S, f"everyone is told {kind}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200)
    count = parser.parse_args(arguments).users
    may_open(6 * count + 200)
    found = {f"{ms} ms each way": delayed(count, ms) for ms in ONE_WAY_MS}
    for after_s in CUTS_S:
        found[f"cut after {after_s:g} s, the server is told"] = cut(count, after_s, told=True)
        found[f"cut after {after_s:g} s, the server is not told"] = cut(count, after_s, told=False)
    found["an optional dependency stops and comes back"] = outage(count // 2)
    head = ("path", "sessions", "messages", "answered whole", "events", "due to those who stayed", "came",
            "the gate's causes")  # fmt: skip
    rows = [
        (name, each.sessions, each.said, each.answered, each.events, each.due, each.due_and_come,
         ", ".join(f"{cause}: {n}" for cause, n in sorted(each.causes.items())))
        for name, each in found.items()
    ]  # fmt: skip
    wrong = [f"{name}: {what}" for name, each in found.items() for what in each.wrong[:5]]
    return tell([head, *rows], wrong, "0 race errors; every event of users who stayed came; every cut told as one")


if __name__ == "__main__":
    sys.exit(main())
