"""Which addresses may be dialled."""

import pytest

from probes.engine.guardrails import Policy

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
