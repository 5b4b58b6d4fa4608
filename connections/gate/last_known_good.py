"""The last definitions that a flag server gave, on disk: what a restarted server uses while the flag server is down."""

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from connections.gate.errors import DefinitionsInvalid
from connections.gate.selection import Snapshot

logger = logging.getLogger("readywire.flags")


def parse(body: Any, *, etag: str, origin: str, numbered: bool = True) -> Snapshot:
    """Definitions as the flag server sends them: {"environment", "revision", "flags": {key: definition}}. `numbered`:
    there must be a revision.

    Raises DefinitionsInvalid naming the field.
    """
    if not isinstance(body, dict):
        raise DefinitionsInvalid("the definitions are not a JSON object")
    revision, flags, environment = body.get("revision"), body.get("flags"), body.get("environment", "")
    unnumbered = revision is None and not numbered
    if not unnumbered and (isinstance(revision, bool) or not isinstance(revision, int) or revision < 0):
        raise DefinitionsInvalid(f"revision: {revision!r} is not a whole number")
    if not isinstance(environment, str):
        raise DefinitionsInvalid(f"environment: {environment!r} is not text")
    if not isinstance(flags, dict) or not all(isinstance(definition, dict) for definition in flags.values()):
        raise DefinitionsInvalid("flags: not an object of definitions")
    return Snapshot(flags, revision, environment, etag, origin)


class LastKnownGood:
    """One file. It is bound to its `origin`, the flag server and key it came from: another environment's flags are
    never used. The origin is kept as a hash."""

    def __init__(self, path: Path, origin: str) -> None:
        self._path = path
        self._source = hashlib.sha256(origin.encode()).hexdigest()

    def load(self) -> Snapshot | None:
        """What was saved, or None (and one log line) where there is no such file or it cannot be used."""
        try:
            saved = json.loads(self._path.read_bytes())
            if not isinstance(saved, dict) or saved.get("source") != self._source:
                raise DefinitionsInvalid("it is of another flag server or key")
            return parse(saved.get("definitions"), etag=str(saved.get("etag", "")), origin="disk", numbered=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, DefinitionsInvalid) as error:
            logger.warning("the last known good flags in %s are ignored: %s", self._path, error)
            return None

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file in one step: readers see the old or the new one. A full disk is logged, never raised."""
        definitions = {"environment": snapshot.environment, "revision": snapshot.revision, "flags": snapshot.flags}
        content = json.dumps({"source": self._source, "etag": snapshot.etag, "definitions": definitions})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._path.parent, prefix=self._path.name, suffix=".new", delete=False, encoding="utf-8"
            ) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(self._path)
        except OSError as error:
            logger.warning("the last known good flags could not be saved to %s: %s", self._path, error)
