"""The services a chat needs, in miniature. Setting one up takes real time; until then it does not exist."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

SERVICES = ("auth", "redis", "database", "llm")
"""Everything a conversation cannot do without, in the order in which it is set up."""

SETUP_SECONDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"development": (0.02, 0.05), "staging": (0.3, 1.2), "production": (0.02, 0.08)}
)
"""Least and most seconds from accept until the last service is there."""

_SHARES = MappingProxyType({"auth": 0.1, "redis": 0.2, "database": 0.3, "llm": 0.4})
"""Which part of the whole setup each service takes."""


@dataclass
class Auth:
    """Who may use which tools."""

    def permits(self, subject: str, tool: str) -> bool:
        return tool in {"search", "lookup"} or subject != "guest"


@dataclass
class Cache:
    """What redis is to a chat: answers seen before."""

    answers: dict[str, str] = field(default_factory=dict)


@dataclass
class Database:
    """The conversation so far."""

    history: list[str] = field(default_factory=list)

    def remember(self, text: str) -> int:
        """Store one message; returns how many there are. Only the last hundred are kept."""
        self.history.append(text)
        del self.history[:-100]
        return len(self.history)


@dataclass
class LanguageModel:
    """Thinks a few milliseconds per step."""

    seconds_per_step: tuple[float, float] = (0.002, 0.006)

    async def think(self) -> None:
        await asyncio.sleep(random.uniform(*self.seconds_per_step))  # noqa: S311 - a duration, not a secret

    async def answer(self, text: str) -> str:
        await self.think()
        return f"You said {len(text)} characters."


@dataclass
class Services:
    """All of them, once they are set up."""

    auth: Auth
    redis: Cache
    database: Database
    llm: LanguageModel


async def set_up(environment: str) -> AsyncIterator[tuple[str, Auth | Cache | Database | LanguageModel]]:
    """Set the services up one after another, as the origin did; yields each when it is there."""
    least, most = SETUP_SECONDS[environment]
    whole = random.uniform(least, most)  # noqa: S311 - a duration, not a secret
    for name, create in (("auth", Auth), ("redis", Cache), ("database", Database), ("llm", LanguageModel)):
        await asyncio.sleep(whole * _SHARES[name])
        yield name, create()
