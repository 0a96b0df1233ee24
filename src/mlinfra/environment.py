"""The environment: the one bridge between stacks and adapters.

A stack exports this document, `env sync` keeps it, an adapter reads it. It names where things are (stores,
identities, networks, keys, vaults) and never holds a secret. What people or stacks write is checked strictly;
a document of a newer kit is refused by its schema version, not guessed at.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mlinfra.errors import Problem, SpecError
from mlinfra.spec.names import Name  # noqa: TC001  pydantic reads the annotation

Stage = Literal["dev", "staging", "prod"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class StoreLocation(_Part):
    """An object store, or a prefix in one."""

    uri: str = Field(
        description="Base address: s3://bucket/prefix, gs://bucket/prefix, https://account.blob…/container"
    )
    key: str = Field("", description="Name under `keys` of the key that encrypts it; empty for the platform's own")
    options: dict[str, str] = Field(default_factory=dict, description="What only this platform's client needs")


class Image(_Part):
    """A container image, by digest where it was built or pinned."""

    uri: str = Field(description="Image reference; with @sha256:… it is pinned")
    python: str = Field("", description="The interpreter inside, as major.minor, where known")


class Network(_Part):
    """Where jobs and endpoints run inside the platform's network."""

    id: str = Field("", description="VPC or VNet")
    subnets: tuple[str, ...] = Field((), description="Subnets, by the platform's id")
    security_groups: tuple[str, ...] = Field((), description="Security groups or tags")
    isolated: bool = Field(default=False, description="Containers reach no network at all")
    private_endpoints: bool = Field(default=False, description="Endpoints answer inside the network alone")


class Tracking(_Part):
    """Where runs and metrics are kept beside the platform's own metrics."""

    uri: str = Field("", description="MLflow tracking address")
    kind: Literal["", "mlflow", "native"] = Field("", description="Which protocol the address speaks")
    experiment: str = Field("", description="Experiment under which runs are filed")


_ALARMS = (
    "Alarms that guard a rollout where the platform watches; one called `error_rate above 1%` stands for that rule of "
    "`rollback_on`, in place of the one that the kit would make"
)


class Observability(_Part):
    """Where logs, metrics and alarms go."""

    logs: str = Field("", description="Log group, bucket or workspace")
    dashboard: str = Field("", description="Address of the dashboard")
    alarms: dict[str, str] = Field(default_factory=dict, description=_ALARMS)
    notify: str = Field("", description="Topic or action group that is told")


class Lifetimes(_Part):
    """Default times to live, in seconds; 0 means for ever."""

    endpoint: int = Field(0, ge=0, description="Endpoints that say nothing themselves")
    capture: int = Field(0, ge=0, description="Captured requests")


class Environment(_Part):
    """What is the same on every platform. A platform that the kit does not know uses this model as it is."""

    schema_version: Literal[1] = Field(1, description="Version of this document's shape")
    name: Name = Field(description="Free name, unique for its user: aws-dev")
    platform: str = Field(description="Which adapter runs it")
    stage: Stage = Field("dev", description="Security profile, protection and sizes")
    region: str = Field("", description="The platform's region")
    account: str = Field("", description="Account, project or subscription that credentials are compared with")
    protected: bool = Field(default=False, description="Destructive verbs need --confirm NAME")
    emulated: bool = Field(default=False, description="An emulator answers, no cloud")
    stores: dict[str, StoreLocation] = Field(default_factory=dict, description="artefacts, data, captures, …")
    identities: dict[str, str] = Field(default_factory=dict, description="trainer, server, deployer, approver, …")
    registries: dict[str, str] = Field(default_factory=dict, description="images, models")
    compute: dict[str, str] = Field(default_factory=dict, description="Named clusters, pools, warm capacity")
    images: dict[str, Image] = Field(default_factory=dict, description="base, runner, serving")
    vaults: dict[str, str] = Field(default_factory=dict, description="Where secrets are, by name")
    keys: dict[str, str] = Field(default_factory=dict, description="Encryption keys, by use")
    network: Network = Field(default_factory=Network, description="Network placement")
    tracking: Tracking = Field(default_factory=Tracking, description="Experiment tracking")
    observability: Observability = Field(default_factory=Observability, description="Logs, metrics, alarms")
    lifetimes: Lifetimes = Field(default_factory=Lifetimes, description="Default times to live")
    approval: tuple[Stage, ...] = Field(("prod",), description="Stages in which deploy asks for an approved version")
    python_index: str = Field("", description="Package index for jobs; empty for the user's own setting")
    proxy: str = Field("", description="HTTP proxy that containers use")
    ca_bundle: str = Field("", description="Certificate bundle that containers trust")
    tags: dict[str, str] = Field(default_factory=dict, description="Native tags on everything, any case")
    endpoints: dict[str, str] = Field(default_factory=dict, description="Service addresses other than the vendor's own")
    native: dict[str, Any] = Field(default_factory=dict, description="What only this platform's adapter knows")

    @property
    def place(self) -> tuple[str, ...]:
        """What sets this environment apart from every other, beside platform and name."""
        return (self.account, self.region)

    @property
    def id(self) -> str:
        """Platform, place and name: the same for everybody who uses this environment."""
        return ":".join((self.platform, *self.place, self.name))

    @property
    def suffix(self) -> str:
        """Six hex digits of the id, for names that must be unique across customers."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:6]

    @property
    def needs_approval(self) -> bool:
        """Whether deploy asks for a version that somebody else approved."""
        return self.stage in self.approval

    def as_document(self) -> dict[str, Any]:
        """The JSON document that a stack exports and `parse` reads; defaults are left out."""
        return {
            "schema_version": self.schema_version,
            "platform": self.platform,
            **self.model_dump(mode="json", exclude_defaults=True),
        }


def _known_folder(root: str) -> str:
    if not root.startswith("/"):
        raise ValueError("must be an absolute path")
    return root


class LocalEnvironment(Environment):
    """The machine at hand."""

    platform: Literal["local"] = Field("local", description="Which adapter runs it")
    root: Annotated[str, AfterValidator(_known_folder)] = Field(description="Folder that holds everything it makes")
    slots: int = Field(0, ge=0, description="Jobs at once; 0 for one per processor")

    @property
    def place(self) -> tuple[str, ...]:
        """The machine's account and the folder."""
        return (self.account, self.root)


