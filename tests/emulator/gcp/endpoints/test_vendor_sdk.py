"""`google.cloud.aiplatform` works unmodified, on a model of the kit's own behind its own server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlinfra import save_model
from mlinfra.emulator.isolation import scrub
from mlinfra.emulator.programs import KIT_SERVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.cloud.storage import Client

    from mlinfra.emulator.gcp import GcpEmulator
    from mlinfra.environment import GcpEnvironment

_SCRIPT = Path(__file__).with_name("vendor_endpoints.py")


@pytest.mark.slow
def test_the_vendors_high_level_client_hosts_a_model_of_the_kits(
    emulator: GcpEmulator,
    environment: GcpEnvironment,
    storage_client: Callable[..., Client],
    bucket: str,
    tmp_path: Path,
) -> None:
    rows = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "income": [1.0, 2.0, 3.0, 4.0]})
    model = LogisticRegression().fit(rows, ["no", "no", "yes", "yes"])
    package = tmp_path / "package"
    save_model(model, package, example=rows)
    for path in package.rglob("*"):
        if path.is_file():
            name = f"artefacts/credit/{path.relative_to(package)}"
            storage_client().bucket(bucket).blob(name).upload_from_filename(str(path))
    image = environment.images["serving"].uri
    emulator.artifacts.register(image, command=KIT_SERVER)

    answer = tmp_path / "answer.json"
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), image, f"gs://{bucket}/artefacts/credit", str(answer)],
        env={**scrub(os.environ), **emulator.variables()},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads(answer.read_text()) == {
        "predictions": ["yes", "no"],
        "version": "1",
        "split": {"first": 70, "second": 30},
        "updated": {"second": 100},
        "served by": True,
        "listed": ["shop"],
        "dedicated": ["yes"],
        "raw": ["yes"],
        "raw by": True,
        "left": [0, 0],
    }
    assert emulator.leftovers() == []
