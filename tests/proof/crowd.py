"""Many authenticated users at once, and a server that is restarted under them.

python -m tests.proof.crowd [--users N ...] [--seconds S] [--restarts N]. Exit status 1 where an event of a user who
stayed did not come, anything was called sent that did not, or a race error is in the log.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from dashboard.env import BASE_DIR
from tests.proof.bursts import may_open
from tests.proof.claims import tell
from tests.proof.users import Tally, User, everybody, tally
from tests.support.asgi_servers import KINDS, Kind, Running, running, start
from tests.support.waiting import await_until

APP = "tests.proof.chat_service:app"
CLOSED_CLEANLY = {"1012", "4012"}
THINK_S = 4.0
"""Between two messages of a user, on average; 500 users then say 125 a second, and get 625 events."""


def at_once(kind: Kind, count: int, seconds: float, *, think_s: float = THINK_S, session_s: float = 15.0) -> Tally:
    """`count` users for `seconds`, each in sessions of about `session_s`."""
    with running(kind, APP, BASE_DIR) as server:
        users = [User(number, server.port, think_s=think_s, session_s=session_s) for number in range(count)]

        async def run() -> None:
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(seconds, stop.set)
            await everybody(users, stop)

        asyncio.run(run())
        sessions = sum(len(user.sessions) for user in users)
        records = server.ended(sessions, seconds=60)
        found = tally(users, records, server.log)
    strange = {cause: n for cause, n in found.causes.items() if cause != "client_closed"}
    found.wrong += [f"{n} connections ended as {cause}" for cause, n in strange.items()]
    return found


def restarted(kind: Kind, count: int, restarts: int) -> Tally:
    """`count` users who never pause, while their server is stopped and started again so many times."""
    servers = [start(kind, APP, BASE_DIR)]
    users = [User(number, servers[0].port, think_s=0.02) for number in range(count)]
    try:
        asyncio.run(_restarting(kind, users, servers, restarts))
        servers[-1].stop()
        records = [record for server in servers for record in server.records()]
        found = tally(users, records, "".join(server.log for server in servers))
    finally:
        for server in servers:
            server.stop()
    strange = set(found.codes) - CLOSED_CLEANLY - {"left"}
    found.wrong += [f"{found.codes[code]} sessions ended with {code}" for code in strange]
    cut = sum(found.codes[code] for code in CLOSED_CLEANLY)
    if cut < count * restarts:
        found.wrong.append(f"only {cut} sessions met a restart")
    return found


async def _restarting(kind: Kind, users: Sequence[User], servers: list[Running], restarts: int) -> None:
    stop = asyncio.Event()
    talking = asyncio.create_task(everybody(users, stop))
    for number in range(restarts + 1):
        await _everyone_answered(users, number + 1)
        if number < restarts:
            servers[-1].terminate()
            await asyncio.to_thread(servers[-1].wait)
            servers.append(await asyncio.to_thread(start, kind, APP, BASE_DIR, port=servers[-1].port))
    stop.set()
    await talking


async def _everyone_answered(users: Sequence[User], sessions: int) -> None:
    def answered() -> bool:
        return all(len(user.sessions) >= sessions and user.sessions[-1].answered >= 2 for user in users)

    await await_until(answered, seconds=60, what=f"every user talks in session {sessions}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--restarts", type=int, default=3)
    options = parser.parse_args(arguments)
    may_open(max(options.users) + 200)
    uvicorn = KINDS[0]
    found = {f"{n} users, {options.seconds:g} s": at_once(uvicorn, n, options.seconds) for n in options.users}
    for kind in KINDS:
        found[f"50 users, {options.restarts} restarts, {kind.name}"] = restarted(kind, 50, options.restarts)
    head = ("run", "sessions", "messages", "answered whole", "events", "due to those who stayed", "came", "ended with")
    rows = [
        (name, each.sessions, each.said, each.answered, each.events, each.due, each.due_and_come,
         ", ".join(f"{code}: {n}" for code, n in sorted(each.codes.items())))
        for name, each in found.items()
    ]  # fmt: skip
    wrong = [f"{name}: {what}" for name, each in found.items() for what in each.wrong[:5]]
    events = sum(each.due_and_come for each in found.values())
    return tell([head, *rows], wrong, f"0 race errors; all {events} events of users who stayed came, in order")


if __name__ == "__main__":
    sys.exit(main())
