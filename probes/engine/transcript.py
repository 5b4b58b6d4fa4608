"""What went over the wire, for a person to read: bounded while it is recorded, redacted before it leaves."""

import base64
import re
from collections import deque
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from probes.engine.outcome import Frame

_HEAD = 40
_TAIL = 20
_FRAME_CHARS = 2_000
_KEPT_CHARS = 2 * _FRAME_CHARS
_HIDDEN = "[redacted]"

_SENSITIVE_HEADER = re.compile(r"authorization|cookie|token|secret|key|password|session", re.IGNORECASE)
# Whatever looks like a credential is hidden too: a server may echo one that we never sent.
_CREDENTIALS = re.compile(
    r"(?im)"
    r"(?P<header>^(?:proxy-)?(?:authorization|cookie|set-cookie|x-api-key)\s*:\s*).+$"
    r"|(?P<scheme>\b(?:bearer|jwt|jwt-auth)[. ])[\w\-.~+/=]{6,}"
    r"|(?P<field>[\"']?(?:access_|refresh_|id_)?(?:token|api_?key|password|secret|authorization)[\"']?\s*[:=]\s*[\"']?)"
    r"[^\s\"'&,}]{4,}"
)


_TELLTALES = ("auth", "cookie", "key", "bearer", "jwt", "token", "password", "secret")


class Redactor:
    """Replaces the secrets of one target, and whatever looks like a credential."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= 4 for form in _forms(secret)}
        self.longest = max((len(form) for form in forms), default=0)
        ordered = sorted(forms, key=len, reverse=True)
        self._secrets = re.compile("|".join(re.escape(form) for form in ordered)) if ordered else None

    def __call__(self, text: str) -> str:
        if not text:
            return text
        if self._secrets is not None:
            text = self._secrets.sub(_HIDDEN, text)
        lowered = text.lower()
        # Most frames hold none of these words: looking first costs a twentieth of the expression.
        if any(word in lowered for word in _TELLTALES):
            return _CREDENTIALS.sub(_keep_name, text)
        return text


def secrets_of(token: str, headers: Mapping[str, str], *, all_headers: bool = False) -> set[str]:
    """The secret values of a target. `all_headers`: every header value is one, whatever its name."""
    values = {value for name, value in headers.items() if all_headers or _SENSITIVE_HEADER.search(name)}
    # "Bearer abc" hides "abc" too.
    return {token} | values | {value.rpartition(" ")[2] for value in values}


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}


def _keep_name(match: re.Match[str]) -> str:
    return (match["header"] or match["scheme"] or match["field"] or "") + _HIDDEN


_Row = tuple[int, int, str, str, str | bytes]


class Transcript:
    """Keeps the first and the last frames. Text is cut when recorded, so that a flood costs nothing."""

    __slots__ = ("_head", "_skipped", "_tail")

    def __init__(self) -> None:
        self._head: list[_Row] = []
        self._tail: deque[_Row] = deque(maxlen=_TAIL)
        self._skipped = 0

    def note(self, at: int, seen: int, direction: str, kind: str, text: str | bytes) -> None:
        """Record a frame. `at` and `seen` in ns; `direction` "in" or "out". Bytes are read when somebody looks."""
        row = (at, seen, direction, kind, text if len(text) <= _KEPT_CHARS else text[:_KEPT_CHARS])
        if len(self._head) < _HEAD:
            self._head.append(row)
            return
        if len(self._tail) == _TAIL:
            self._skipped += 1
        self._tail.append(row)

    def frames(self, started: int, redact: Redactor, max_chars: int, *, kernel: bool) -> tuple[Frame, ...]:
        """The redacted frames, `max_chars` in all; `kernel` chooses the clock."""
        rows = list(self._head)
        if self._skipped:
            rows.append((*self._tail[0][:2], "in", "note", f"{self._skipped} frames left out"))
        frames = []
        for at, seen, direction, kind, text in (*rows, *self._tail):
            read = text if isinstance(text, str) else text.decode(errors="backslashreplace").rstrip()
            shown = _shorten(read, redact, min(_FRAME_CHARS, max_chars), cut=len(text) >= _KEPT_CHARS)
            max_chars -= len(shown)
            frames.append(Frame(((at if kernel else seen) - started) // 1000, direction, kind, shown))
        return tuple(frames)


def _shorten(text: str, redact: Redactor, limit: int, *, cut: bool) -> str:
    """Redact first, shorten afterwards; what the recording cut may end in half a secret, so its end goes."""
    shown = redact(text)
    if cut and redact.longest:
        shown = shown[: -redact.longest]
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"[:limit]
