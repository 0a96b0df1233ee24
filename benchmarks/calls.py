"""How many calls of AWS a submission takes, counted by the emulator: the kit's beside sagemaker's ModelTrainer's.

    python benchmarks/calls.py [--without-peer]

Both submit the same one-file script in the same run, to the same emulator. Control-plane calls are counted apart from
requests to the object store. Exits with 1 where a bar is not held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.contract import adapter as adapters
from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.isolation import scrub
from mlinfra.emulator.settings import Settings
from mlinfra.engine.folders import Folders
from mlinfra.engine.prepare import prepare
from mlinfra.engine.session import open_session
from mlinfra.engine.submit import submit
from mlinfra.spec import JobSpec

if TYPE_CHECKING:
    from mlinfra.environment import Environment

FRESH, REPEATED = 3, 1  # control-plane calls, look-ups included
TRAINER = """\
import sys
from sagemaker.core.helper.session_helper import Session
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, SourceCode

role, image, bucket, source = sys.argv[1:]
ModelTrainer(
    training_image=image,
    role=role,
    sagemaker_session=Session(default_bucket=bucket, default_bucket_prefix="artefacts"),
    base_job_name="hello",
    source_code=SourceCode(source_dir=source, entry_script="hello.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
).train(wait=False)
"""


@dataclass(frozen=True)
class Count:
    """What one submission took; `bar` in control-plane calls, None where there is nothing to hold."""

    name: str
    control: Counter[str]
    objects: int
    bar: int | None = None

    @property
    def held(self) -> bool:
        """Whether it keeps its bar."""
        return self.bar is None or self.control.total() <= self.bar

    def __str__(self) -> str:
        verdict = "" if self.bar is None else f"bar {self.bar}, {'held' if self.held else 'NOT HELD'}"
        names = ", ".join(f"{name} {count}" if count > 1 else name for name, count in self.control.items())
        return f"{self.name:34} {self.control.total():4} {self.objects:9}  {verdict:14}  {names}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--without-peer", action="store_true", help="leave ModelTrainer out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, AwsEmulator(Path(folder) / "emulator", Settings()) as emulator:
        environment = emulator.environment()
        counts = kit(emulator, environment, Path(folder))
        if not asked.without_peer:
            counts.append(trainer(emulator, environment, Path(folder)))
    print(f"{'submission':34} {'AWS':>4} {'S3':>9}  calls of the control plane, requests to the object store")
    print("\n".join(map(str, counts)))
    sys.exit(0 if all(count.held for count in counts) else 1)


def kit(emulator: AwsEmulator, environment: Environment, folder: Path) -> list[Count]:
    """A fresh submission and a repeated one, each in a session of its own, as commands have them."""
    folders = Folders(project=folder / "project" / ".mlinfra", state=folder / "state").ensure()
    project = script(folders.root)
    spec = JobSpec(name="hello", command=["python", "hello.py"])
    prepared = prepare(spec, project, environment, adapters.load("aws"), folders)
    counts = []
    for name, bar in (("mlinfra job submit", FRESH), ("mlinfra job submit, repeated", REPEATED)):
        emulator.ledger.clear()
        with open_session(environment, folders=folders, say=lambda _: None) as session:
            submit(session, prepared)
        counts.append(counted(name, emulator, bar))
    return counts


def trainer(emulator: AwsEmulator, environment: Environment, folder: Path) -> Count:
    """ModelTrainer in a process of its own, unmodified."""
    variables = emulator.variables()
    source = script(folder / "source")
    bucket = environment.stores["artefacts"].uri.removeprefix("s3://").partition("/")[0]
    given = [environment.identities["trainer"], environment.images["base"].uri, bucket, str(source)]
    emulator.ledger.clear()
    subprocess.run(
        [sys.executable, "-c", TRAINER, *given],
        env={**scrub(os.environ), **variables},
        capture_output=True,
        check=True,
    )
    return counted("sagemaker ModelTrainer.train", emulator)


def script(folder: Path) -> Path:
    """A folder with the script that both submit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hello.py").write_text("print('hello')\n")
    return folder


def counted(name: str, emulator: AwsEmulator, bar: int | None = None) -> Count:
    """What the emulator has been asked since its ledger was cleared."""
    control = Counter(entry.operation for entry in emulator.ledger.calls(control=True))
    return Count(name, control, len(emulator.ledger.calls(control=False)), bar)


if __name__ == "__main__":
    main()
