"""compose.yaml, the image and `make serve` run the same processes."""

import yaml

from dashboard import processes
from dashboard.env import BASE_DIR

COMPOSE = yaml.safe_load((BASE_DIR / "compose.yaml").read_text())


def test_compose_runs_every_process_of_the_table_through_the_run_command() -> None:
    ours = {name: row["command"][0] for name, row in COMPOSE["services"].items() if row.get("image") == "readywire"}
    assert ours == {name: name for name in ("migrate", "web", "worker", "scheduler", "beat", "recorder")}


def test_the_image_starts_the_run_command_without_root_and_tells_its_health() -> None:
    lines = (BASE_DIR / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "manage.py", "run"]' in lines
    assert "USER 10001" in lines
    assert "HEALTHCHECK" in lines


def test_a_workers_queue_is_its_location() -> None:
    arguments = processes.worker("frankfurt").arguments
    assert arguments[arguments.index("--queues") + 1] == "probes-frankfurt"


def test_workers_of_one_machine_share_a_queue_and_have_names_of_their_own() -> None:
    """The supervisor keeps processes by name, and Celery wants each node's to be unique."""
    commands = [processes.worker("local", number) for number in (1, 2, 3)]
    assert [command.name for command in commands] == ["worker", "worker-2", "worker-3"]
    for option, different in (("--queues", 1), ("--hostname", 3)):
        values = {command.arguments[command.arguments.index(option) + 1] for command in commands}
        assert len(values) == different


def test_no_process_carries_a_secret_on_its_command_line() -> None:
    command = processes.reference(
        "staging", 1, readywire_url="http://127.0.0.1:1", key="rws_secret", cache="x", control_token="rwc_secret"
    )
    assert "_secret" not in " ".join(command.arguments)
    assert command.environment["READYWIRE_KEY"] == "rws_secret"
    assert command.environment["READYWIRE_CONTROL_TOKEN"] == "rwc_secret"
