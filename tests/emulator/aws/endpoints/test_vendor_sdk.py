"""The `sagemaker` package's resources work unmodified, on a model of the kit's own behind its own server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlinfra import save_model

_SCRIPT = Path(__file__).with_name("vendor_endpoints.py")


@pytest.mark.slow
def test_the_sagemaker_packages_resources_host_a_model_of_the_kits(emulator, environment, client, bucket, tmp_path):
    rows = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "income": [1.0, 2.0, 3.0, 4.0]})
    model = LogisticRegression().fit(rows, ["no", "no", "yes", "yes"])
    save_model(model, tmp_path / "package", example=rows)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        members.add(tmp_path / "package", arcname=".")
    client("s3").put_object(Bucket=bucket, Key="artefacts/model.tar.gz", Body=packed.getvalue())

    answer = tmp_path / "answer.json"
    role, image = environment.identities["server"], environment.images["serving"].uri
    arguments = [role, image, f"s3://{bucket}/artefacts/model.tar.gz", str(answer)]
    scrubbed = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), *arguments],
        env={**scrubbed, **emulator.variables()},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads(answer.read_text()) == {
        "config": 1.0,
        "created": "Creating",
        "answer": {"predictions": ["yes"]},
        "variant": "main",
        "updated": "second",
        "listed": ["credit"],
        "left": [],
    }
    assert emulator.leftovers() == []
