"""The vendor's high-level client, unmodified, in a process of its own that knows the emulator by variables alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlinfra.emulator.azure.identity.roles import guid

SCRIPT = Path(__file__).with_name("vendor_sdk.py")


@pytest.mark.slow
def test_command_jobs_run_by_the_high_level_client(emulator, environment, tmp_path, apart):
    account = environment.stores["data"].uri.removeprefix("https://").partition(".")[0]
    emulator.storage.write(f"{environment.stores['data'].uri}/rows/rows.csv", b"a,b")
    deployer = emulator.credentials().principal.object_id
    scope = emulator.place.id("Microsoft.Storage", "storageAccounts", account)
    emulator.assignments.assign(deployer, guid("Storage Blob Data Reader"), scope)  # to download from datastores
    apart(
        SCRIPT,
        AZUREML_RUN_POLLING_INTERVAL_MIN="1",
        EMULATOR=json.dumps(
            {
                "image": environment.images["base"].uri,
                "compute": environment.compute["cpu"],
                "rows": f"{environment.stores['data'].uri}/rows/",
                "client_id": environment.native["client_ids"]["trainer"],
            }
        ),
    )
    told = json.loads((tmp_path / "work" / "told.json").read_text())
    assert "trained with 0.5" in told["streamed"]
    assert "token for True" in told["streamed"]
    assert told["short"] == "Completed"
    assert told["model"] == "A,B"
    assert told["downloaded"] == [
        "artifacts/outputs/note.txt",
        "artifacts/user_logs/std_log.txt",
        "named-outputs/model/model.txt",
    ]
    assert told["long"] == "Canceled"
    assert "status code 4" in told["failure"]
    assert told["listed"] == ["fails", "long", "short"]
    assert told["tagged"] == ["short"]
    assert told["active"] == ["long", "short"]
    assert told["clusters"] == ["cpu-cluster", "more"]
    assert told["size"].lower() == "standard_ds3_v2"
    assert told["left"] == []
    assert emulator.leftovers() == []
