"""Which flags could be removed, and why."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connections.flags.staleness import Known, StaleFlag, everybodys_variant, stale_flags

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=30)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def flag(**more: Any) -> dict[str, Any]:
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on", **more}


def told(
    body: dict[str, Any],
    defined: float = 100,
    changed: float = 100,
    evaluated: float | None = 1,
    key: str = "f",
    counting: float | None = 200,
) -> list[StaleFlag]:
    known = {key: Known(ago(defined), ago(changed), None if evaluated is None else ago(evaluated))}
    since = None if counting is None else ago(counting)
    return stale_flags({key: body}, known, now=NOW, after=MONTH, counting_since=since)


RULED = flag(targeting={"if": [{"var": "beta"}, "on", "off"]})


@pytest.mark.parametrize(
    ("body", "when", "why"),
    [
        (RULED, {}, []),
        (RULED, {"evaluated": 31}, ["not evaluated for 31 days"]),
        (RULED, {"evaluated": 30}, []),
        (RULED, {"evaluated": None}, ["never evaluated in 100 days"]),
        (RULED, {"evaluated": None, "counting": 40}, ["never evaluated in 40 days"]),
        (RULED, {"evaluated": None, "counting": 10}, []),
        (RULED, {"evaluated": None, "counting": None}, []),
        (RULED, {"evaluated": None, "defined": 10}, []),
        (flag(), {}, ["fully rolled out: everybody gets on, unchanged for 100 days"]),
        (flag(), {"changed": 29}, []),
        (flag(state="DISABLED"), {}, []),
        (flag(targeting={"fractional": [["on", 100], ["off", 0]]}), {"changed": 40}, [
            "fully rolled out: everybody gets on, unchanged for 40 days"
        ]),
        (flag(targeting={"fractional": [["on", 99], ["off", 1]]}), {}, []),
        (flag(), {"evaluated": 50}, [
            "not evaluated for 50 days", "fully rolled out: everybody gets on, unchanged for 100 days"
        ]),
        (flag(metadata={"permanent": True}), {"evaluated": 50}, []),
        (flag(), {"key": "client-ack", "evaluated": None}, []),
        (flag(metadata={"permanent": True, "removeBy": "2027-02-28"}), {}, ["was to be removed by 2027-02-28"]),
        (flag(metadata={"permanent": True, "removeBy": "2027-03-01"}), {}, []),
        (flag(metadata={"permanent": True, "removeBy": "soon"}), {}, []),
    ],
)  # fmt: skip
def test_each_reason_is_told(body: dict[str, Any], when: dict[str, Any], why: list[str]) -> None:
    found = told(body, **when)
    assert [reason for one in found for reason in one.why] == why


def test_those_past_their_date_come_first_with_their_owner() -> None:
    late = flag(metadata={"owner": "chat team", "removeBy": "2027-01-31"})
    known = {key: Known(ago(1), ago(1), None) for key in ("a", "z")} | {"m": Known(ago(90), ago(90), ago(1))}
    found = stale_flags({"m": flag(), "z": late, "a": flag()}, known, now=NOW, after=MONTH, counting_since=ago(90))
    assert [(one.key, one.owner, one.overdue) for one in found] == [("z", "chat team", True), ("m", "", False)]


def test_a_split_that_leaves_the_others_another_variant_is_not_everybodys() -> None:
    """Whoever has no targeting key gets the default."""
    assert everybodys_variant(flag(targeting={"fractional": [["off", 1], ["on", 0]]})) is None
    assert everybodys_variant(flag(targeting={"fractional": [{"var": "x"}, ["on", 1]]})) is None