class AwsEnvironment(Environment):
    """An account and region of Amazon Web Services."""

    platform: Literal["aws"] = Field("aws", description="Which adapter runs it")
    region: str = Field(description="AWS region, eu-west-1")
    account: Annotated[str, Field(pattern=r"^\d{12}$")] = Field(description="Twelve-digit account id")
    permission_boundary: str = Field("", description="ARN set on roles that the kit makes")
    warm_pool_seconds: int = Field(0, ge=0, le=21600, description="How long instances are kept after a job")


class AzureEnvironment(Environment):
    """A workspace of Azure Machine Learning."""

    platform: Literal["azure"] = Field("azure", description="Which adapter runs it")
    region: str = Field(description="Azure region, westeurope")
    account: str = Field(description="Subscription id")
    resource_group: str = Field(description="Resource group of the workspace")
    workspace: str = Field(description="Workspace")
    registry: str = Field("", description="Shared registry for models and images")

    @property
    def place(self) -> tuple[str, ...]:
        """Subscription, resource group, workspace and region."""
        return (self.account, self.resource_group, self.workspace, self.region)


class GcpEnvironment(Environment):
    """A project and region of Google Cloud."""

    platform: Literal["gcp"] = Field("gcp", description="Which adapter runs it")
    region: str = Field(description="Google Cloud region, europe-west4")
    account: str = Field(description="Project id")
    tensorboard: str = Field("", description="Resource name of the TensorBoard that jobs write to")
    dedicated_endpoints: bool = Field(default=True, description="Endpoints have an address of their own")


MODELS: dict[str, type[Environment]] = {
    "local": LocalEnvironment,
    "aws": AwsEnvironment,
    "azure": AzureEnvironment,
    "gcp": GcpEnvironment,
}


def parse(document: dict[str, Any], *, file: str = "") -> Environment:
    """The environment that a document describes, by its platform's model.

    Raises:
        SpecError: holds every problem of the document.
    """
    model = MODELS.get(str(document.get("platform")), Environment)
    try:
        return model.model_validate(document)
    except ValidationError as exc:
        problems = [
            Problem(
                what=error["msg"],
                path=".".join(map(str, error["loc"])),
                file=file,
                given="" if error["type"] == "missing" else repr(error["input"]),
                allowed=model.model_fields[str(error["loc"][0])].description or ""
                if error["loc"] and str(error["loc"][0]) in model.model_fields
                else "keys: " + ", ".join(sorted(model.model_fields)),
            )
            for error in exc.errors(include_url=False)
        ]
        raise SpecError(
            f"not an environment of platform {document.get('platform')!r}",
            problems=problems,
            todo="correct the document, or let `mlinfra env sync` read the stack's output again",
        ) from exc


def dumps(environment: Environment) -> str:
    """The environment's document as text, the same for the same environment."""
    return json.dumps(environment.as_document(), indent=2, sort_keys=True) + "\n"
