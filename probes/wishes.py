"""Which residents are wanted at each location: written to Redis by the scheduler, read by every worker there.

A message in a location's queue would reach one of its workers; that a target was paused or edited concerns whichever
keeps its residents. So the wish is a value that all of them read.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from probes.engine.resident import Stay
from probes.engine.script import TargetSpec
from probes.leases import Resident
from probes.models import Location, Target
from probes.specification import message_of, read_message

FORGET_SECONDS = 60
"""A wish that nobody writes any more is forgotten after this time; beat has it written every five seconds."""


def key_of(location: str) -> str:
    """The Redis key that holds a location's wish."""
    return f"readywire:residents:{location}"


def offer(client: Redis) -> int:
    """Write the wish of every location, an empty one too; returns how many residents are wanted in all."""
    wanted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for target in Target.objects.filter(residents__gt=0, paused_by="").prefetch_related("locations").order_by("pk"):
        wish = {
            "target": message_of(target),
            "residents": target.residents,
            "hold_s": target.resident_hold_s,
            "every_s": target.resident_every_s,
        }
        for location in target.locations.all():
            wanted[location.key].append(wish)
    pipeline = client.pipeline(transaction=False)
    for key in Location.objects.values_list("key", flat=True):
        pipeline.set(key_of(key), json.dumps(wanted[key], separators=(",", ":")), ex=FORGET_SECONDS)
    pipeline.execute()
    return sum(wish["residents"] for wishes in wanted.values() for wish in wishes)


@dataclass(frozen=True, slots=True)
class Wish:
    """One target's residents, as its location's workers are to keep them."""

    message: Mapping[str, Any]
    stay: Stay
    residents: int = field(compare=False)
    """How many in all: more or fewer of them change nothing for those that stay."""

    def spec(self) -> TargetSpec:
        """The target's specification. Raises as `read_message` does."""
        return read_message(self.message)


def read_wishes(text: str) -> dict[Resident, Wish]:
    """Every resident that is wanted, by target and number. Raises KeyError, TypeError or ValueError on a text that
    `offer` did not write."""
    found: dict[Resident, Wish] = {}
    for each in json.loads(text):
        stay = Stay(float(each["hold_s"]), float(each["every_s"]))
        wish = Wish(each["target"], stay, int(each["residents"]))
        found |= {(each["target"]["target_id"], number): wish for number in range(wish.residents)}
    return found
