"""The gate's figures, scraped over HTTP as Prometheus scrapes them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from connections.gate import Check, Priority, ReadinessGate
from connections.gate.metrics import PREFIX, GateMetrics
from dashboard.env import BASE_DIR
from tests.connections.gate.applications import Chat, next_json
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


class Scraped:
    """An exporter on a port of its own, and what it says."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._server, self._thread = start_http_server(0, addr="127.0.0.1", registry=registry)

    def __call__(self, name: str, **labels: str) -> float:
        """The value of one sample now; 0 where there is none."""
        answer = httpx.get(f"http://127.0.0.1:{self._server.server_port}/metrics", trust_env=False)
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                if sample.name == f"{PREFIX}_{name}" and sample.labels == labels:
                    return sample.value
        return 0.0

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextmanager
def scraped(gate: ReadinessGate) -> Iterator[Scraped]:
    registry = CollectorRegistry()
    metrics = GateMetrics(gate, registry)
    exporter = Scraped(registry)
    try:
        yield exporter
    finally:
        exporter.stop()
        metrics.close()


async def test_connections_by_state_and_the_signals_to_scale_on_follow_what_happens(ended: Records) -> None:
    chat = Chat("llm")
    gate = ReadinessGate(chat, required=["llm"])
    with serving(gate) as server, scraped(gate) as figure:
        async with connect(server.ws) as client:
            await await_until(lambda: chat.running == 1)
            assert figure("connections", state="service_dependency_check") == 1
            assert (figure("connections_open"), figure("setups_in_progress")) == (1, 1)
            await client.send("early")
            chat.set_up()
            await next_json(client)
            await await_until(lambda: figure("connections", state="processing_ready") == 1)
            assert (figure("connections_open"), figure("setups_in_progress")) == (1, 0)
            await next_json(client)
        ended()
        assert (figure("connections_open"), figure("connections", state="processing_ready")) == (0, 0)
        assert figure("connections_ended_total", strategy="dependency_gate", cause="client_closed") == 1
        assert figure("state_seconds_count", state="service_dependency_check") == 1
        assert figure("held_seconds_count", strategy="dependency_gate") == 1
        assert figure("race_patterns_total", pattern="early_message_held") == 1
        assert figure("messages_total", direction="from_client", outcome="delivered") == 1


async def test_clients_that_left_evictions_and_checks_are_counted(ended: Records) -> None:
    async def well() -> None:
        return

    chat = Chat("llm")
    gate = ReadinessGate(
        chat,
        required=["llm"],
        max_held=2,
        priority_of=lambda message: Priority.LOW if message["text"] == "typing" else Priority.CRITICAL,
        checks=[Check("cache", well)],
    )
    with serving(gate) as server, scraped(gate) as figure:
        async with connect(server.ws) as client:
            for text in ("typing", "typing", "hello", "again"):
                await client.send(text)
            await (await client.ping())
        (record,) = ended()
        assert record["messages"]["evicted"] == 2
        assert figure("messages_total", direction="from_client", outcome="evicted") == 2
        assert figure("connections_ended_total", strategy="dependency_gate", cause="client_gone") == 1
        assert figure("race_patterns_total", pattern="client_gone_during_setup") == 1
        assert figure("check_seconds_count", check="cache", ok="true") == 1


async def test_two_gates_do_not_count_into_one_another() -> None:
    registry = CollectorRegistry()
    metrics = GateMetrics(ReadinessGate(Chat()), registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        GateMetrics(ReadinessGate(Chat()), registry)
    metrics.close()
    GateMetrics(ReadinessGate(Chat()), registry).close()


def test_every_figure_is_in_the_documentation() -> None:
    registry = CollectorRegistry()
    GateMetrics(ReadinessGate(Chat()), registry)
    kinds = {"counter": "_total"}
    names = {family.name + kinds.get(family.type, "") for family in registry.collect()}
    assert set(re.findall(rf"`({PREFIX}_\w+)`", (BASE_DIR / "docs" / "gate.md").read_text())) == names


def test_the_gate_is_imported_without_the_metrics_and_their_library() -> None:
    """A server that wants no figures needs no library for them; one that does is told what to install."""
    program = "import sys; sys.modules['prometheus_client'] = None; import connections.gate; print('imported')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n", done.stderr
    program += "; import connections.gate.metrics"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "needs prometheus-client: install readywire[prometheus]" in done.stderr
    program = "import sys, connections.gate; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
