"""What the users of the `sagemaker` package do works unmodified; the environment alone says where to go."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).with_name("vendor_sdk.py")
_TRAIN = """
import argparse, csv, json, os, pathlib
import joblib
from sklearn.tree import DecisionTreeClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int)
depth = parser.parse_args().depth
rows = list(csv.reader(open(pathlib.Path(os.environ["SM_CHANNEL_TRAIN"]) / "rows.csv")))
model = DecisionTreeClassifier(max_depth=depth, random_state=0)
model.fit([[float(v) for v in row[:-1]] for row in rows], [row[-1] for row in rows])
print(f"accuracy={model.score([[float(v) for v in row[:-1]] for row in rows], [row[-1] for row in rows])}")
folder = pathlib.Path(os.environ["SM_MODEL_DIR"])
joblib.dump(model, folder / "model.joblib")
(folder / "depth.json").write_text(json.dumps({"depth": model.get_depth(), "job": os.environ["TRAINING_JOB_NAME"]}))
"""


@pytest.mark.thorough
def test_the_sagemaker_package_trains_and_its_resources_work(jobs, emulator, tmp_path):
    source, answer = tmp_path / "source", tmp_path / "answer.json"
    source.mkdir()
    (source / "train.py").write_text(_TRAIN)
    rows = "\n".join(f"{a},{b},{'yes' if a > b else 'no'}" for a in range(8) for b in range(8))
    jobs.put("rows/rows.csv", rows)
    scrubbed = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), jobs.role, str(source), f"s3://{jobs.bucket}/data/rows/", str(answer)],
        env={**scrubbed, **emulator.variables()},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(answer.read_text())
    assert told["resource"] == {
        "waited": "Completed",
        "stopped": ["Stopped", "Stopped"],
        "known": ["sdk-stopped", "sdk-waited"],
        "left": ["sdk-stopped"],
    }
    trainer = told["trainer"]
    assert trainer["status"] == "Completed"
    data = jobs.s3.get_object(Bucket=jobs.bucket, Key=trainer["model"].removeprefix(f"s3://{jobs.bucket}/"))[
        "Body"
    ].read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert sorted(archive.getnames()) == ["depth.json", "model.joblib"]
        depth = json.load(archive.extractfile("depth.json"))
    assert depth == {"depth": 3, "job": trainer["name"]}
    assert any(line.startswith("accuracy=0.9") for line in jobs.lines(trainer["name"]))
    assert "accuracy=0.9" in done.stdout + done.stderr, "the SDK itself shows the job's lines"
