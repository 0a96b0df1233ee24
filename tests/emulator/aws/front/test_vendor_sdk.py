"""`sagemaker` 3.x, unmodified, told where to go by `emulator env` alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment

_SCRIPT = Path(__file__).with_name("sdk_registry.py")


@pytest.mark.slow
def test_the_vendor_s_resources_for_models_and_packages_work(
    emulator: AwsEmulator, environment: AwsEnvironment, bucket: str, tmp_path: Path
) -> None:
    data = f"s3://{bucket}/artefacts/model.tar.gz"
    emulator.storage.write(data, b"not read here")
    image = environment.images["serving"].uri
    asked = {"TEST_ROLE": environment.identities["server"], "TEST_IMAGE": image, "TEST_DATA": data}
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **emulator.variables(), **asked}
    done = subprocess.run([sys.executable, str(_SCRIPT)], env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    version = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/credit/1"
    assert seen["bucket"] == bucket
    assert seen["groups"] == {
        "status": "Completed",
        "arn": "arn:aws:sagemaker:eu-west-1:111122223333:model-package-group/credit",
        "all": ["credit"],
    }
    assert seen["packages"] == {
        "missing": "'ModelPackageName'",
        "approval": "Approved",
        "metadata": {"alias:next": "yes"},
        "arn": version,
        "left": [version],
    }
    assert seen["models"] == {"image": image, "all": ["of-image", "of-package"], "left": []}
    assert {entry.service for entry in emulator.ledger.calls()} <= {"sagemaker", "s3", "sts"}
