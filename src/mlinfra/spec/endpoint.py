"""A stable address, and the model versions behind it with their shares of the traffic."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlinfra.spec import defaults
from mlinfra.spec.base import Check, Model
from mlinfra.spec.findings import Finding
from mlinfra.spec.hosting import Asynchronous, Serverless
from mlinfra.spec.limits import DEPLOYMENTS, REPLICAS
from mlinfra.spec.model_reference import ModelReference
from mlinfra.spec.names import EndpointName, MachineType, Platform
from mlinfra.spec.notation import collected
from mlinfra.spec.quantities import Duration, Percent, PositiveDuration, Share, positive_duration
from mlinfra.spec.resources import EndpointResources
from mlinfra.spec.rollout import Rollout
from mlinfra.spec.scalars import Plain, Text
from mlinfra.spec.spec import Spec

MAIN = "main"  # the deployment that `model: …` is short for

Column = Annotated[str, Text(r"[^\x00-\x1f\x7f]{1,128}", "1 to 128 printable characters", "column name")]
Caller = Annotated[
    str, Text(r"[^\s\x00-\x1f]{1,512}", "an identity as the platform names it, without spaces", "name of a caller")
]


def time_to_live(value: object) -> Duration | Literal["never"]:
    """A length of time above zero, or `never`."""
    return "never" if value == "never" else positive_duration(value)


def _bounds(scale: "Scale") -> Iterator[Finding]:
    if scale.max < max(scale.min, 1):
        yield Finding(
            ("max",), "too few replicas", f"{max(scale.min, 1)} or more", "raise max", scale.max, has_value=True
        )


def _public(access: "Access") -> Iterator[Finding]:
    if access.public and access.callers:
        todo = "remove callers, or write public: false"
        yield Finding(("callers",), "callers of a public endpoint", "callers or public", todo, at_key=True)


def _one_way(endpoint: "EndpointSpec") -> Iterator[Finding]:
    if endpoint.model is None and not endpoint.variants:
        yield Finding((), "nothing to serve", "model or deployments", "add `model: NAME@ALIAS`")
    elif endpoint.model is not None and endpoint.variants:
        yield Finding(("deployments",), "beside model", "model or deployments", "remove one of them", at_key=True)


def _traffic(endpoint: "EndpointSpec") -> Iterator[Finding]:
    shares = {name: variant.traffic for name, variant in endpoint.variants.items()}
    silent = [name for name, share in shares.items() if share is None]
    if silent and len(shares) > 1:
        todo = "give each deployment a share"
        yield Finding(("deployments", silent[0]), "no traffic said", "traffic for each of several", todo)
    elif shares and not silent and (total := sum(share or 0 for share in shares.values())) != Share(100):
        loc = ("deployments", list(shares)[-1], "traffic")
        what = f"the shares add up to {total:g}%"
        yield Finding(loc, what, "100% in all", "correct the shares", str(shares[loc[1]]), has_value=True)


def _at_once() -> Rollout:
    return Rollout(strategy="all_at_once", bake=Duration(0), min_requests=0)


def _whole(endpoint: "EndpointSpec") -> Iterator[Finding]:
    """What does not go together with a deployment that takes another's place whole."""
    way = next((name for name in ("serverless", "asynchronous") if getattr(endpoint, name) is not None), None)
    if way is None:
        return
    wishes = {
        "asynchronous": (way == "serverless" and endpoint.asynchronous is not None, "one of the two"),
        "deployments": (len(endpoint.deployments) > 1, "one deployment"),
        "rollout": (endpoint.rollout != _at_once(), "all at once, which is what holds without it"),
        "scale": (way == "serverless" and endpoint.scale != Scale(), "serverless.concurrency"),
        "resources": (way == "serverless" and endpoint.resources != EndpointResources(), "serverless.memory"),
        "machine": (way == "serverless" and bool(endpoint.machine), "serverless.memory"),
    }
    for name, (is_asked, allowed) in wishes.items():
        if is_asked:
            what = f"does not go with {way}"
            yield Finding((name,), what, allowed, f"remove {name} or {way}", at_key=True)


TimeToLive = Annotated[
    Duration | Literal["never"],
    Plain(
        collected(time_to_live),
        f"never, or {Duration.ALLOWED}",
        {"anyOf": [{"const": "never"}, {"type": "string", "pattern": Duration.PATTERN}]},
    ),
]


class PerReplica(Model):
    """What one replica bears."""

    requests_per_minute: int | None = Field(
        default=None, ge=1, description="Requests a minute before another is added."
    )


