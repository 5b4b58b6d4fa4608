"""Semantic versions as flagd's `sem_ver` reads them. Pure.

Sources: semver.org 2.0.0 (precedence, section 11); flagd-testbed's `semver.feature` (a leading v, partial versions,
build metadata ignored, `~` and `^`).
"""

import re
from typing import Any, NamedTuple

_PART = r"(0|[1-9]\d{0,17})"
_WORDS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"[vV]?{_PART}(?:\.{_PART}(?:\.{_PART}(?:-(?P<pre>{_WORDS}))?(?:\+{_WORDS})?)?)?", re.ASCII)
_LONGEST = 256


class SemanticVersion(NamedTuple):
    """A version in its order of precedence. `release` is false before the release itself: 2.0.0-rc < 2.0.0."""

    major: int
    minor: int
    patch: int
    release: bool
    before: tuple[tuple[bool, int, str], ...]


def parse(value: Any) -> SemanticVersion | None:
    """A version of text such as "v1.2.3-rc.1+build", "1.2", or of the number 1.2; None for everything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _LONGEST or not (found := _VERSION.fullmatch(value)):
        return None
    major, minor, patch = (int(part or 0) for part in found.group(1, 2, 3))
    words = found["pre"].split(".") if found["pre"] else []
    if any(word.isdigit() and len(word) > 1 and word[0] == "0" for word in words):
        return None
    before = tuple((not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words)
    return SemanticVersion(major, minor, patch, not words, before)


COMPARISONS = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "~": lambda left, right: left[:2] == right[:2],
    "^": lambda left, right: left[:1] == right[:1],
}
"""flagd's comparisons: `~` has the same major and minor, `^` the same major."""
