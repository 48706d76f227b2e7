"""The lab's network: a bridge on this machine that connects every server.

No traffic leaves the machine: the bridge has no uplink, and servers have no default route. Registries listen only on
this machine's loopback. So that servers use the same address, one NAT rule on each side forwards their connections to
127.0.0.1 at the shared ports over the bridge to this machine's loopback.
"""

from __future__ import annotations

import socket
from pathlib import Path

from lab.place import SHARED_PORTS, Place
from lab.process import run

_PORTS = f"{SHARED_PORTS[0]}:{SHARED_PORTS[1]}"


def up(place: Place) -> None:
    if not exists(place):
        run("ip", "link", "add", place.bridge, "type", "bridge")
        run("ip", "address", "add", f"{place.address(1)}/24", "dev", place.bridge)
        run("ip", "link", "set", place.bridge, "up")
    Path(f"/proc/sys/net/ipv4/conf/{place.bridge}/route_localnet").write_text("1")
    rule = _rule(place)
    if rule not in run("iptables-save", "-t", "nat"):
        run("iptables", "-w", "-t", "nat", "-A", *rule.split()[1:])
    # Between servers: an engine on this machine drops forwarded traffic that it does not know.
    passes = f"-A FORWARD -i {place.bridge} -o {place.bridge} -j ACCEPT"
    if passes not in run("iptables-save", "-t", "filter"):
        run("iptables", "-w", "-I", *passes.split()[1:])


def exists(place: Place) -> bool:
    return interface(place.bridge)


def interface(name: str) -> bool:
    """Ask the kernel: in a network namespace, /sys may show a different network."""
    return name in (known for _, known in socket.if_nameindex())


def _rule(place: Place) -> str:
    """As iptables-save prints it."""
    return (
        f"-A PREROUTING -d {place.address(1)}/32 -i {place.bridge} -p tcp -m tcp --dport {_PORTS} "
        "-j DNAT --to-destination 127.0.0.1"
    )


def down(place: Place) -> None:
    """Remove the bridge, and each rule for this lab's interfaces."""
    for table in ("nat", "filter"):
        for line in run("iptables-save", "-t", table, check=False).splitlines():
            words = line.split()
            if words and words[0] == "-A" and {place.bridge, engine_bridge(place)} & set(words):
                run("iptables", "-w", "-t", table, "-D", *words[1:], check=False)
    for bridge in (place.bridge, engine_bridge(place)):
        if interface(bridge):
            run("ip", "link", "delete", bridge)


def engine_bridge(place: Place) -> str:
    """Create the bridge of the lab's own engine, which must not share docker0 with another engine."""
    return f"{place.bridge}e"


def plug(place: Place, pid: int, last: int) -> None:
    """Give the network namespace of `pid` an eth0 that ends at the lab's bridge.

    Its hardware address is derived from its IP address, so that clients of an earlier server there find the new one.
    """
    outside, hardware = _plug(place, last), f"02:63:70:6c:{place.number:02x}:{last:02x}"
    peer = ["peer", "name", "eth0", "address", hardware, "netns", str(pid)]
    run("ip", "link", "add", outside, "type", "veth", *peer)
    run("ip", "link", "set", outside, "master", place.bridge, "up")


def unplug(place: Place, last: int) -> None:
    """Remove a server's interface now; the kernel would do it some time after the namespace ended.

    New connections to the address get "no route to host" after three seconds, instead of no response while this machine
    still has the neighbour in its cache.
    """
    run("ip", "link", "delete", _plug(place, last), check=False)
    run("ip", "neighbour", "flush", "to", place.address(last), "dev", place.bridge, check=False)


def _plug(place: Place, last: int) -> str:
    return f"{place.bridge}v{last}"


def inside_commands(place: Place, last: int) -> list[list[str]]:
    """Return the commands that a server runs in its namespace once eth0 exists."""
    gateway, own = place.address(1), place.address(last)
    return [
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{own}/24", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        ["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"],
        ["iptables", "-w", "-t", "nat", "-A", "OUTPUT", "-d", "127.0.0.1", "-p", "tcp", "--dport", _PORTS,
         "-j", "DNAT", "--to-destination", gateway],
        ["iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", "127.0.0.1", "-d", gateway,
         "-j", "SNAT", "--to-source", own],
    ]  # fmt: skip
