"""Which addresses may be dialled."""

import pytest

from probes.engine.guardrails import Policy, allowances

PUBLIC = ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"]
PRIVATE = [
    "10.0.0.1",
    "172.16.5.5",
    "192.168.1.1",
    "fd12::1",
    "100.64.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
]
PRIVATE += ["64:ff9b:1::a00:1", "::10.0.0.1", "::ffff:0:10.0.0.1", "fec0::1", "198.18.0.1", "240.0.0.1", "2001:db8::1"]
LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]  # noqa: S104 - refused, not bound
NEVER = ["169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "224.0.0.1", "ff02::1"]
NEVER += ["168.63.129.16", "192.0.0.192", "fd20:ce::254", "100.100.100.200", "::ffff:169.254.169.254"]
NEVER += ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::169.254.169.254"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_always_allowed(address: str) -> None:
    """Whatever the setting."""
    assert Policy().denial(address, 443) is None


@pytest.mark.parametrize("address", [*PRIVATE, *LOOPBACK])
def test_private_and_loopback_addresses_need_the_setting(address: str) -> None:
    """Also where an IPv6 address only wraps an IPv4 one; the refusal names the setting."""
    assert "PROBE_ALLOW_PRIVATE" in (Policy().denial(address, 443) or "")
    assert Policy(allow_private=True).denial(address, 443) is None


@pytest.mark.parametrize("address", NEVER)
def test_metadata_link_local_and_multicast_are_never_dialled(address: str) -> None:
    """No setting opens them."""
    assert Policy(allow_private=True).denial(address, 80) is not None


def test_loopback_may_be_allowed_for_some_ports_alone() -> None:
    """The reference services' ports."""
    policy = Policy(loopback_ports=frozenset({8101}))
    assert policy.denial("127.0.0.1", 8101) is None
    assert policy.denial("127.0.0.1", 22) is not None
    assert policy.denial("10.0.0.1", 8101) is not None


def test_single_networks_addresses_and_ports_may_be_allowed() -> None:
    """What is not named stays refused, and IPv6 that wraps IPv4 is judged by what it wraps."""
    policy = Policy(allowed=allowances("10.1.0.0/16, 192.168.7.20:8443,[fd12::1]:443, ::1, 127.0.0.1:9000"))
    dialled = [("10.1.2.3", 80), ("::ffff:10.1.2.3", 80), ("192.168.7.20", 8443), ("fd12::1", 443), ("::1", 1)]
    assert [policy.denial(*each) for each in [*dialled, ("127.0.0.1", 9000)]] == [None] * 6
    refused = [("10.2.0.1", 80), ("192.168.7.20", 443), ("fd12::1", 80), ("fd12::2", 443), ("127.0.0.1", 9001)]
    assert all("PROBE_ALLOW" in (policy.denial(*each) or "") for each in refused)


def test_no_allowance_opens_metadata_and_link_local_addresses() -> None:
    """Not even the whole of IPv4."""
    policy = Policy(allowed=allowances("0.0.0.0/0, ::/0"))
    assert policy.denial("10.0.0.1", 80) is None
    assert all(policy.denial(address, 80) for address in NEVER)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chat.internal", "neither a network nor an address"),
        ("10.0.0.1/8", "host bits"),
        ("10.0.0.1:0", "names no port"),
        ("10.0.0.1:http", "names no port"),
        ("[::1", "neither a network nor an address"),
        ("169.254.0.0/16", "never"),
        ("169.254.169.254", "never"),
        ("fd00:ec2::254", "never"),
    ],
)
def test_an_allowance_that_cannot_be_used_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        allowances(text)


def test_nothing_allowed_is_no_allowance() -> None:
    assert allowances(" , ") == ()
