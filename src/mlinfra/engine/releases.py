"""A release: everything that stands behind an endpoint at one time, as it can be desired again later. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlinfra.contract.endpoints import DeploymentDesired
from mlinfra.contract.jobs import Artefact
from mlinfra.contract.states import EndpointState
from mlinfra.spec import EndpointSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation
    from mlinfra.contract.requests import Document


@dataclass(frozen=True)
class Release:
    """The deployments of an endpoint with their traffic, and the spec that they were made from."""

    spec: EndpointSpec
    deployments: tuple[DeploymentDesired, ...]
    expires: datetime | None = None

    @property
    def traffic(self) -> dict[str, int]:
        """Deployment name -> percent."""
        return {deployment.name: deployment.traffic for deployment in self.deployments}

    @property
    def names(self) -> frozenset[str]:
        """The names of its deployments."""
        return frozenset(self.traffic)

    @property
    def complete(self) -> bool:
        """Whether enough is known of its deployments to make them again."""
        return all(each.artefact.uri for each in self.deployments)

    @property
    def title(self) -> str:
        """Its model versions in words: `credit-risk:3`, with several the shares beside them."""
        if len(self.deployments) == 1:
            return version_of(self.deployments[0])
        return ", ".join(f"{version_of(each)} {each.traffic} %" for each in self.deployments)

    def with_traffic(self, traffic: Mapping[str, int]) -> Release:
        """The same deployments with other shares; those not named get none."""
        deployments = tuple(replace(each, traffic=traffic.get(each.name, 0)) for each in self.deployments)
        return replace(self, deployments=deployments)

    def keeping(self, others: Iterable[DeploymentDesired]) -> Release:
        """This release with further deployments beside its own, without traffic."""
        kept = tuple(replace(each, traffic=0) for each in others if each.name not in self.names)
        return replace(self, deployments=(*self.deployments, *kept))

    def as_document(self) -> Document:
        """The record in the store."""
        return {
            "spec": self.spec.as_document(),
            "deployments": [asdict(each) for each in self.deployments],
            "expires": self.expires.isoformat() if self.expires else None,
        }

    @classmethod
    def from_document(cls, document: Document) -> Release:
        """The release that `as_document` wrote."""
        expires = document["expires"]
        return cls(
            spec=EndpointSpec.from_document(document["spec"]),
            deployments=tuple(
                DeploymentDesired(**{**each, "artefact": Artefact(**each["artefact"])})
                for each in document["deployments"]
            ),
            expires=datetime.fromisoformat(expires) if expires else None,
        )


def serving(observed: EndpointObservation | None, known: Iterable[Release], spec: EndpointSpec) -> Release | None:
    """What an endpoint serves now, as the platform tells it; None where nothing has traffic.

    `known` releases, the likeliest first, lend what a platform does not tell of a deployment; without any, what it
    tells is enough to keep the deployment, not to make it again. `spec` stands in for one that is not recorded.
    """
    if observed is None or not any(each.traffic for each in observed.deployments):
        return None
    releases = list(known)
    asked = {name for name, share in observed.traffic.items() if share}
    alike = next((each for each in releases if asked <= each.names <= observed.traffic.keys()), None)
    recorded = {each.name: each for release in reversed(releases) for each in release.deployments}
    kept = alike.names if alike else asked
    deployments = tuple(_as_it_is(each, recorded.get(each.name)) for each in observed.deployments if each.name in kept)
    return Release(alike.spec if alike else spec, deployments, observed.expires)


def sized(release: Release, old: Release | None, observed: EndpointObservation | None) -> Release:
    """The release with as many replicas as each deployment has, or its predecessor: the load that needs them comes."""
    running = {each.variant: each.replicas for each in old.deployments} if old else {}
    there = {each.name: each.replicas for each in observed.deployments} if observed else {}
    deployments = []
    for each in release.deployments:
        now = there.get(each.name) or running.get(each.variant) or 0
        deployments.append(replace(each, replicas=min(release.spec.scale.max, max(each.replicas, now))))
    return replace(release, deployments=tuple(deployments))


def version_of(deployment: DeploymentDesired) -> str:
    """`<model>:<version>`."""
    return f"{deployment.model}:{deployment.version}"


def has_ended(observed: EndpointObservation, now: datetime) -> bool:
    """Whether the endpoint's time to live is over and nothing answers behind it; what the platform left is a shell."""
    over = observed.expires is not None and observed.expires <= now
    return over and not any(each.state is EndpointState.READY for each in observed.deployments)


def failed(observed: EndpointObservation | None) -> list[DeploymentObservation]:
    """The deployments that failed and have no traffic: left behind by something that ended badly."""
    deployments = observed.deployments if observed else ()
    return [each for each in deployments if each.state is EndpointState.FAILED and not each.traffic]


def _as_it_is(observed: DeploymentObservation, recorded: DeploymentDesired | None) -> DeploymentDesired:
    if recorded is not None:
        return replace(recorded, traffic=observed.traffic, replicas=observed.replicas or recorded.replicas)
    return DeploymentDesired(
        name=observed.name,
        variant=observed.name,
        model=observed.model,
        version=observed.version,
        digest=observed.digest,
        native_model="",
        artefact=Artefact(uri=""),
        traffic=observed.traffic,
        replicas=observed.replicas,
        tags=observed.tags,
    )
