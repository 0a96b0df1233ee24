"""What stands, as `observe.endpoint` noted it down in an observation's `native`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document

STANDING_BY, SERVERLESS, ASYNCHRONOUS = "by servers that stand by", "serverless", "asynchronously"


@dataclass(frozen=True)
class Variant:
    """A production variant: the configuration's `body` for it, the tag that says what it serves, and its state.

    `name` is the variant's, `deployment` the kit's; the two differ where the platform's own guard put a deployment in
    another's place.
    """

    name: str
    deployment: str
    tag: str
    body: Document
    share: int
    replicas: int


@dataclass(frozen=True)
class Standing:
    """An endpoint with all that was made for it.

    `configs` are name -> when made, `alarms` name -> bound; targets and policies are by variant.
    """

    arn: str
    status: str
    reason: str
    config: str
    modified: datetime | None
    variants: tuple[Variant, ...]
    configs: Mapping[str, datetime]
    models: frozenset[str]
    targets: Mapping[str, tuple[int, int]]
    policies: Mapping[str, float]
    alarms: Mapping[str, float]
    asynchronous: bool

    @classmethod
    def of(cls, observed: EndpointObservation | None) -> Standing:
        """What an observation says; nothing at all where there is none."""
        native = observed.native if observed else {}
        there = {each.native_id: each for each in observed.deployments} if observed else {}
        bodies: dict[str, Document] = native.get("variants", {})
        return cls(
            arn=native.get("arn", ""),
            status=native.get("status", ""),
            reason=native.get("reason", ""),
            config=native.get("config", ""),
            modified=_time(native.get("modified")),
            variants=tuple(
                Variant(
                    name=name,
                    deployment=there[name].name,
                    tag=native["serves"].get(name, ""),
                    body=body,
                    share=there[name].traffic,
                    replicas=there[name].replicas,
                )
                for name, body in bodies.items()
            ),
            configs={name: datetime.fromisoformat(made) for name, made in native.get("configs", {}).items()},
            models=frozenset(native.get("models", ())),
            targets={name: (each[0], each[1]) for name, each in native.get("targets", {}).items()},
            policies=native.get("policies", {}),
            alarms=native.get("alarms", {}),
            asynchronous=native.get("asynchronous") is not None,
        )

    @property
    def exists(self) -> bool:
        """Whether the endpoint itself is there, not only what was made for it."""
        return bool(self.arn)

    @property
    def way(self) -> str:
        """How it serves: by servers that stand by, serverless, or asynchronously."""
        if self.asynchronous:
            return ASYNCHRONOUS
        return SERVERLESS if any("ServerlessConfig" in each.body for each in self.variants) else STANDING_BY

    def variant(self, deployment: str) -> Variant | None:
        """The variant that serves a deployment."""
        return next((each for each in self.variants if each.deployment == deployment), None)

    def tried(self, config: str) -> bool:
        """Whether an update to that configuration was tried and taken back.

        SageMaker then reports the old configuration again, with a reason (documentation of DescribeEndpoint). One
        that was made after the last change of the endpoint was never tried, whatever an older reason says.
        """
        made = self.configs.get(config)
        return bool(self.reason) and made is not None and self.modified is not None and self.modified > made


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
