"""Flags from any server that speaks the OpenFeature Remote Evaluation Protocol: flagd, Flipt, GO Feature Flag, others.

The server evaluates, not the gate: one bulk evaluation for the whole process, with the instance's name as
`targetingKey`. So a percentage there is one of instances, not of connections: see docs/flags.md. It is asked again when
its event stream says so, every `poll_every_s`, and after every reconnect; `ETag` makes that cheap. It takes no reports.
"""

import json
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from connections.gate.ofrep_answer import read_answer
from connections.gate.ofrep_streams import Heard, Streams
from connections.gate.source import Source, Times, body_of
from connections.gate.version import VERSION

logger = logging.getLogger("readywire.flags")

BULK = "/ofrep/v1/evaluate/flags"


class OfrepSource(Source):
    """Flags that the OFREP server at `url` evaluates for `instance`.

    `key` is sent as `Authorization: Bearer` ("" sends none), `headers` as they are (an `X-API-Key`, a namespace),
    `context` beside the `targetingKey`; all of them only to the server's own origin. `cache_path` is the file of the
    last known good. Times are seconds: `poll_every_s` between two requests where no event stream says that anything
    changed; `quiet_after_s` without a byte ends a stream, which is then opened again. A server's `Retry-After` is
    obeyed up to ten minutes. Raises InvalidSource for an argument that cannot be.
    """

    def __init__(
        self,
        url: str,
        key: str,
        instance: str,
        cache_path: Path | str | None = None,
        *,
        context: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        poll_every_s: float = 30.0,
        timeout_s: float = 5.0,
        quiet_after_s: float = 120.0,
        retry_first_s: float = 0.5,
        retry_most_s: float = 30.0,
    ) -> None:
        self._context = {**(context or {}), "targetingKey": instance}
        self._extra = dict(headers or {})
        self._poll_every_s = poll_every_s
        self._announced: tuple[str, ...] | None = None
        self._problems: tuple[str, ...] = ()
        evaluated_for = json.dumps([self._context, self._extra], sort_keys=True, default=str)
        times = Times(timeout_s, quiet_after_s, retry_first_s, retry_most_s)
        super().__init__(url, key, instance, cache_path, times, bound_to=f"ofrep {evaluated_for}")

    _key_cure = "check the key that is sent to it"

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"User-Agent": f"readywire/{VERSION}", **key, **self._extra}

    async def _cycle(self, client: httpx.AsyncClient) -> None:
        streams = Streams(client, self._url, self._times)
        try:
            while True:
                await self._evaluate(client, streams.heard())
                self._say("")
                streams.follow(self._announced or ())
                await streams.wait(self._poll_every_s * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, no secret
        finally:
            await streams.close()

    async def _evaluate(self, client: httpx.AsyncClient, heard: Heard) -> None:
        """Ask, and hold what is answered."""
        # The first answer of a process is read whole: an ETag from the disk would hide the streams it announces.
        conditional = self._snapshot.etag and self._announced is not None and not heard.anew
        async with self._asking(
            client,
            "POST",
            BULK,
            json={"context": self._context},
            params=heard.refetch.parameters,
            headers={"If-None-Match": self._snapshot.etag} if conditional else {},
        ) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return
            answer = read_answer(await body_of(response), etag=response.headers.get("etag", ""), url=self._url)
        self._announced = answer.streams
        self._hold(answer.snapshot)
        if answer.problems != self._problems:
            self._problems = answer.problems
            for problem in answer.problems:
                logger.warning("flags: the server cannot evaluate %s; the coded default is used", problem)
