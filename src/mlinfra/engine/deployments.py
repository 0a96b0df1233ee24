"""From an endpoint's spec and its resolved models to the release that should stand behind it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.contract.endpoints import DeploymentDesired, Rule
from mlinfra.contract.jobs import ID_TAG, Artefact
from mlinfra.engine import traffic
from mlinfra.engine.identity import ID_DIGITS, digest
from mlinfra.engine.releases import Release
from mlinfra.engine.rollout_rules import Policy
from mlinfra.spec import defaults
from mlinfra.spec.names import derive_name
from mlinfra.spec.quantities import Percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.adapter import Adapter
    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

# What belongs to the endpoint as a whole, or is told apart below: a change of it makes no new deployment.
_NOT_OF_A_DEPLOYMENT = frozenset(
    {
        "name",
        "tags",
        "environments",
        "model",
        "deployments",
        "resources",
        "scale",
        "rollout",
        "access",
        "ttl",
        "capture",
    }
)
_NAME_DIGITS = 8  # hex digits that tell two deployments of a variant apart


@dataclass(frozen=True)
class Served:
    """A model version to be served and its package's manifest."""

    version: VersionObservation
    manifest: Document = field(default_factory=dict)


def release_of(
    spec: EndpointSpec, models: Mapping[str, Served], environment: Environment, adapter: Adapter, capture_uri: str
) -> Release:
    """The release that a spec asks for. `models` holds what each variant serves.

    `capture_uri` is where this endpoint's capture records go.

    Raises:
        CapabilityError: the platform has no machine or image for it.
    """
    capture = capture_settings(spec, capture_uri)
    deployments = []
    for variant in spec.deployments:
        makes = {"spec": _makes(spec, variant, environment, adapter), "capture": capture}
        deployments.append(_deployment(spec, variant, models[variant], environment, makes))
    return Release(spec, tuple(deployments))


def policy_of(spec: EndpointSpec) -> Policy:
    """How the spec wants its rollouts to go."""
    rollout = spec.rollout
    return Policy(
        steps=tuple(map(int, rollout.steps)) if rollout.strategy == "canary" else (traffic.WHOLE,),
        bake=float(rollout.bake),
        min_requests=rollout.min_requests,
        on_no_data=rollout.on_no_data,
        rules=tuple(
            Rule(rule.metric, rule.above.fraction if isinstance(rule.above, Percent) else float(rule.above))
            for rule in rollout.rollback_on
        ),
        enough=defaults.ROLLBACK_REQUESTS,
    )


def capture_settings(spec: EndpointSpec, uri: str) -> Document:
    """What the server is told about capture; empty where none is asked for."""
    if spec.capture is None:
        return {}
    return {
        "capture": uri,
        "capture_sample": spec.capture.sample.fraction,
        "capture_exclude": sorted(spec.capture.exclude),
    }


def _deployment(
    spec: EndpointSpec, variant: str, served: Served, environment: Environment, makes: Document
) -> DeploymentDesired:
    version = served.version
    identity = digest({**makes, "model": version.digest})
    name = derive_name("deployment", environment.platform, variant, identity[:_NAME_DIGITS])
    return DeploymentDesired(
        name=name,
        variant=variant,
        model=version.model,
        version=version.version,
        digest=version.digest,
        native_model=version.native_id,
        artefact=version.artefact or Artefact(uri=""),
        traffic=_share(spec, variant),
        replicas=max(1, spec.scale.min),
        server={
            "endpoint": spec.name,
            "deployment": name,
            "name": version.model,
            "version": version.version,
            "digest": version.digest,
            **makes["capture"],
        },
        manifest=served.manifest,
        tags={**environment.tags, **spec.tags, ID_TAG: identity[:ID_DIGITS]},
    )


def _share(spec: EndpointSpec, variant: str) -> int:
    share = spec.deployments[variant].traffic
    return traffic.WHOLE if share is None else int(share)


def _makes(spec: EndpointSpec, variant: str, environment: Environment, adapter: Adapter) -> Document:
    """What makes a deployment of this variant what it is, apart from its model and the server's settings."""
    own = spec.model_copy(update={"resources": spec.deployments[variant].resources or spec.resources})
    return {
        **{key: value for key, value in spec.as_document().items() if key not in _NOT_OF_A_DEPLOYMENT},
        "resources": own.resources.as_document(),
        "choices": [[each.subject, each.value, each.count] for each in adapter.endpoints.choices(own, environment)],
    }
