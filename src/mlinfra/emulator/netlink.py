"""The few words of Linux's rtnetlink (rtnetlink(7)) that a private network needs; no machine need have `ip`."""

from __future__ import annotations

import os
import socket
import struct
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NEWLINK, _NEWADDR, _NEWROUTE, _ERROR = 16, 20, 24, 2
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_LINK_NAME, _LINK_INFO, _INFO_KIND = 3, 18, 1
_ADDRESS, _LOCAL, _ADDRESS_FLAGS, _NO_DAD = 1, 2, 8, 0x2
_ROUTE_OUT = 4
_TABLE_MAIN, _PROTOCOL_BOOT, _SCOPE_LINK, _SCOPE_ALL, _UNICAST = 254, 3, 253, 0, 1
_UP, _NO_ARP = 0x1, 0x80
_NUMBERS = count(1)


def add_link(name: str, kind: str) -> None:
    """Make an interface: `dummy`, `veth`, …. OSError where the kernel has no such kind or refuses."""
    info = _attribute(_LINK_INFO, _attribute(_INFO_KIND, kind.encode()))
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(_LINK_NAME, name.encode() + b"\0") + info
    _ask(_NEWLINK, _CREATE | _EXCLUSIVE, body)


def set_up(name: str, *, resolve: bool = True) -> None:
    """Bring an interface up; without `resolve` it sends to addresses on its link without asking where they are."""
    flags = _UP | (0 if resolve else _NO_ARP)
    _ask(_NEWLINK, 0, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(name), flags, flags))


def add_address(name: str, address: str, prefix: int) -> None:
    """Give an interface an IPv4 or IPv6 address."""
    family, packed = _packed(address)
    head = struct.pack("=BBBBI", family, prefix, 0, _SCOPE_ALL, socket.if_nametoindex(name))
    flags = _attribute(_ADDRESS_FLAGS, struct.pack("=I", _NO_DAD)) if family == socket.AF_INET6 else b""
    _ask(_NEWADDR, _CREATE, head + _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed) + flags)


def add_default_route(name: str, family: int) -> None:
    """Send everything of a family that no other route takes out of an interface."""
    scope = _SCOPE_LINK if family == socket.AF_INET else _SCOPE_ALL
    head = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _TABLE_MAIN, _PROTOCOL_BOOT, scope, _UNICAST, 0)
    _ask(_NEWROUTE, _CREATE, head + _attribute(_ROUTE_OUT, struct.pack("=i", socket.if_nametoindex(name))))


def _ask(kind: int, flags: int, body: bytes) -> None:
    """Send one message and wait for the kernel's word on it. OSError where it refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        head = struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, next(_NUMBERS), 0)
        kernel.send(head + body)
        for message, payload in _messages(kernel.recv(65536)):
            error = -struct.unpack_from("=i", payload)[0] if message == _ERROR else 0
            if error:
                raise OSError(error, os.strerror(error))


def _messages(data: bytes) -> Iterable[tuple[int, bytes]]:
    while len(data) >= 16:  # noqa: PLR2004  the length of a message's head
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)
