"""Every platform's stack against strict mocks, whatever it is configured to be.

`platform` is the one of the test's folder, or the one that it is parametrised with. `up("prod", tags={…})` is what the
stack registers, `whole("prod")` the same with everything configured that the platform's model knows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import resource_pb2

from mlinfra.emulator.providers import mocks
from mlinfra.emulator.providers.mocks import Registrations, StrictMonitor
from mlinfra.emulator.providers.values import plain
from mlinfra.errors import Problem, SpecError
from mlinfra.infra.configuration import CloudConfiguration, Configuration, Rule, _inner_model, of_platform, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pulumi
    from pydantic import BaseModel

    from mlinfra.infra.component import Component

_DYNAMIC: Final = "pulumi-python:dynamic/"
_SUBSCRIPTION: Final = "00000000-0000-4000-8000-000000000001"
_TENANT: Final = "00000000-0000-4000-8000-000000000002"
_STORES: Final = ("artefacts", "data", "captures", "approvals")
_IDENTITIES: Final = ("trainer", "server", "deployer", "approver", "ci")
_ZONES: Final = {
    "amlworkspace": "privatelink.api.azureml.ms",
    "notebooks": "privatelink.notebooks.azure.net",
    "blob": "privatelink.blob.core.windows.net",
    "dfs": "privatelink.dfs.core.windows.net",
    "vault": "privatelink.vaultcore.azure.net",
    "registry": "privatelink.azurecr.io",
}
_GROUP: Final = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/acme/providers"


@dataclass
class Kept(Registrations):
    """Whole requests beside what was registered: they tell of options and look-ups that `Registered` leaves out."""

    requests: dict[str, Any] = field(default_factory=dict, repr=False)  # by the resource's name
    lookups: list[Any] = field(default_factory=list, repr=False)


class Keeping(StrictMonitor):
    """Keeps requests whole, and answers for the folders and buckets of `local`, which no package describes."""

    def __init__(self, config: Mapping[str, str], *, preview: bool) -> None:
        super().__init__(config, preview=preview)
        self.registrations: Kept = Kept()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  the protocol's name
        self.registrations.requests[request.name] = request
        return super().RegisterResource(request)

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        self.registrations.requests[request.name] = request
        return super().ReadResource(request)

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        self.registrations.lookups.append(request)
        return super().Invoke(request)

    def _registered(self, urn: str, request: Any) -> Any:
        if not request.type.startswith(_DYNAMIC):
            return super()._registered(urn, request)
        inputs = plain(json_format.MessageToDict(request.object))
        told = {"account": "local-0123", "uri": f"file:///x/{request.name}"}
        outputs = {**inputs, **(dict.fromkeys(told, mocks.UNKNOWN) if self._preview else told)}
        self._remember(urn, request, inputs, outputs, custom=True, adopted="")
        native_id = "" if self._preview else request.name
        return resource_pb2.RegisterResourceResponse(urn=urn, id=native_id, object=mocks._struct(outputs))


@dataclass(frozen=True)
class Platform:
    """A platform's stack and what it can be given.

    `base` are the keys without which there is none, `everything` all others that lead to resources, `adopted` what may
    exist before it, as it stands under `adopt`.
    """

    name: str
    base: Mapping[str, Any]
    everything: Mapping[str, Any]
    adopted: Mapping[str, Any]
    package: str = ""  # whose resources these are, as the engine names it
    config: Mapping[str, str] = field(default_factory=dict)  # of that package's provider

    @property
    def model(self) -> type[Configuration]:
        return of_platform(self.name)

    def configured(self, stage: str = "dev", *, stack: str = "", **values: Any) -> Configuration:
        return read(self.model, {**self.base, "stage": stage, **values}, stack=stack or f"{self.name}-{stage}")

    def stack(self, configuration: Configuration, options: pulumi.ResourceOptions | None = None) -> Component:
        module = import_module(f"mlinfra.infra.{self.name}.stack")
        return getattr(module, f"{self.name.capitalize()}Stack")(configuration.name, configuration, options)

    def provider(self, name: str) -> pulumi.ProviderResource:
        """A provider of one's own, as somebody's program would hand it over."""
        package = import_module(f"pulumi_{self.package.replace('-', '_')}")
        given = {key.partition(":")[2]: value for key, value in self.config.items()}
        return package.Provider(name, **given)

    def run(self, program: Callable[[], Any], *, preview: bool = False) -> Kept:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mocks, "StrictMonitor", Keeping)
            return mocks.run(program, config=self.config, preview=preview)  # type: ignore[return-value]  # Keeping's

    def up(self, stage: str = "dev", *, preview: bool = False, stack: str = "", **values: Any) -> Kept:
        """What the stack registers; in a preview every output is unknown."""
        key = json.dumps([self.name, stage, preview, stack, values], sort_keys=True)
        if key not in _RUNS:
            configuration = self.configured(stage, stack=stack, **values)
            _RUNS[key] = self.run(lambda: self.stack(configuration).export(), preview=preview)
        return _RUNS[key]

    def whole(self, stage: str = "dev", *, preview: bool = False, stack: str = "", **values: Any) -> Kept:
        """The same with everything configured."""
        return self.up(stage, preview=preview, stack=stack, **{**self.everything, **values})

    @property
    def while_adopting(self) -> dict[str, Any]:
        """Everything configured where everything exists already that can be adopted."""
        return {**{key: value for key, value in self.everything.items() if key != "network"}, "adopt": self.adopted}


_RUNS: dict[str, Kept] = {}  # the same configuration registers the same, and nobody changes what was found

_SUBJECTS: Final = ["repo:acme/risk:environment:dev", "repo:acme/risk:ref:refs/heads/main"]
_TRUST: Final = {"system": "github", "subjects": _SUBJECTS}
_TOLD: Final = {"notify": ["risk@example.org"]}  # without which there is no prod
_CLOUD: Final = {"tags": {"Team": "Risk", "costCentre": "K7"}, "trusts": [_TRUST]}

PLATFORMS: Final = {
    each.name: each
    for each in (
        Platform(
            "local",
            base={"platform": "local"},
            everything={"tags": {"Team": "Risk"}, "stores": ["artefacts", "data", "captures"]},
            adopted={"folder": "/srv/risk"},
        ),
        Platform(
            "aws",
            base={"platform": "aws", "region": "eu-west-1", "account": "111122223333", **_TOLD},
            everything={
                **_CLOUD,
                "models": ["credit-risk"],
                "secrets": ["risk-db"],
                "quotas": {"L-0123ABCD": 4},
                "endpoints": {
                    "credit": {
                        "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/mlinfra/serving@sha256:" + "0" * 64,
                        "model": "s3://models/credit/",
                        "scale": {"max": 3},
                    }
                },
                "watched": ["fraud"],
            },
            adopted={
                "buckets": {use: f"acme-{use}" for use in (*_STORES, "access-logs")},
                "key": "arn:aws:kms:eu-west-1:111122223333:key/acme",
                "network": {"vpc": "vpc-0a", "subnets": ["subnet-0a"], "security_groups": ["sg-0a"]},
                "roles": {each: f"arn:aws:iam::111122223333:role/acme-{each}" for each in _IDENTITIES},
                "identity_providers": {
                    "github": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
                },
                "topic": "arn:aws:sns:eu-west-1:111122223333:acme",
            },
            package="aws",
            config={"aws:region": "eu-west-1"},
        ),
        Platform(
            "azure",
            base={"platform": "azure", "region": "westeurope", "account": _SUBSCRIPTION, "tenant": _TENANT, **_TOLD},
            everything={
                **_CLOUD,
                "endpoints": ["credit"],
                "whole_endpoints": {
                    "fraud": {
                        "image": "acmerisk.azurecr.io/serving@sha256:" + "0" * 64,
                        "model": "fraud:3",
                        "scale": {"max": 3},
                    }
                },
                "clusters": {"cpu": {"machine": "Standard_DS3_v2"}},
                "shared_registry": "shared-models",
                "network": {"hosts": ["packages.acme.example"]},
            },
            adopted={
                "resource_group": "acme",
                "storage_account": f"{_GROUP}/Microsoft.Storage/storageAccounts/acmerisk",
                "data_account": f"{_GROUP}/Microsoft.Storage/storageAccounts/acmedata",
                "key_vault": f"{_GROUP}/Microsoft.KeyVault/vaults/acme-risk",
                "key": f"{_GROUP}/Microsoft.KeyVault/vaults/acme-keys/keys/storage",
                "identities": {
                    each: f"{_GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/acme-{each}"
                    for each in _IDENTITIES
                },
                "registry": f"{_GROUP}/Microsoft.ContainerRegistry/registries/acmerisk",
                "workspace": f"{_GROUP}/Microsoft.MachineLearningServices/workspaces/acme-risk",
                "log_analytics": f"{_GROUP}/Microsoft.OperationalInsights/workspaces/acme",
                "network": {
                    "subnet": f"{_GROUP}/Microsoft.Network/virtualNetworks/hub/subnets/endpoints",
                    "zones": {
                        kind: f"{_GROUP}/Microsoft.Network/privateDnsZones/{zone}" for kind, zone in _ZONES.items()
                    },
                },
            },
            package="azure-native",
            config={"azure-native:location": "westeurope"},
        ),
        Platform(
            "gcp",
            base={"platform": "gcp", "region": "europe-west4", "account": "acme-risk", **_TOLD},
            everything={
                **_CLOUD,
                "endpoints": ["credit"],
                "secrets": ["risk-db"],
                "pools": {"warm": {"machine": "n2-standard-4", "most": 3}},
                "tensorboard": True,
                "billing_account": "012345-6789AB-CDEF01",
                "network": {"nat": True},
            },
            adopted={
                "buckets": {use: f"acme-{use}" for use in _STORES},
                "key": "projects/keys/locations/europe-west4/keyRings/acme/cryptoKeys/acme",
                "network": {
                    "network": "projects/shared/global/networks/acme",
                    "subnetwork": "projects/shared/regions/europe-west4/subnetworks/acme",
                },
                "service_accounts": {each: f"acme-{each}@acme-risk.iam.gserviceaccount.com" for each in _IDENTITIES},
                "identity_pool": "projects/111122223333/locations/global/workloadIdentityPools/acme",
            },
            package="gcp",
            config={"gcp:project": "acme-risk", "gcp:region": "europe-west4"},
        ),
    )
}


@pytest.fixture
def platform(request: pytest.FixtureRequest) -> Platform:
    """The platform that the test is parametrised with, else the one of its folder."""
    return PLATFORMS[getattr(request, "param", request.path.parent.name)]


@pytest.fixture
def configured(platform: Platform) -> Callable[..., CloudConfiguration]:
    return platform.configured


@pytest.fixture
def up(platform: Platform) -> Callable[..., Kept]:
    return platform.up


@pytest.fixture
def whole(platform: Platform) -> Callable[..., Kept]:
    return platform.whole


class Refusals:
    """What a platform refuses to be configured to: the problems told, and what no case is about."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._model = platform.model

    def of(self, changed: Mapping[str, Any], model: type[Configuration] | None = None) -> list[Problem]:
        """The problems of what is needed with these keys changed; None takes a key away."""
        values = {key: value for key, value in {**self._platform.base, **changed}.items() if value is not None}
        try:
            read(model or self._model, values, stack=f"{self._platform.name}-dev")
        except SpecError as exc:
            return list(exc.problems)
        return []

    def fields_without_case(self, keys: Iterable[str]) -> set[str]:
        """The platform's own keys of which not any text is right, and that no case names."""
        named = {place for key in keys for place in _places(self._model, key.removeprefix("mlinfra:").split("."))}
        return _bounded(self._model) - named

    def rules_without_case(self, cases: Iterable[Mapping[str, Any]]) -> set[str]:
        """The platform's own rules that no case breaks."""
        well_formed = _with_rules(self._model)
        given = [changed for changed in cases if not self.of(changed, well_formed)]
        own = [rule for rule in self._model.RULES if rule not in CloudConfiguration.RULES]
        return {
            rule.problems.__qualname__
            for rule in own
            if not any(self.of(changed, _with_rules(self._model, rule)) for changed in given)
        }


