"""Models whose servers do as they are told, behind endpoints of a running emulator."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.aws.endpoints import records
from mlinfra.emulator.hosting import waiting as endpoint_waiting
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment

SERVER = str(Path(__file__).with_name("server.py"))
IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/mlinfra/obedient:1"
_PATIENCE = 20.0


@pytest.fixture
def emulator_settings() -> Settings:
    return Settings(delays_scale=0.0, quotas=True)


@pytest.fixture(autouse=True)
def _no_long_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of the tests starts in a fraction of a second."""
    monkeypatch.setattr(endpoint_waiting, "LEAST", 2.0)


def archive(files: Mapping[str, str]) -> bytes:
    """A tar.gz of some texts."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as members:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            members.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


@dataclass
class Hosting:
    """What the tests do again and again, through the wire."""

    emulator: AwsEmulator
    environment: AwsEnvironment
    sagemaker: Any
    runtime: Any
    s3: Any
    bucket: str

    def upload(self, name: str) -> str:
        """The archive of a model of that name; its address."""
        self.s3.put_object(Bucket=self.bucket, Key=f"artefacts/{name}.tar.gz", Body=archive({"name.txt": name}))
        return f"s3://{self.bucket}/artefacts/{name}.tar.gz"

    def model(self, name: str, **environment: str) -> None:
        """A model whose server obeys these variables, as `server.py` reads them."""
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.environment.identities["server"],
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": self.upload(name),
                "Environment": environment,
            },
        )

    def config(self, name: str, *variants: Mapping[str, Any], **members: Any) -> None:
        """A configuration; a variant says what differs from one instance of the model `good`."""
        standard = {
            "VariantName": "main",
            "ModelName": "good",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        listed = [_without_none({**standard, **variant}) for variant in variants or ({},)]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=listed, **members)

    def endpoint(self, name: str, config: str) -> dict[str, Any]:
        """An endpoint that is in service."""
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return self.settled(name)

    def settled(self, name: str, expected: str = "InService") -> dict[str, Any]:
        """The endpoint once nothing is under way any more."""
        described = self.until(name, lambda told: told["EndpointStatus"] in {"InService", "Failed"})
        assert described["EndpointStatus"] == expected, described.get("FailureReason")
        return described

    def advancing(self, seconds: float) -> None:
        """Move the clock again and again by so much, until nothing is under way."""
        end = time.monotonic() + _PATIENCE
        while any(each.status in records.BUSY for each in self.emulator.endpoints.items()):
            assert time.monotonic() < end
            self.emulator.clock.advance(seconds)
            time.sleep(0.05)

    def until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The endpoint as it is described when something holds."""
        end = time.monotonic() + _PATIENCE
        while not holds(told := self.sagemaker.describe_endpoint(EndpointName=name)):
            assert time.monotonic() < end, told
            time.sleep(0.02)
        return told

    def ask(self, name: str, body: Any = None, **members: Any) -> dict[str, Any]:
        """What a server says of a request, beside the variant that was invoked."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, ContentType="application/json", Body=json.dumps(body), **members
        )
        return {**json.loads(answer["Body"].read()), "variant": answer["InvokedProductionVariant"]}


@pytest.fixture
def hosting(emulator: AwsEmulator, environment: AwsEnvironment, client: Callable[..., Any], bucket: str) -> Hosting:
    """With the model `good`."""
    emulator.endpoints.images.register(IMAGE, (sys.executable, SERVER))
    made = Hosting(emulator, environment, client("sagemaker"), client("sagemaker-runtime"), client("s3"), bucket)
    made.model("good")
    return made


def _without_none(variant: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in variant.items() if value is not None}


@pytest.fixture
def cloudwatch(client, emulator):
    """Everything is allowed here: what may be asked is told elsewhere."""
    emulator.desk.enforce = False
    return client("cloudwatch")


@pytest.fixture
def minute(emulator):
    """Move to the begin of a minute, and tell it."""
    now = emulator.clock.now()
    emulator.clock.advance(60 - now.timestamp() % 60 + 0.01)
    return emulator.clock.now().replace(second=0, microsecond=0)
