"""What the settings let a probe dial: scheduled ones little, those run by hand what their person could dial anyway."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from dashboard.env import BASE_DIR, SettingError, read
from probes.bounds import by_hand_policy, limits, refused, scheduled_policy
from probes.engine.guardrails import Limits, allowances

HERE = ("127.0.0.1", 9)


def test_a_worker_dials_public_addresses_and_the_reference_services() -> None:
    """The embedded default."""
    policy = scheduled_policy()
    assert policy.denial("93.184.216.34", 443) is None
    assert policy.denial("127.0.0.1", 8101) is None
    assert policy.denial("127.0.0.1", 8102) is None
    assert policy.denial(*HERE) is not None
    assert policy.denial("10.0.0.1", 443) is not None


def test_settings_allow_some_private_addresses_or_all(settings: Settings) -> None:
    settings.PROBE_ALLOW = allowances("10.0.0.0/8")
    assert scheduled_policy().denial("10.0.0.1", 443) is None
    assert scheduled_policy().denial("192.168.0.1", 443) is not None
    settings.PROBE_ALLOW_PRIVATE = True
    assert scheduled_policy().denial("192.168.0.1", 443) is None
    assert scheduled_policy().denial("169.254.169.254", 80) is not None


def test_a_probe_by_hand_dials_private_addresses_but_never_metadata() -> None:
    assert by_hand_policy().denial(*HERE) is None
    assert by_hand_policy().denial("10.0.0.1", 443) is None
    assert by_hand_policy().denial("169.254.169.254", 80) is not None


@pytest.mark.parametrize(
    ("environ", "kind"), [({}, "connect_refused"), ({"PROBE_ALLOW_PRIVATE": "0"}, "policy_denied")]
)
def test_only_a_spoken_no_keeps_a_probe_by_hand_from_this_machine(
    environ: dict[str, str], kind: str, tmp_path: Path
) -> None:
    """As a person runs it, from the environment on."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("PROBE_")}
    done = subprocess.run(
        [sys.executable, "manage.py", "probe", "ws://127.0.0.1:1/"],
        env={**base, "DATA_DIR": str(tmp_path), **environ},
        cwd=BASE_DIR, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert kind in done.stdout
    assert ("PROBE_ALLOW" in done.stdout) is (kind == "policy_denied")


def test_an_allowance_that_cannot_be_used_names_its_setting() -> None:
    with pytest.raises(SettingError, match=r"PROBE_ALLOW='chat\.internal'"):
        read({"PROBE_ALLOW": "chat.internal", "SECRET_KEY": "x", "DATA_DIR": "/nonexistent"})


@pytest.mark.parametrize(
    ("url", "address", "told"),
    [
        ("ws://10.0.0.1/", "", "10.0.0.1 is a private address"),
        ("wss://[::1]:9/", "", "::1 is a loopback address"),
        ("ws://localhost:9/", "", "127.0.0.1 is a loopback address"),
        ("ws://api.localhost./", "", "loopback"),
        ("ws://169.254.169.254/", "", "metadata"),
        ("wss://chat.example/", "10.0.0.1:8443", "10.0.0.1 is a private address"),
        ("wss://10.0.0.1/", "93.184.216.34", ""),
        ("ws://127.0.0.1:8101/ws/chat", "", ""),
        ("wss://chat.example/", "", ""),
        ("nonsense", "", ""),
        ("wss://chat.example/", "not an address", ""),
    ],
)
def test_what_an_address_says_of_itself_is_judged_before_it_is_dialled(url: str, address: str, told: str) -> None:
    """A name's addresses are the worker's to find."""
    said = refused(url, address)
    assert told in said
    assert bool(said) is bool(told)


def test_the_settings_defaults_are_the_engines_own() -> None:
    """One documented default, in two rooms."""
    assert limits() == Limits()


def test_each_limit_is_its_own_setting(settings: Settings) -> None:
    settings.PROBE_MAX_HEADER_BYTES = 1
    settings.PROBE_MAX_MESSAGE_BYTES = 2
    settings.PROBE_MAX_TOTAL_BYTES = 3
    settings.PROBE_MAX_FRAMES = 4
    settings.TRANSCRIPT_BYTES = 5
    settings.PROBE_SETTLE_MILLISECONDS = 6
    settings.PROBE_LINGER_MILLISECONDS = 7
    assert limits() == Limits(1, 2, 3, 4, 5, 0.006, 0.007)
