"""The gate's figures for Prometheus. Optional: `pip install readywire[prometheus]`, then once per gate

    from connections.gate.metrics import GateMetrics
    GateMetrics(gate)

and they are in the server's own registry, scraped with everything else. Nothing is counted per message: gauges are read
at the scrape, histograms and counters are fed when a connection ends. docs/gate.md lists the names.
"""

from collections.abc import Iterable

from connections.gate.dependencies import CheckResult
from connections.gate.lifecycle import SETUP_PATH, State
from connections.gate.middleware import ReadinessGate
from connections.gate.patterns import RacePattern
from connections.gate.registry import Registry
from connections.gate.telemetry import ConnectionRecord

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "connections.gate.metrics needs prometheus-client: install readywire[prometheus]", name="prometheus_client"
    ) from error

PREFIX = "readywire_gate"

SETUP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 30.0)
"""Seconds. The deadlines of the setup are among them, so that what ran into one stands out."""

STATE_BUCKETS = (*SETUP_BUCKETS, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""Seconds. An open state lasts as long as its connection."""

_IN_SETUP = (State.CONNECTING, *SETUP_PATH)
_OPEN = (*SETUP_PATH, State.PROCESSING_READY, State.GRACEFUL_DEGRADATION, State.DRAINING)
_OUTCOMES = ("delivered", "evicted", "expired", "refused", "held")


class _Now(Collector):
    """What is read at the scrape."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[GaugeMetricFamily]:
        counts = self._registry.by_state()
        by_state = GaugeMetricFamily(f"{PREFIX}_connections", "Connections in each state now.", labels=["state"])
        for state, count in counts.items():
            by_state.add_metric([state.value], count)
        yield by_state
        yield GaugeMetricFamily(
            f"{PREFIX}_connections_open",
            "Connections accepted by the application and not ended: what the server carries. Scale out on it.",
            value=sum(counts[state] for state in _OPEN),
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_setups_in_progress",
            "Connections offered and not ready yet. Scale out on it: it grows before anything fails.",
            value=sum(counts[state] for state in _IN_SETUP),
        )


class GateMetrics:
    """The figures of one gate, in `registry` from now on. Raises ValueError where that holds another gate's already:
    give each gate a registry of its own."""

    def __init__(self, gate: ReadinessGate, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._ended = Counter(
            f"{PREFIX}_connections_ended", "Connections that ended.", ["strategy", "cause"], registry=registry
        )
        self._races = Counter(f"{PREFIX}_race_patterns", "Race patterns seen.", ["pattern"], registry=registry)
        self._messages = Counter(
            f"{PREFIX}_messages", "Messages, by what became of them.", ["direction", "outcome"], registry=registry
        )
        self._states = Histogram(
            f"{PREFIX}_state_seconds", "Time in each state.", ["state"], buckets=STATE_BUCKETS, registry=registry
        )
        self._held = Histogram(
            f"{PREFIX}_held_seconds", "From accept until messages could flow.", ["strategy"], buckets=SETUP_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._checks = Histogram(
            f"{PREFIX}_check_seconds", "Runs of dependency checks.", ["check", "ok"], buckets=SETUP_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._now = _Now(gate.registry)
        registry.register(self._now)
        self._stops = (
            gate.listen_to_records(self._on_record),
            gate.listen_to_races(self._on_race),
            gate.listen_to_checks(self._on_check),
        )

    def close(self) -> None:
        """Count no more, and take the figures out of the registry."""
        for stop in self._stops:
            stop()
        for each in (self._ended, self._races, self._messages, self._states, self._held, self._checks, self._now):
            self._registry.unregister(each)

    def _on_record(self, record: ConnectionRecord) -> None:
        self._ended.labels(record.strategy, record.cause.value).inc()
        for state, milliseconds in record.states_ms.items():
            self._states.labels(state).observe(milliseconds / 1000)
        if record.held_ms is not None:
            self._held.labels(record.strategy).observe(record.held_ms / 1000)
        for direction, counts in (("from_client", record.messages), ("to_client", record.queued)):
            for outcome in _OUTCOMES:
                if count := getattr(counts, outcome):
                    self._messages.labels(direction, outcome).inc(count)
        if record.undelivered:
            self._messages.labels("to_client", "undelivered").inc(record.undelivered)

    def _on_race(self, race: RacePattern) -> None:
        self._races.labels(race.pattern.value).inc()

    def _on_check(self, result: CheckResult) -> None:
        self._checks.labels(result.name, "true" if result.ok else "false").observe(result.seconds)
