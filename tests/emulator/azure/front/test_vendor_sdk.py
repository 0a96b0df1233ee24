"""`azure.ai.ml.MLClient`, unmodified: from data to predictions and away.

It is told by the variables that `mlinfra emulator env azure` prints. It calls storage accounts by hosts of their own,
which nothing resolves here: its process has an `/etc/hosts` that does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mlinfra.emulator.settings import Settings

SCRIPT = Path(__file__).with_name("vendor_mlclient.py")
SERVER = Path(__file__).with_name("server.py")
SCORER = "mlinfraemulated.azurecr.io/mean:1"


@pytest.fixture
def emulator_settings() -> Settings:
    return Settings(delays_scale=0.01)


@pytest.mark.slow
def test_the_vendors_high_level_client_trains_registers_deploys_and_predicts(emulator, environment, apart, tmp_path):
    emulator.containers.register(SCORER, command=(sys.executable, str(SERVER)))
    answer = tmp_path / "answer.json"
    apart(SCRIPT, environment.images["base"].uri, SCORER, str(answer))
    seen = json.loads(answer.read_text())
    assert seen == {
        "workspace": "mlinfra",
        "data": ["rows", "1"],
        "environments": [["python", "1"]],
        "job": "Completed",
        "jobs": 2,
        "versions": ["1", "2"],
        "latest": "2",
        "tags": {"stage": "prod"},
        "active": ["1"],
        "model": {"mean": 3.0},
        "missing": "UserError",
        "answer": [False, True],
        "split": {"first": 80, "second": 20},
        "named": [True, True],
        "keys": True,
        "deployments": ["second"],
        "endpoints": [],
    }
    uploads = emulator.ledger.calls(operation="CodeVersions_CreateOrGetStartPendingUpload")
    assert len(uploads) == 1, "the second job found the first one's code"
