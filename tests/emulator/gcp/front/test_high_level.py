"""`google.cloud.aiplatform` and `google.cloud.storage`, unmodified: from data to predictions and away, both transports.

They are told by the variables that `mlinfra emulator env gcp` prints, and by documented arguments of `init`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.emulator.isolation import scrub

SCRIPT = Path(__file__).with_name("vendor_high_level.py")


@pytest.mark.parametrize(
    "transport",
    [pytest.param("grpc", marks=pytest.mark.thorough), pytest.param("rest", marks=pytest.mark.slow)],
)
def test_the_vendors_high_level_client_trains_registers_deploys_and_predicts(
    emulator, environment, tmp_path, transport
):
    answer = tmp_path / "answer.json"
    image = environment.images["base"].uri
    account = environment.identities["trainer"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), image, account, transport, str(answer)],
        env={**scrub(os.environ), **emulator.variables()},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    seen = json.loads(answer.read_text())
    assert seen.pop("deployed") in {"FAILED_PRECONDITION", "FailedPrecondition", "BadRequest"}
    assert seen == {
        "objects": ["data/rows.txt"],
        "job": "JOB_STATE_SUCCEEDED",
        "jobs": ["again", "train"],
        "model": {"mean": 3.0},
        "versions": {"1": ["champion", "default"], "2": ["candidate"]},
        "alias": "2",
        "labels": {"team": "risk", "stage": "dev"},
        "predictions": [False, False, True],
        "split": {"first": 80, "second": 20},
        "after": [True],
        "undeployed": [],
        "left": [0, 0, 0],
    }
    assert emulator.leftovers() == []
