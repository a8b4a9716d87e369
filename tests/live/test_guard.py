"""The guard limits interfaces, addresses and the number of packets."""

import pytest

from labkit.errors import LinkError, UsageError
from labkit.live.guard import Guard, networks


@pytest.mark.parametrize(
    "address", ["192.0.2.10", "198.51.100.7", "203.0.113.255", "127.0.0.1", "::1", "2001:db8::1", "2001:db8:ffff::1"]
)
def test_addresses_of_the_lab_are_allowed(address: str) -> None:
    Guard().check_addresses([address])


@pytest.mark.parametrize(
    "address", ["192.0.3.1", "10.0.0.1", "8.8.8.8", "2001:db9::1", "::", "224.0.0.1", "255.255.255.255"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(LinkError, match=f"{address}.*--allow-network {address}/(32|128)"):
        Guard().check_addresses(["192.0.2.1", address])
    Guard(networks=networks([address])).check_addresses([address])


def test_a_malformed_network_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'10\.0\.0\.0/99' is not a network"):
        networks(["10.0.0.0/99"])


def test_packets_are_counted() -> None:
    guard = Guard(packets=2)
    guard.count_packet()
    guard.count_packet()
    with pytest.raises(LinkError, match="the run has sent 2 packets"):
        guard.count_packet()
    assert guard.sent == 2


@pytest.mark.parametrize(
    ("name", "driver", "loopback", "reason"),
    [
        ("labkit-client", "veth", False, ""),
        ("labkit-to-s", "veth", False, ""),
        ("x0", "", True, ""),
        ("x0", "e1000", False, "the driver is e1000"),
        ("x0", "", False, "the driver is unknown"),
        ("labkit-client", "e1000", False, "the driver is e1000"),
        ("eth0", "veth", False, "labkit did not make this veth"),  # a container's
    ],
)
def test_only_loopback_and_the_veth_interfaces_of_the_lab_are_allowed(
    name: str, driver: str, loopback: bool, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.live.ethtool.driver", lambda _: driver)
    monkeypatch.setattr("labkit.live.ethtool.is_loopback", lambda _: loopback)
    if not reason:
        Guard().check_interface(name)
        return
    with pytest.raises(LinkError, match=rf"{name}: {reason}; .*--allow-interface {name}"):
        Guard().check_interface(name)
    Guard(frozenset({name})).check_interface(name)
