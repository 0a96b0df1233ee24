"""What is kept of the vendor's models is what its package says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlinfra.emulator.azure.wire import schemas

TOOL = Path(__file__).parents[4] / "tools" / "schemas" / "azure_versions.py"


def test_the_newest_models_are_those_of_the_installed_client():
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_member_is_known_in_the_versions_that_have_it_and_in_no_other():
    def mirrors(version: str) -> bool:
        known = schemas.schemas(version)
        model = known.model("OnlineEndpointProperties") if known else None
        return model is not None and "mirrorTraffic" in model.members

    assert [mirrors(each) for each in ("2022-10-01", "2023-04-01", "2025-12-01")] == [False, True, True]
    assert schemas.schemas("2019-01-01") is None
