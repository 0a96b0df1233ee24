"""Models whose servers do as they are told, behind endpoints of a running emulator."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.hosting import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from mlinfra.emulator.azure import AzureEmulator
    from mlinfra.environment import AzureEnvironment

SERVER = str(Path(__file__).with_name("server.py"))
IMAGE = "obedient:1"
MACHINE = "Standard_F4s_v2"
PATIENCE = 60.0
ROUTES = {
    "livenessRoute": {"port": 8080, "path": "/live"},
    "readinessRoute": {"port": 8080, "path": "/ready"},
    "scoringRoute": {"port": 8080, "path": "/score"},
}


@pytest.fixture(autouse=True)
def _no_long_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of the tests starts in a fraction of a second."""
    monkeypatch.setattr(waiting, "LEAST", 2.0)


@dataclass
class Hosting:
    """What the tests do again and again, over the wire."""

    emulator: AzureEmulator
    environment: AzureEnvironment
    arm: Callable[..., requests.Response]
    session: Callable[..., requests.Session]

    @property
    def store(self) -> str:
        """The address of the container of artefacts."""
        return self.environment.stores["artefacts"].uri

    @property
    def registry(self) -> str:
        """The host of the environment's container registry."""
        return self.environment.registries["images"]

    def done(self, answer: requests.Response, *statuses: int) -> Any:
        """The document of an answer with one of these statuses, 200 and 201 if none is said."""
        assert answer.status_code in (statuses or (200, 201)), (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def over(self, answer: requests.Response, status: str = "Succeeded") -> dict[str, Any]:
        """The status document of an operation, once it is over, as it should be."""
        assert answer.status_code in {200, 201, 202}, (answer.status_code, answer.text)
        address = answer.headers.get("Azure-AsyncOperation") or answer.headers["Location"].replace(
            "mfeOperationResults", "mfeOperationsStatus"
        )
        end = time.monotonic() + PATIENCE
        while True:
            told: dict[str, Any] = self.arm("GET", address).json()
            if told["status"] != "InProgress":
                assert told["status"] == status, told
                return told
            assert time.monotonic() < end, told
            time.sleep(0.02)

    def overdue(self, answer: requests.Response, seconds: float = 1.0) -> dict[str, Any]:
        """As `over`, for an operation for which so much time goes by again and again until it is over."""
        address = answer.headers["Azure-AsyncOperation"]

        def is_over() -> bool:
            self.emulator.clock.advance(seconds)
            return bool(self.arm("GET", address).json()["status"] != "InProgress")

        self.until(is_over)
        return self.over(answer)

    def environment_version(self, name: str = "obedient", image: str = IMAGE, **routes: Any) -> str:
        """The id of an environment of an image in the registry, with the obedient server's routes but for others."""
        properties = {"image": f"{self.registry}/{image}", "inferenceConfig": {**ROUTES, **routes}}
        return str(self.done(self.arm("PUT", f"environments/{name}/versions/1", {"properties": properties}))["id"])

    def model_version(self, name: str, text: str = "weights", folder: str = "package") -> str:
        """The id of a model whose one file holds a text."""
        uri = f"{self.store}/{name}/{folder}"
        self.emulator.storage.write(f"{uri}/model.txt", text.encode())
        body = {"properties": {"modelUri": f"{uri}/", "modelType": "custom_model"}}
        return str(self.done(self.arm("PUT", f"models/{name}/versions/1", body))["id"])

    def creating(self, name: str = "shop", mode: str = "Key", **members: Any) -> requests.Response:
        """The answer to a request for an endpoint."""
        properties = {"authMode": mode, **members.pop("properties", {})}
        body = {"location": self.emulator.place.region, "properties": properties, **members}
        return self.arm("PUT", f"onlineEndpoints/{name}", body)

    def endpoint(self, name: str = "shop", mode: str = "Key", **members: Any) -> dict[str, Any]:
        """An endpoint, once it is."""
        self.over(self.creating(name, mode, **members))
        return self.told(name)

    def deployment(self, env: Mapping[str, str] | None = None, **members: Any) -> dict[str, Any]:
        """The body of a request for a deployment, whose server obeys the variables."""
        properties = {
            "endpointComputeType": "Managed",
            "environmentId": members.pop("environment", None) or self.environment_version(),
            "environmentVariables": dict(env or {}),
            "instanceType": MACHINE,
            "requestSettings": {"requestTimeout": "PT5S", "maxConcurrentRequestsPerInstance": 8},
            **members.pop("properties", {}),
        }
        sku = {"name": "Default", "capacity": members.pop("instances", 1)}
        return {"location": self.emulator.place.region, "sku": sku, "properties": properties, **members}

    def deploying(
        self, endpoint: str, name: str, env: Mapping[str, str] | None = None, **members: Any
    ) -> requests.Response:
        """The answer to a request for a deployment."""
        body = self.deployment({"NAME": name, **(env or {})}, **members)
        return self.arm("PUT", f"onlineEndpoints/{endpoint}/deployments/{name}", body)

    def deploy(self, endpoint: str, name: str, env: Mapping[str, str] | None = None, **members: Any) -> dict[str, Any]:
        """A deployment, once it is."""
        self.over(self.deploying(endpoint, name, env, **members))
        return self.told(endpoint, name)

    def splitting(self, endpoint: str, traffic: Mapping[str, int], **members: Any) -> requests.Response:
        """The answer to a request for another split."""
        body = self.told(endpoint)
        body["properties"] = {"authMode": body["properties"]["authMode"], "traffic": dict(traffic), **members}
        body.pop("identity")
        return self.arm("PUT", f"onlineEndpoints/{endpoint}", body)

    def split(self, endpoint: str, **traffic: int) -> None:
        """Another split, once it is."""
        self.over(self.splitting(endpoint, traffic))

    def told(self, endpoint: str, deployment: str = "") -> dict[str, Any]:
        """An endpoint or a deployment as it is told now."""
        path = f"onlineEndpoints/{endpoint}" + (f"/deployments/{deployment}" if deployment else "")
        return dict(self.done(self.arm("GET", path)))

    def key(self, endpoint: str) -> str:
        """The endpoint's first key."""
        return str(self.done(self.arm("POST", f"onlineEndpoints/{endpoint}/listKeys"))["primaryKey"])

    def ask(self, endpoint: str, body: Any = None, **headers: str) -> requests.Response:
        """What an endpoint answers to a request with its key; `deployment` names one."""
        named = {"azureml-model-deployment": headers.pop("deployment")} if "deployment" in headers else {}
        shown = {"Authorization": f"Bearer {self.key(endpoint)}", **named, **headers}
        uri = self.told(endpoint)["properties"]["scoringUri"]
        return self.session().post(uri, json={} if body is None else body, headers=shown)

    def minute(self) -> None:
        """A minute goes by, and what is done once a minute has been done."""
        from mlinfra.emulator.azure.monitoring import descriptors  # noqa: PLC0415  one use

        def samples() -> int:
            begin, end = self.emulator.clock.now() - timedelta(days=2), self.emulator.clock.now()
            found = self.emulator.metrics.query(descriptors.CAPACITY, {}, begin, end, 3600, exact=False)
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
def hosting(
    emulator: AzureEmulator,
    environment: AzureEnvironment,
    arm: Callable[..., requests.Response],
    session: Callable[..., requests.Session],
) -> Hosting:
    emulator.containers.register(f"{environment.registries['images']}/{IMAGE}", command=(sys.executable, SERVER))
    return Hosting(emulator, environment, arm, session)
