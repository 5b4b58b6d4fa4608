"""What may stand in a record. Pure.

Never there: message contents, headers, tokens, query strings, and the texts of an application's exceptions (their type
alone). Texts that can carry a secret by accident pass through `redacted` first: the path, what a failed check or
service said, and what was wrong with the flags. That is a net, not a promise: keep secrets out of paths.
"""

import re
from functools import lru_cache

MOST_CHARACTERS = 200
"""Of one text; the rest is cut."""

HIDDEN = "[redacted]"

_NAMES = "pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|authorization|credential|signature|cookie|session"
_NAMED = re.compile(
    rf"((?:{_NAMES})[\w-]{{0,20}}[\"']?\s*[=:]\s*[\"']?)(?!\[redacted|bearer|basic)[^\s\"',;&)}}]+",
    re.IGNORECASE,
)
_LONG_WORD = re.compile(r"[\w-]{24,}")
_RUN = re.compile(r"[A-Za-z0-9]{20,}")
"""Letters and digits that long, mixed and unbroken: a key. A UUID names something, and slugs are words: both stay."""

_RULES = (
    # The userinfo of an address, as in postgresql://user:password@host (RFC 3986, 3.2.1).
    (re.compile(r"(?<=://)[^/@\s]+(?=@)"), HIDDEN),
    (re.compile(r"\b(bearer|basic|digest|token)[ .]+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # A JSON Web Token: three base64url parts, the first of them an object.
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),
    (_NAMED, rf"\1{HIDDEN}"),
    (re.compile(r"\?[^\s\"'?]+"), f"?{HIDDEN}"),
)  # fmt: skip


@lru_cache(maxsize=256)
def redacted(text: str) -> str:
    """`text` without what looks like a secret, cut to MOST_CHARACTERS."""
    text = text[: MOST_CHARACTERS * 2]
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    text = _LONG_WORD.sub(_unless_random, text)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _unless_random(word: re.Match[str]) -> str:
    random = any(not (run.isalpha() or run.isdigit()) for run in _RUN.findall(word[0]))
    return HIDDEN if random else word[0]
