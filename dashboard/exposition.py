"""Prometheus's text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), pure.

Half a page of rules: a library would bring a registry of its own, and what is told here is read at each request.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from probes.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DELAY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds. What would begin later than a second is missed instead."""

Labels = Mapping[str, str]


@dataclass(slots=True)
class Family:
    """One metric with all its series. `kind`: gauge, counter or histogram."""

    name: str
    kind: str
    meaning: str
    samples: list[tuple[str, Labels, float]] = field(default_factory=list)
    """(suffix of the name, labels, value)."""

    def add(self, value: float | None, suffix: str = "", **labels: str) -> None:
        """Add one series; None is told as no series at all."""
        if value is not None:
            self.samples.append((suffix, labels, float(value)))

    def add_histogram(self, found: Histogram, bounds: Sequence[float], **labels: str) -> None:
        """Add a histogram of microseconds as cumulative buckets of seconds. Each of ours counts at its middle, so a
        bound is wrong by at most `histogram.RELATIVE_ERROR`."""
        bins = [((low + high) / 2e6, n) for low, high, n in found.bins() if not math.isinf(high)]
        for bound in bounds:
            self.add(sum(n for at, n in bins if at <= bound), "_bucket", **labels, le=f"{bound:g}")
        self.add(found.count, "_bucket", **labels, le="+Inf")
        self.add(sum(at * n for at, n in bins), "_sum", **labels)
        self.add(found.count, "_count", **labels)


def text(families: Iterable[Family]) -> str:
    """The families as Prometheus reads them; those without a series are told all the same."""
    return "".join(line + "\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    meaning = family.meaning.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {family.name} {meaning}"
    yield f"# TYPE {family.name} {family.kind}"
    for suffix, labels, value in family.samples:
        yield f"{family.name}{suffix}{_labels(labels)} {_number(value)}"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() else repr(value)
