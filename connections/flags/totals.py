"""What is new in a watched server's totals. Pure.

A server tells totals since its process began, so a report that is lost or comes twice changes nothing. What is new is
the difference to the same process's totals before; another process begins at 0.
"""

from collections.abc import Iterable, Mapping

Counts = Mapping[str, Mapping[str, int]]


def news(before: Counts, told: Counts, *, named: bool) -> dict[str, dict[str, int]]:
    """The counts that `told` adds to `before`: only those above 0.

    `named`: both are of one named process, whose counts only grow, so a smaller one is of a report that was overtaken.
    Of a process without a name, a count that fell tells that it began again at 0.
    """
    if not named and _fell(before, told):
        before = {}
    found: dict[str, dict[str, int]] = {}
    for group, counts in told.items():
        known = before.get(group, {})
        if added := {
            label: count - known.get(label, 0) for label, count in counts.items() if count > known.get(label, 0)
        }:
            found[group] = added
    return found


def kept(before: Counts, told: Counts, *, named: bool) -> dict[str, dict[str, int]]:
    """The totals to compare the next report with."""
    return added([before, news(before, told, named=True)]) if named else added([told])


def added(many: Iterable[Counts]) -> dict[str, dict[str, int]]:
    """The sum, count by count."""
    total: dict[str, dict[str, int]] = {}
    for one in many:
        for group, counts in one.items():
            sums = total.setdefault(group, {})
            for label, count in counts.items():
                sums[label] = sums.get(label, 0) + count
    return total


def _fell(before: Counts, told: Counts) -> bool:
    return any(
        told.get(group, {}).get(label, 0) < count for group, counts in before.items() for label, count in counts.items()
    )
