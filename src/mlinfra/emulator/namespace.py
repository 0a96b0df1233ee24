"""A network of this process's own, in which every packet that would leave the machine is seen and goes nowhere.

Linux alone has it. Everything goes out of a dummy interface; name servers are behind it as well, so that a mere
look-up of a name is seen. All that is started afterwards lives in the same network.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mlinfra.emulator import netlink
from mlinfra.errors import CapabilityError

_NEW_MOUNTS, _NEW_USERS, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000  # unshare(2)
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000  # mount(2)
_KINDS = ("dummy", "veth")  # the second swallows as well, where the kernel lacks the first
_NAME = "outside"
_NAME_SERVER = "198.51.100.53"  # TEST-NET-2, RFC 5737: belongs to nobody
_ALL_PROTOCOLS = 0x3
_OUTGOING = 4  # PACKET_OUTGOING, packet(7)
_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_IGMP, _ICMPV6, _HOP_BY_HOP = 2, 58, 0
_WITH_PORTS = {6: "tcp", 17: "udp"}
_PATIENCE = 0.2  # s for packets on their way to be seen


class Packet(NamedTuple):
    """One packet that tried to leave: `tcp 169.254.169.254:80`."""

    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.address}:{self.port}"


class Outside:
    """Watches the interface through which everything would leave."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        self._socket.bind((_NAME, _ALL_PROTOCOLS))
        self._socket.settimeout(_PATIENCE)
        self._seen: list[Packet] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="outside", daemon=True)
        self._thread.start()

    def close(self) -> list[Packet]:
        """End watching and return every packet seen; the kernel's own talk with its neighbours does not count."""
        self._ending.set()
        self._thread.join()
        self._socket.close()
        return self._seen

    def _watch(self) -> None:
        while True:
            try:
                data, (_, protocol, direction, *_) = self._socket.recvfrom(65536)
            except TimeoutError:
                if self._ending.is_set():
                    return
                continue
            if direction == _OUTGOING and (packet := read(protocol, data)):
                self._seen.append(packet)


def enter() -> Outside:
    """Move this process into a network of its own. Call it before any thread is started; there is no way back.

    Raises:
        CapabilityError: this machine refuses; says at which step and why.
    """
    if sys.platform != "linux":
        raise CapabilityError("private networks are Linux's alone", given=sys.platform, todo="run this on Linux")
    step = "a network namespace"
    try:
        _unshare()
        step = "a dummy interface"
        _connect()
        step = "name servers of its own"
        _replace_name_servers()
        step = "seeing packets"
        return Outside()
    except OSError as exc:
        raise CapabilityError(
            f"this machine refuses {step}, so nothing can be proven here",
            given=exc.strerror or str(exc),
            todo="run it as root, or allow unprivileged user namespaces",
        ) from exc


def read(protocol: int, data: bytes) -> Packet | None:
    """A packet that somebody sent; None for what the kernel says to its neighbours about itself."""
    if protocol == _IPV4:
        kind, begin = data[9], (data[0] & 0xF) * 4
        return None if kind == _IGMP else _packet(kind, socket.inet_ntop(socket.AF_INET, data[16:20]), data[begin:])
    if protocol == _IPV6:
        kind = data[6]
        if kind in {_ICMPV6, _HOP_BY_HOP}:  # neighbour discovery and multicast reports
            return None
        return _packet(kind, socket.inet_ntop(socket.AF_INET6, data[24:40]), data[40:])
    return Packet("arp" if protocol == _ARP else f"ethertype {protocol:#06x}", "", 0)


def _packet(kind: int, address: str, payload: bytes) -> Packet:
    name = _WITH_PORTS.get(kind)
    port = struct.unpack_from("!H", payload, 2)[0] if name and len(payload) >= 4 else 0  # noqa: PLR2004  both ports
    return Packet(name or f"protocol {kind}", address, port)


def _unshare() -> None:
    user, group = os.getuid(), os.getgid()
    flags = _NEW_NETWORK | _NEW_MOUNTS
    if user:
        flags |= _NEW_USERS
    _check(_libc().unshare(flags))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _connect() -> None:
    netlink.set_up("lo")
    _add_first(_KINDS)
    netlink.set_up(_NAME, resolve=False)
    netlink.add_address(_NAME, "198.51.100.1", 24)
    netlink.add_default_route(_NAME, socket.AF_INET)
    with suppress(OSError):  # a kernel without IPv6 sends none
        netlink.add_address(_NAME, "2001:db8::1", 64)
        netlink.add_default_route(_NAME, socket.AF_INET6)


def _add_first(kinds: tuple[str, ...]) -> None:
    *others, last = kinds
    for kind in others:
        with suppress(OSError):
            netlink.add_link(_NAME, kind)
            return
    netlink.add_link(_NAME, last)
    netlink.set_up(f"{last}0")  # its other end, which the kernel names


def _replace_name_servers() -> None:
    """Let look-ups go where they are seen: a name server on loopback would hide them."""
    mount = _libc().mount
    _check(mount(None, b"/", None, _RECURSIVE | _PRIVATE, None))
    settings = Path("/etc/resolv.conf")
    if not settings.exists():
        return
    with tempfile.NamedTemporaryFile("w", prefix="resolv-") as ours:  # a mounted file outlives its name
        ours.write(f"nameserver {_NAME_SERVER}\noptions timeout:1 attempts:1\n")
        ours.flush()
        Path(ours.name).chmod(0o644)
        _check(mount(ours.name.encode(), bytes(settings.resolve()), None, _BIND, None))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
