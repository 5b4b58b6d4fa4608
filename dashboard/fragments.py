"""The parts that answers are joined from, made once for each definition that is served.

Kept from one revision to the next: of 10,000 flags, a change makes the parts of one.
"""

from collections.abc import Mapping
from typing import Any

from connections.flags import ofrep
from connections.flags.evaluation import evaluate

Flags = Mapping[str, Mapping[str, Any]]


class Fragments:
    """Of one environment. Whoever asks with another object for a flag gets a part made from that object."""

    def __init__(self) -> None:
        self._definitions: dict[str, tuple[Mapping[str, Any], bytes]] = {}
        self._answers: dict[str, tuple[Mapping[str, Any], bytes]] = {}

    def definitions(self, served: Flags) -> bytes:
        """The JSON object of all definitions."""
        return b"{" + b",".join([self._definition(key, served[key]) for key in served]) + b"}"

    def answers(self, served: Flags) -> dict[str, bytes]:
        """The OFREP answers of the flags that are the same for everybody, by key."""
        return {key: self._answer(key, body) for key, body in served.items() if not body.get("targeting")}

    def forget(self, served: Flags) -> None:
        """Keep nothing of flags that are gone."""
        for kept in (self._definitions, self._answers):
            for key in kept.keys() - served.keys():
                del kept[key]

    def _definition(self, key: str, body: Mapping[str, Any]) -> bytes:
        made = self._definitions.get(key)
        if made is None or made[0] is not body:
            made = self._definitions[key] = (body, ofrep.dump(key) + b":" + ofrep.dump(body))
        return made[1]

    def _answer(self, key: str, body: Mapping[str, Any]) -> bytes:
        made = self._answers.get(key)
        if made is None or made[0] is not body:
            flags = {key: body}
            made = self._answers[key] = (body, ofrep.dump(ofrep.as_json(evaluate(flags, key, {}), flags)))
        return made[1]
