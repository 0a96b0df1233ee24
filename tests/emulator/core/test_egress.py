"""The counter of packets beyond loopback counts, and what we start sends none.

A machine that refuses network namespaces fails here: the proof is then missing, and that is not a success.
"""

from __future__ import annotations

import errno
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlinfra.emulator import egress, namespace
from mlinfra.emulator.namespace import Packet, read

BINARIES = Path(sys.executable).parent
LOOPBACK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
"""
CONNECT = """
import socket
one = socket.socket()
one.settimeout(0.1)
try:
    one.connect(("169.254.169.254", 80))
except OSError:
    pass
"""
LOOK_UP = """
import socket
try:
    socket.getaddrinfo("sts.amazonaws.com", 443)
except OSError:
    pass
"""
DATAGRAM = """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.1", 9))
"""
FALL_BACK = """
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
try:
    boto3.client("sts", config=Config(connect_timeout=0.1, retries={"total_max_attempts": 1})).get_caller_identity()
except BotoCoreError:
    pass
"""
EMULATOR = """
set -e
mlinfra emulator start aws -q
eval "$(mlinfra emulator env aws -q)"
python -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Account"])'
python -c 'import boto3; print(boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"])'
mlinfra emulator stop -q
"""


def counted(tmp_path: Path, *command: str, plant: bool = False) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and stderr of a command in a network of its own."""
    report = tmp_path / "report.json"
    words = [*(["--plant"] if plant else []), "--report", str(report), "--", *command]
    ended = subprocess.run(
        [sys.executable, "-m", "mlinfra.emulator.egress", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert report.exists(), ended.stderr
    return ended.returncode, json.loads(report.read_text()), ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("script", "destination"),
    [(CONNECT, "tcp 169.254.169.254:80"), (LOOK_UP, "udp 198.51.100.53:53"), (DATAGRAM, "udp 203.0.113.1:9")],
    ids=["connection", "look-up", "datagram"],
)
def test_a_packet_that_would_leave_is_seen(tmp_path: Path, script: str, destination: str):
    code, report, told = counted(tmp_path, sys.executable, "-c", script)
    assert code == 1
    assert destination in report["destinations"]
    assert destination in told


def test_a_child_s_packet_is_seen_as_well(tmp_path: Path):
    code, report, _ = counted(tmp_path, "sh", "-c", f"'{sys.executable}' -c '{DATAGRAM}' & wait")
    assert (code, report["packets"]) == (1, 1)


def test_loopback_does_not_count(tmp_path: Path):
    assert counted(tmp_path, sys.executable, "-c", LOOPBACK)[:2] == (
        0,
        {"exit_code": 0, "packets": 0, "destinations": {}},
    )


def test_the_command_s_own_end_is_told(tmp_path: Path):
    code, report, _ = counted(tmp_path, sys.executable, "-c", "raise SystemExit(7)")
    assert (code, report["exit_code"]) == (7, 7)


def test_the_bait_is_taken_by_a_client_that_is_not_kept_from_it(tmp_path: Path):
    assert counted(tmp_path, sys.executable, "-c", FALL_BACK, plant=True)[1]["packets"] > 0


@pytest.mark.thorough
def test_an_emulator_and_a_vendor_s_client_send_nothing(tmp_path: Path, project: Path, monkeypatch):
    monkeypatch.setenv("PATH", f"{BINARIES}:/usr/bin:/bin")
    code, report, told = counted(tmp_path, "sh", "-c", EMULATOR, plant=True)
    assert (code, report["packets"]) == (0, 0), told
    assert {"111122223333", "[]"} <= set(told.splitlines())


def test_a_machine_that_refuses_says_so_and_runs_nothing(tmp_path: Path, monkeypatch, capsys):
    def refuse() -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(namespace, "_unshare", refuse)
    assert egress.main(["--", "touch", str(tmp_path / "ran")]) == 70
    told = capsys.readouterr().err
    assert "refuses a network namespace, so nothing can be proven" in told
    assert "Operation not permitted" in told
    assert not (tmp_path / "ran").exists()


IPV4 = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, bytes([10, 0, 0, 1]), bytes([192, 0, 2, 7]))
PORTS = struct.pack("!HH", 40000, 443)


@pytest.mark.parametrize(
    ("protocol", "data", "packet"),
    [
        (0x0800, IPV4 + PORTS, Packet("tcp", "192.0.2.7", 443)),
        (0x0800, IPV4[:9] + b"\x02" + IPV4[10:], None),
        (0x0800, IPV4[:9] + b"\x01" + IPV4[10:], Packet("protocol 1", "192.0.2.7", 0)),
        (0x86DD, bytes(6) + b"\x11\xff" + bytes(16) + bytes(15) + b"\x01" + PORTS, Packet("udp", "::1", 443)),
        (0x86DD, bytes(6) + b"\x3a\xff" + bytes(32) + b"\x87", None),
        (0x0806, b"", Packet("arp", "", 0)),
    ],
)
def test_packets_are_told_from_the_kernel_s_own_talk(protocol: int, data: bytes, packet: Packet | None):
    assert read(protocol, data) == packet
