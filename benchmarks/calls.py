"""How many calls of a cloud a submission takes, counted by its emulator: the kit's beside the vendor's own SDK's.

    python benchmarks/calls.py [--without-peer] [PLATFORM…]

Both submit the same one-file script in the same run, to the same emulator: sagemaker's ModelTrainer on AWS,
azure-ai-ml's MLClient.jobs.create_or_update on Azure, aiplatform's CustomJob.from_local_script on Google Cloud.
Control-plane calls are counted apart from requests to the
object store. Exits with 1 where a bar is not held.
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
from typing import TYPE_CHECKING, Any

from mlinfra.contract import adapter as adapters
from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.gcp import GcpEmulator
from mlinfra.emulator.isolation import scrub
from mlinfra.emulator.settings import Settings
from mlinfra.engine.folders import Folders
from mlinfra.engine.prepare import prepare
from mlinfra.engine.session import open_session
from mlinfra.engine.submit import submit
from mlinfra.host import isolation
from mlinfra.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.environment import Environment

REPEATED = 1  # control-plane calls, look-ups included
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

COMMAND_JOB = """\
import os, sys
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import EnvironmentCredential

image, source = sys.argv[1:]
credential = EnvironmentCredential(disable_instance_discovery=True)
place = [os.environ[f"AZUREML_ARM_{name}"] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
MLClient(credential, *place, enable_telemetry=False).jobs.create_or_update(
    command(
        code=source, command="python hello.py", environment=Environment(name="hello", version="1", image=image),
        instance_type="Standard_DS3_v2",
    )
)
"""

SCRIPT_JOB = """\
import sys
from google.cloud import aiplatform

project, region, address, bucket, image, account, script = sys.argv[1:]
aiplatform.init(project=project, location=region, api_endpoint=address, staging_bucket=bucket)
aiplatform.CustomJob.from_local_script(
    display_name="hello", script_path=script, container_uri=image, machine_type="n1-standard-4"
).submit(service_account=account)
"""


@dataclass(frozen=True)
class Platform:
    """A cloud's emulator, what a fresh submission may take there, and the vendor's own way."""

    name: str
    emulator: Callable[[Path, Settings], Any]
    fresh: int
    peer: str
    script: str
    arguments: Callable[[Any, Environment, Path], list[str]]
    known: int | None = None  # of other work whose code and image are there; None where that is as a fresh one
    enter: Callable[[Any, list[str], Path], list[str]] = lambda _emulator, command, _folder: command


def _for_trainer(_: Any, environment: Environment, source: Path) -> list[str]:
    bucket = environment.stores["artefacts"].uri.removeprefix("s3://").partition("/")[0]
    return [environment.identities["trainer"], environment.images["base"].uri, bucket, str(source)]


def _for_command_job(_: Any, environment: Environment, source: Path) -> list[str]:
    return [environment.images["base"].uri, str(source)]


def _for_script_job(emulator: Any, environment: Environment, source: Path) -> list[str]:
    place = [environment.account, environment.region, emulator.secure]
    image, account = environment.images["base"].uri, environment.identities["trainer"]
    return [*place, environment.stores["artefacts"].uri, image, account, str(source / "hello.py")]


def _with_hosts(emulator: Any, command: list[str], folder: Path) -> list[str]:
    """MLClient asks storage accounts at hosts of their own: the command as a process that can look them up."""
    accounts = " ".join(f"{account}.blob.localhost" for account in emulator.storage.shelf.accounts())
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {accounts}\n")
    mounts = {"/etc/hosts": str(hosts)}
    entered = folder / "entered"
    entered.mkdir()
    return isolation.enter(isolation.choose(mounts), mounts, command, entered)


PLATFORMS = (
    Platform("aws", AwsEmulator, 3, "sagemaker ModelTrainer.train", TRAINER, _for_trainer),
    Platform(
        "azure",
        AzureEmulator,
        3,
        "azure-ai-ml MLClient.jobs.create_or_update",
        COMMAND_JOB,
        _for_command_job,
        1,
        _with_hosts,
    ),
    Platform("gcp", GcpEmulator, 4, "aiplatform CustomJob.from_local_script", SCRIPT_JOB, _for_script_job),
)


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
        return f"{self.name:50} {self.control.total():4} {self.objects:9}  {verdict:14}  {names}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--without-peer", action="store_true", help="leave the vendors' SDKs out")
    parser.add_argument("platforms", nargs="*", help="aws, azure, gcp; all without")
    asked = parser.parse_args()
    chosen = [each for each in PLATFORMS if not asked.platforms or each.name in asked.platforms]
    counts = [count for platform in chosen for count in counted_on(platform, with_peer=not asked.without_peer)]
    print(f"{'submission':50} {'calls':>4} {'objects':>8}  calls of the control plane, requests to the object store")
    print("\n".join(map(str, counts)))
    sys.exit(0 if all(count.held for count in counts) else 1)


def counted_on(platform: Platform, *, with_peer: bool) -> list[Count]:
    """The kit's submissions and the peer's, on one emulator."""
    with (
        tempfile.TemporaryDirectory() as folder,
        platform.emulator(Path(folder) / "emulator", Settings()) as emulator,
    ):
        environment = emulator.environment()
        counts = kit(platform, emulator, environment, Path(folder))
        return [*counts, peer(platform, emulator, environment, Path(folder))] if with_peer else counts


def kit(platform: Platform, emulator: Any, environment: Environment, folder: Path) -> list[Count]:
    """A fresh submission, a repeated one, and one of other work with the same code; each in a session of its own."""
    folders = Folders(project=folder / "project" / ".mlinfra", state=folder / "state").ensure()
    project = script(folders.root)
    counts = []
    known = platform.fresh if platform.known is None else platform.known
    for words, name, bar in (
        ("", "hello", platform.fresh),
        (", repeated", "hello", REPEATED),
        (", code and image known", "hello-again", known),
    ):
        spec = JobSpec(name=name, command=["python", "hello.py"])
        prepared = prepare(spec, project, environment, adapters.load(platform.name), folders)
        emulator.ledger.clear()
        with open_session(environment, folders=folders, say=lambda _: None) as session:
            submit(session, prepared)
        counts.append(counted(f"{platform.name}: mlinfra job submit{words}", emulator, bar))
    return counts


def peer(platform: Platform, emulator: Any, environment: Environment, folder: Path) -> Count:
    """The vendor's own way in a process of its own, unmodified."""
    variables = emulator.variables()
    given = platform.arguments(emulator, environment, script(folder / "source"))
    emulator.ledger.clear()
    subprocess.run(
        platform.enter(emulator, [sys.executable, "-W", "ignore", "-c", platform.script, *given], folder),
        env={**scrub(os.environ), **variables},
        capture_output=True,
        check=True,
    )
    return counted(f"{platform.name}: {platform.peer}", emulator)


def script(folder: Path) -> Path:
    """A folder with the script that both submit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hello.py").write_text("print('hello')\n")
    return folder


def counted(name: str, emulator: Any, bar: int | None = None) -> Count:
    """What the emulator has been asked since its ledger was cleared."""
    control = Counter(entry.operation for entry in emulator.ledger.calls(control=True))
    return Count(name, control, len(emulator.ledger.calls(control=False)), bar)


if __name__ == "__main__":
    main()
