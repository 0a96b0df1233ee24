"""The configuration of an AWS stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mlinfra.errors import Problem
from mlinfra.infra.configuration import CloudConfiguration, Part, Rule, address_range, one_network
from mlinfra.infra.scale import EndpointScale, sound_scales
from mlinfra.spec.names import EndpointName, Name  # noqa: TC001  pydantic reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

STORES = ("artefacts", "data", "captures", "approvals")
ROLES = ("trainer", "server", "deployer", "approver")
# Prefix lengths between which three subnets fit and a VPC may have.
_RANGE = address_range("10.80.0.0/16", largest=16, smallest=24, what="VPC")

Arn = Annotated[str, Field(pattern=r"^arn:aws[\w-]*:[\w-]+:[\w-]*:(\d{12})?:.+$")]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[\w-]*:iam::\d{12}:role/.+$")]
SignerArn = Annotated[str, Field(pattern=r"^arn:aws[\w-]*:iam::\d{12}:oidc-provider/.+$")]


class Network(Part):
    """The network that the stack makes where the stage is private."""

    cidr: Annotated[str, _RANGE] = Field("10.80.0.0/16", description="The VPC's range of addresses, /16 to /24")


class AdoptedNetwork(Part):
    """A network that exists: jobs and endpoints run in it, and the stack changes nothing of it."""

    vpc: str = Field(pattern=r"^vpc-[0-9a-f]+$", description="The VPC: vpc-…")
    subnets: Annotated[tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")], ...], Field(min_length=1)] = Field(
        description="Private subnets: subnet-…"
    )
    security_groups: Annotated[tuple[Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")], ...], Field(min_length=1)] = (
        Field(description="Security groups: sg-…")
    )


class Adopted(Part):
    """What exists already and is used as it is: never changed, never destroyed."""

    buckets: dict[Literal["artefacts", "data", "captures", "approvals", "access-logs"], str] = Field(
        default_factory=dict, description="Buckets by use: artefacts, data, captures, approvals, access-logs"
    )
    key: Arn | None = Field(None, description="KMS key by ARN")
    network: AdoptedNetwork | None = Field(None, description="Network: vpc, subnets, security_groups")
    roles: dict[Literal["trainer", "server", "deployer", "approver", "ci"], RoleArn] = Field(
        default_factory=dict, description="Roles by identity: trainer, server, deployer, approver, ci"
    )
    identity_providers: dict[Literal["github", "gitlab", "azure-devops"], SignerArn] = Field(
        default_factory=dict, description="OpenID Connect providers by CI system; an account has one an issuer"
    )
    topic: Arn | None = Field(None, description="SNS topic that alarms and budgets tell")


class Endpoint(Part):
    """An endpoint that the stack owns whole; `mlinfra endpoint deploy` refuses it."""

    image: str = Field(description="Serving image in ECR, by digest")
    model: Annotated[str, Field(pattern=r"^s3://[a-z0-9.-]+/.+$")] = Field(
        description="The model's files: s3://bucket/prefix/ or a .tar.gz"
    )
    machine: Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")] = Field(
        "ml.m5.large", description="Machine type"
    )
    scale: EndpointScale = Field(default_factory=EndpointScale, description="Instances: min, max, requests_per_minute")
    env: dict[str, str] = Field(default_factory=dict, description="Variables of the container")


class AwsConfiguration(CloudConfiguration):
    """An environment in an account and region of AWS."""

    platform: Literal["aws"] = Field("aws", description="Where the environment is")
    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d$")] = Field(description="AWS region: eu-west-1")
    account: Annotated[str, Field(pattern=r"^\d{12}$")] = Field(description="Twelve-digit account id")
    permission_boundary: Arn | None = Field(None, description="Policy ARN set on every role that the stack makes")
    role_path: Annotated[str, Field(pattern=r"^/([\w+=,.@-]+/)*$")] = Field(
        "/", description="Path of the roles that the stack makes: /mlinfra/"
    )
    key_administrators: tuple[Arn, ...] = Field((), description="Who may manage the key beside the account itself")
    warm_pool_seconds: int = Field(0, ge=0, le=21600, description="How long instances are kept after a job")
    quotas: dict[Annotated[str, Field(pattern=r"^L-[0-9A-F]{8}$")], float] = Field(
        default_factory=dict, description="Service quotas of SageMaker to ask for: {L-XXXXXXXX: 4}"
    )
    models: tuple[Name, ...] = Field((), description="Models whose package groups the stack makes")
    secrets: tuple[Name, ...] = Field((), description="Secrets that jobs may read; the stack makes them empty")
    endpoints: dict[Name, Endpoint] = Field(default_factory=dict, description="Endpoints that the stack owns whole")
    watched: tuple[EndpointName, ...] = Field(
        (), description="Endpoints of `mlinfra endpoint deploy` whose errors and slowness alarms tell of"
    )
    network: Network = Field(default_factory=Network, description="The network that the stack makes: cidr")
    isolated: bool = Field(default=False, description="Containers reach no network at all, not even their stores")
    adopt: Adopted = Field(default_factory=Adopted, description="What exists already and is used")

    RULES: ClassVar[tuple[Rule, ...]]

    @property
    def native_id(self) -> str:
        """Account, region and name."""
        return f"aws:{self.account}:{self.region}:{self.name}"

    @property
    def known_signers(self) -> frozenset[str]:
        """The systems whose provider is adopted."""
        return frozenset(map(str, self.adopt.identity_providers))

    @property
    def told(self) -> bool:
        """Whether an alarm reaches somebody: an adopted topic has readers of its own."""
        return bool(self.notify or self.adopt.topic)


def _own_account(configuration: AwsConfiguration) -> Iterable[Problem]:
    """Keys and topics may be another account's; roles that jobs run as may not."""
    for identity, arn in configuration.adopt.roles.items():
        if f"::{configuration.account}:" not in arn:
            yield Problem(
                "a role of another account",
                f"adopt.roles.{identity}",
                given=arn,
                allowed=f"a role of account {configuration.account}",
            )


def _own_region(configuration: AwsConfiguration) -> Iterable[Problem]:
    for name, arn in (("key", configuration.adopt.key), ("topic", configuration.adopt.topic)):
        if arn and f":{configuration.region}:" not in arn:
            yield Problem(
                "lies in another region", f"adopt.{name}", given=arn, allowed=f"one in {configuration.region}"
            )


def _watched(configuration: AwsConfiguration) -> Iterable[Problem]:
    for place, name in enumerate(configuration.watched):
        if name in configuration.endpoints:
            yield Problem(
                "an endpoint that the stack owns has alarms of its own",
                f"watched.{place}",
                given=name,
                allowed="an endpoint that `mlinfra endpoint deploy` makes",
            )
        if name in configuration.watched[:place]:
            yield Problem("is watched twice", f"watched.{place}", given=name, allowed="each endpoint once")


AwsConfiguration.RULES = (
    *CloudConfiguration.RULES,
    Rule(("adopt", "account"), _own_account),
    Rule(("adopt", "region"), _own_region),
    one_network(),
    sound_scales("endpoints"),
    Rule(("watched", "endpoints"), _watched),
)
