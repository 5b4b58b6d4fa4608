"""Which flags a key selects: those with one of its tags, and those without any. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
MAX_TAGS = 20


class TagError(ValueError):
    """Tags that cannot be used. The message says how they are written."""


def tags_of(definition: Mapping[str, Any]) -> frozenset[str]:
    """A definition's tags. Raises TagError."""
    tags = definition.get("tags")
    if tags is None:
        return frozenset()
    if not isinstance(tags, list):
        raise TagError("tags is a list of words")
    return checked(tags)


def checked(tags: Iterable[Any]) -> frozenset[str]:
    """Tags, each once. Raises TagError."""
    words = list(tags)
    if len(words) > MAX_TAGS or not all(isinstance(word, str) and TAG.fullmatch(word) for word in words):
        raise TagError(f"tags are at most {MAX_TAGS} words of 1 to 40 small letters, digits, dots, _ and -")
    return frozenset(words)


def selected(definitions: Mapping[str, Mapping[str, Any]], tags: Collection[str]) -> list[str]:
    """The keys of the flags that a key with `tags` gets; without tags, all.

    A flag without tags is everybody's: the flags that every gate reads need none.
    """
    if not tags:
        return list(definitions)
    wanted = set(tags)
    return [key for key, body in definitions.items() if not (own := body.get("tags")) or not wanted.isdisjoint(own)]
