"""The official JavaScript OpenFeature clients read and follow flags of the running product."""

from collections.abc import Callable

from tests.dashboard.api.conftest import Web
from tests.support.node_clients import Following, run


def test_the_server_client_reads_flags(web: Web) -> None:
    details = run(
        "read_flags.mjs",
        web.url,
        web.key("production"),
        "string:readiness-strategy",
        "boolean:client-ack",
        "object:readiness-parameters",
        "string:absent",
        "string:a/b",
    )
    strategy = details["readiness-strategy"]
    assert (strategy["value"], strategy["variant"], strategy["reason"]) == (
        "dependency_gate",
        "dependency_gate",
        "STATIC",
    )
    assert strategy["flagMetadata"]["safeVariant"] == "dependency_gate"
    assert details["client-ack"]["value"] is True
    assert details["readiness-parameters"]["value"]["fixed_delay"] == {"milliseconds": 100}
    for key in ("absent", "a/b"):
        assert (details[key]["value"], details[key]["errorCode"]) == ("fallback", "FLAG_NOT_FOUND")


def test_the_server_client_is_refused_with_its_default(web: Web) -> None:
    details = run("read_flags.mjs", web.url, "rws_wrong", "boolean:client-ack")
    assert (details["client-ack"]["value"], details["client-ack"]["reason"]) == (False, "ERROR")


def test_the_web_client_follows_changes_by_the_announced_stream(own_web: Callable[..., Web]) -> None:
    """It polls nothing: every new value came because the stream said so. The last change happens while the server is
    down; the client only hears of it because the current event is replayed when it connects again."""
    web = own_web()
    with Following("follow_flag.mjs", web.url, web.key("staging"), "readiness-strategy") as client:
        assert client.next_value("dependency_gate")["why"] == "first"
        web.serve_strategy("staging", "immediate")
        assert client.next_value("immediate")["why"] == "changed"
        web.daphne.kill()
        web.serve_strategy("staging", "fixed_delay")
        web.daphne.restart()
        assert client.next_value("fixed_delay")["why"] == "changed"
