"""The vendor's high-level client, unmodified, in a process of its own that knows the emulator by variables alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.emulator.isolation import isolated

SCRIPT = Path(__file__).with_name("vendor_sdk.py")


@pytest.mark.slow
def test_custom_jobs_run_by_the_high_level_client(emulator, environment, tmp_path, bucket):
    known = {
        **isolated(os.environ, tmp_path / "home"),
        **emulator.variables(),
        "EMULATOR": json.dumps(
            {
                "project": emulator.project,
                "region": emulator.region,
                "api_endpoint": emulator.secure,
                "bucket": bucket,
                "image": environment.images["base"].uri,
                "account": environment.identities["trainer"],
            }
        ),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT)],
        env=known,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["states"] == ["JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED"]
    assert emulator.storage.read(f"gs://{bucket}/artefacts/short/model/model.txt") == b"trained"
    assert "non-zero status of 4" in told["failure"]
    assert told["listed"] == ["fails", "long", "short"]
    assert told["left"] == []
    assert emulator.leftovers() == []
