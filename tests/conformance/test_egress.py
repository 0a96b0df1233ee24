"""Nothing leaves this machine while the kit, or a vendor's own clients, work on an emulated cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.emulator.platforms import PLATFORMS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
OF_THE_KIT = ("tests/conformance/test_emulated.py", "tests/conformance/test_credit.py")
SUITES = (
    *((suite, platform) for platform in PLATFORMS for suite in OF_THE_KIT),
    ("tests/emulator/gcp/front/test_high_level.py", ""),
    ("tests/emulator/azure/front/test_vendor_sdk.py", ""),
)


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


@pytest.mark.parametrize(("suite", "platform"), SUITES)
def test_no_packet_leaves_with_real_looking_credentials_at_hand(tmp_path: Path, suite: str, platform: str):
    tests = ("pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", platform, suite)
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    fetched = run(*tests, UV_CACHE_DIR=cache)  # what the package index has to give, before there is no way to it
    assert fetched.returncode == 0, fetched.stdout
    report = tmp_path / "report.json"
    counting = ("mlinfra.emulator.egress", "--plant", "--report", str(report), "--", sys.executable, "-m")
    alone = run(*counting, *tests, UV_CACHE_DIR=cache, UV_OFFLINE="1")
    assert json.loads(report.read_text()) == {"exit_code": 0, "packets": 0, "destinations": {}}, alone.stdout