def _with_rules(model: type[Configuration], *rules: Rule) -> type[Configuration]:
    """The model with these rules and no others, and every field as it is."""
    return type(model.__name__, (model,), {"RULES": rules, "__module__": model.__module__})


def _places(model: type[BaseModel], path: list[str]) -> Iterator[str]:
    """The fields that a key leads through: `AdoptedNetwork.vpc`; names and numbers of items are no fields."""
    inner: type[BaseModel] | None = model
    for part in path:
        if inner is not None and part in inner.model_fields:
            yield f"{inner.__name__}.{part}"
            inner = _inner_model(inner.model_fields[part].annotation)


def _bounded(model: type[BaseModel]) -> set[str]:
    """The fields, those of parts included, that have a form, bounds or words; truth values and free texts have none."""
    found = set()
    for name, info in model.model_fields.items():
        if name in CloudConfiguration.model_fields and name not in vars(model)["__annotations__"]:
            continue  # of every cloud
        inner = _inner_model(info.annotation)
        if inner is not None:
            found |= _bounded(inner)
        elif info.metadata or info.annotation not in {bool, str, dict[str, str]}:
            found.add(f"{model.__name__}.{name}")
    return found


@pytest.fixture
def refusals(platform: Platform) -> Refusals:
    return Refusals(platform)
