"""Who keeps which resident: a lease in Redis per resident, so that each runs once however many workers there are.

A worker that dies stops renewing, and its residents go to whoever asks next. A lease that Redis forgot is taken again
by the one who held it, unless another was faster.
"""

from collections.abc import Sequence
from typing import Any

from redis import Redis

_TAKE = """
local got = {}
for i, key in ipairs(KEYS) do
    if redis.call('SET', key, ARGV[1], 'NX', 'PX', ARGV[2]) then got[#got + 1] = i end
end
return got
"""
_RENEW = """
local lost = {}
for i, key in ipairs(KEYS) do
    local holder = redis.call('GET', key)
    if not holder or holder == ARGV[1] then
        redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    else
        lost[#lost + 1] = i
    end
end
return lost
"""
_RELEASE = """
for _, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""

Resident = tuple[int, int]
"""(target id, number)."""


class Leases:
    """The leases of one worker at one location. Raises RedisError where Redis does not answer."""

    def __init__(self, client: Redis, location: str, holder: str, seconds: float) -> None:
        self._prefix = f"readywire:resident:{location}"
        self._holder = holder
        self._milliseconds = int(seconds * 1000)
        self._take = client.register_script(_TAKE)
        self._renew = client.register_script(_RENEW)
        self._release = client.register_script(_RELEASE)

    def take(self, residents: Sequence[Resident]) -> list[Resident]:
        """Those that nobody keeps, now ours."""
        return self._chosen(self._take, residents)

    def renew(self, residents: Sequence[Resident]) -> list[Resident]:
        """Keep them; returns those that another has by now."""
        return self._chosen(self._renew, residents)

    def release(self, residents: Sequence[Resident]) -> None:
        """Give them up."""
        if residents:
            self._release(keys=self._keys(residents), args=[self._holder])

    def _chosen(self, script: Any, residents: Sequence[Resident]) -> list[Resident]:
        if not residents:
            return []
        places: Any = script(keys=self._keys(residents), args=[self._holder, self._milliseconds])
        return [residents[place - 1] for place in places]

    def _keys(self, residents: Sequence[Resident]) -> list[str]:
        return [f"{self._prefix}:{target_id}:{number}" for target_id, number in residents]
