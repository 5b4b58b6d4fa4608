"""Probers that ask a name server of the test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from probes.engine.client import Prober
from probes.engine.guardrails import Policy
from probes.engine.names import Resolver
from probes.engine.script import TargetSpec
from tests.support.name_server import Answers, NameServer, name_server

PRIVATE = Policy(allow_private=True)


def port_in(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def asking(server: NameServer) -> Resolver:
    return Resolver(["127.0.0.1"], server.port)


def spec(url: str, **changes: Any) -> TargetSpec:
    return TargetSpec(1, "t", url, changes.pop("deadline_s", 3.0), **changes)


@asynccontextmanager
async def named(answers: Answers, policy: Policy | None = None) -> AsyncIterator[tuple[Prober, NameServer]]:
    """A prober that asks a name server of this test."""
    async with name_server(answers) as names, Prober(policy=policy or PRIVATE, resolver=asking(names)) as prober:
        yield prober, names
