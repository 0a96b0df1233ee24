"""Models whose servers do as they are told, behind endpoints of a running emulator."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud import aiplatform_v1 as vertex
from google.protobuf import json_format, struct_pb2

from mlinfra.emulator.gcp.monitoring import descriptors
from mlinfra.emulator.hosting import waiting
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.gcp import GcpEmulator
    from mlinfra.environment import GcpEnvironment

SERVER = str(Path(__file__).with_name("server.py"))
IMAGE = "europe-west4-docker.pkg.dev/mlinfra-emulated/mlinfra/obedient:1"
MACHINE = {"machine_type": "n1-standard-2"}
PATIENCE = 60.0


@pytest.fixture
def emulator_settings() -> Settings:
    return Settings(delays_scale=0.0, quotas=False)


@pytest.fixture(autouse=True)
def _no_long_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of the tests starts in a fraction of a second."""
    monkeypatch.setattr(waiting, "LEAST", 2.0)


@dataclass
class Hosting:
    """What the tests do again and again, through the wire."""

    emulator: GcpEmulator
    environment: GcpEnvironment
    client: Callable[..., Any]
    parent: str

    @property
    def endpoints(self) -> Any:
        return self.client("EndpointService")

    @property
    def models(self) -> Any:
        return self.client("ModelService")

    def upload(self, model_id: str, artifact_uri: str = "", *, parent: str = "", **members: Any) -> str:
        """A model whose server obeys the variables in `env`; its name, with the version."""
        env = [{"name": "NAME", "value": model_id}] if "env" not in members else members.pop("env")
        spec = {"image_uri": IMAGE, "predict_route": "/predict", "health_route": "/health", "env": env, **members}
        wanted = {"display_name": model_id, "container_spec": spec, "artifact_uri": artifact_uri}
        asked = {"parent": self.parent, "model": wanted}
        asked |= {"parent_model": parent} if parent else {"model_id": model_id}
        done = self.models.upload_model(request=asked).result(timeout=PATIENCE)
        return f"{done.model}@{done.model_version_id}"

    def endpoint(self, endpoint_id: str = "", **members: Any) -> Any:
        """An endpoint, created."""
        asked = {"parent": self.parent, "endpoint": {"display_name": "shop", **members}, "endpoint_id": endpoint_id}
        return self.endpoints.create_endpoint(request=asked).result(timeout=PATIENCE)

    def deploy(
        self, endpoint: Any, model: str, split: Mapping[str, int] | None = None, own: str = "", **members: Any
    ) -> Any:
        """A deployed model, once it is."""
        return self.deploying(endpoint, model, split, own, **members).result(timeout=PATIENCE).deployed_model

    def deploying(
        self, endpoint: Any, model: str, split: Mapping[str, int] | None = None, own: str = "", **members: Any
    ) -> Any:
        """The operation that deploys a model."""
        resources = {"machine_spec": MACHINE, "min_replica_count": 1, **members.pop("resources", {})}
        deployed = {"model": model, "id": own, "dedicated_resources": resources, **members}
        return self.endpoints.deploy_model(
            endpoint=endpoint.name, deployed_model=deployed, traffic_split={"0": 100} if split is None else split
        )

    def told(self, endpoint: Any) -> Any:
        """The endpoint as it is told now."""
        return self.endpoints.get_endpoint(name=endpoint.name)

    def predict(self, endpoint: Any, *instances: Any, parameters: Any = None, **options: Any) -> Any:
        """The answer to Predict, over gRPC at the regional address."""
        values = [json_format.ParseDict(each, struct_pb2.Value()) for each in instances]
        told = json_format.ParseDict(parameters, struct_pb2.Value()) if parameters is not None else None
        return self.client("PredictionService").predict(
            endpoint=endpoint.name, instances=values, parameters=told, **options
        )

    def ask(self, endpoint: Any, *instances: Any, parameters: Any = None) -> dict[str, Any]:
        """What a server says of a request, beside the deployed model that answered."""
        answer = self.predict(endpoint, *instances, parameters=parameters)
        (said,) = json_format.MessageToDict(vertex.PredictResponse.pb(answer))["predictions"]
        return {**said, "deployed": answer.deployed_model_id}

    def raw(self, endpoint: Any, body: bytes, content_type: str = "application/json") -> Any:
        """The answer to RawPredict, an HttpBody."""
        asked = {"endpoint": endpoint.name, "http_body": {"content_type": content_type, "data": body}}
        return self.client("PredictionService").raw_predict(request=asked)

    def said(self, answer: Any) -> dict[str, Any]:
        """What a server says in an HttpBody."""
        (told,) = json.loads(answer.data)["predictions"]
        return dict(told)

    def overdue(self, operation: Any) -> Any:
        """The result of an operation for which time goes by until it is over."""

        def is_over() -> bool:
            self.emulator.clock.advance(600)
            return bool(operation.done())

        self.until(is_over)
        return operation.result(timeout=PATIENCE)

    def minute(self) -> None:
        """A minute goes by, and what is done once a minute has been done."""

        def samples() -> int:
            begin, end = self.emulator.clock.now() - timedelta(days=2), self.emulator.clock.now()
            found = self.emulator.metrics.query(descriptors.REPLICAS, {}, begin, end, 3600, exact=False)
            return sum(bucket.count for bucket in found)

        before = samples()
        self.emulator.clock.advance(60)
        self.until(lambda: samples() > before)

    def until(self, holds: Callable[[], Any]) -> Any:
        """What a question answers once its answer is true."""
        end = time.monotonic() + PATIENCE
        while not (found := holds()):
            assert time.monotonic() < end
            time.sleep(0.02)
        return found


@pytest.fixture
def hosting(emulator: GcpEmulator, environment: GcpEnvironment, client: Callable[..., Any], parent: str) -> Hosting:
    emulator.artifacts.register(IMAGE, command=(sys.executable, SERVER))
    return Hosting(emulator, environment, client, parent)