class Scale(Model):
    """How many replicas each deployment has."""

    CHECKS: ClassVar[tuple[Check, ...]] = (Check(("min", "max"), _bounds),)

    min: int = Field(default=1, ge=0, le=REPLICAS, description="Replicas that are always there.")
    max: int = Field(default=1, ge=1, le=REPLICAS, description="Replicas at most.")
    per_replica: PerReplica = Field(default_factory=PerReplica, description="The load that one replica bears.")


class Capture(Model):
    """Which requests are recorded, so that they can be replayed and joined with what really happened."""

    sample: Percent = Field(default=defaults.CAPTURE_SAMPLE, description="The share of requests that is recorded.")
    exclude: Annotated[tuple[Column, ...], Field(strict=False)] = Field(
        default=(), description="Columns that are masked in the records."
    )
    retain: PositiveDuration = Field(default=defaults.CAPTURE_RETAIN, description="How long records are kept.")


class Access(Model):
    """Who may call."""

    CHECKS: ClassVar[tuple[Check, ...]] = (Check(("callers", "public"), _public),)

    callers: Annotated[tuple[Caller, ...], Field(strict=False)] = Field(
        default=(), description="Identities that may call, besides those that the environment lets in."
    )
    public: bool = Field(default=False, description="Whether anybody who knows the address may call.")


class Deployment(Model):
    """One model version behind an endpoint."""

    model: ModelReference = Field(description="The version to serve: NAME@ALIAS, NAME:VERSION or NAME@sha256:DIGEST.")
    traffic: Share | None = Field(default=None, description="Its share of the requests; all of them where it is alone.")
    resources: EndpointResources | None = Field(default=None, description="In place of the endpoint's resources.")


class EndpointSpec(Spec):
    """A stable address with model versions behind it."""

    kind: ClassVar[str] = "endpoint"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        *Spec.CHECKS,
        Check(("model", "deployments"), _one_way),
        Check(("deployments",), _traffic),
        Check(("serverless", "asynchronous", "deployments", "rollout", "scale", "resources", "machine"), _whole),
    )

    name: EndpointName = Field(description="The name in files and commands. The physical name adds six digits.")
    model: ModelReference | None = Field(default=None, description="Short for `deployments: {main: {model: …}}`.")
    variants: Mapping[EndpointName, Deployment] = Field(
        default_factory=dict,
        alias="deployments",
        max_length=DEPLOYMENTS,
        description="Standing variants by name, for A/B tests. Excludes model.",
    )
    resources: EndpointResources = Field(
        default_factory=EndpointResources, description="What each replica needs at least."
    )
    machine: Mapping[Platform, MachineType] = Field(
        default_factory=dict, description="The exact machine type by platform, where the choice must be exact."
    )
    scale: Scale = Field(default_factory=Scale, description="How many replicas each deployment has.")
    serverless: Serverless | None = Field(
        default=None, description="Servers that are there only while somebody asks, in place of resources and scale."
    )
    asynchronous: Asynchronous | None = Field(
        default=None, description="Requests that wait in a queue and are answered into the environment's store."
    )
    rollout: Rollout = Field(
        default_factory=_at_once,
        description="How a new version takes over. Without it: all at once, as soon as it is ready.",
    )
    capture: Capture | None = Field(
        default=None, description="Recording of requests and answers. Off unless asked for."
    )
    access: Access = Field(default_factory=Access, description="Who may call.")
    ttl: TimeToLive | None = Field(
        default=None, description="When the endpoint is deleted by itself. Without it 8h in stage dev, never elsewhere."
    )

    @property
    def deployments(self) -> Mapping[str, Deployment]:
        """What stands behind the endpoint, each with its share of the traffic, however it was written."""
        variants = self.variants if self.model is None else {MAIN: Deployment(model=self.model)}
        return {
            name: variant if variant.traffic is not None else variant.model_copy(update={"traffic": Share(100)})
            for name, variant in variants.items()
        }

    @property
    def replaced_whole(self) -> bool:
        """Whether a new deployment takes the old one's place as the platform does it, never beside it."""
        return self.serverless is not None or self.asynchronous is not None

    def time_to_live(self, stage: str) -> Duration | None:
        """When it is deleted by itself in an environment of that stage; None means never."""
        if self.ttl is None:
            return defaults.ENDPOINT_TTL.get(stage)
        return None if self.ttl == "never" else self.ttl
