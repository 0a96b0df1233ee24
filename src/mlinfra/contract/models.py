"""Models: versions in the platform's registry, and the functions that keep them.

What a platform's registry lacks (aliases, stages, approval that can be trusted) is the kit's: an adapter keeps
it in tags or metadata where there are such, and declares it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mlinfra.contract.states import Approval, VersionState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.jobs import Artefact
    from mlinfra.contract.requests import Document, Request
    from mlinfra.contract.steps import Step
    from mlinfra.environment import Environment


@dataclass(frozen=True)
class Registration:
    """A version to be. `digest` is the model package's; a model holds one version of each digest.

    `manifest` is the package's document (`mlinfra-model.json`). `lineage` names the job, its code and its data by
    digest. `owner` is the caller as the platform knows it.
    """

    model: str
    digest: str
    artefact: Artefact
    manifest: Document
    lineage: Document = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionObservation:
    """A model version as the registry tells it. `version` is the platform's word for it, an integer as text."""

    native_id: str
    model: str
    version: str
    state: VersionState
    digest: str = ""
    artefact: Artefact | None = None
    aliases: tuple[str, ...] = ()
    stage: str = ""
    approval: Approval = Approval.PENDING  # the native mark: shown, never trusted alone
    owner: str = ""
    created: datetime | None = None
    lineage: Document = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""
    native: Document = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`<model>:<version>`."""
        return f"{self.model}:{self.version}"


@dataclass(frozen=True)
class VersionPage:
    """One page of versions, the newest first. `token` asks for the next, None at the end."""

    versions: tuple[VersionObservation, ...]
    token: str | None = None


@dataclass(frozen=True)
class ModelPage:
    """One page of model names."""

    models: tuple[str, ...]
    token: str | None = None


@dataclass(frozen=True)
class Marks:
    """Changes to what may change on a version. None and empty leave things as they are."""

    add_aliases: tuple[str, ...] = ()
    remove_aliases: tuple[str, ...] = ()
    stage: str | None = None
    approval: Approval | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class ModelRenderer(Protocol):
    """The module `render/models.py`. Pure; imports no SDK."""

    def observe(self, registration: Registration, environment: Environment) -> tuple[Request, ...]:
        """The reads whose replies `next_step` needs. A read that finds nothing counts as None, not as an error."""

    def next_step(
        self, registration: Registration, replies: Mapping[str, Document | None], environment: Environment
    ) -> Step:
        """Towards a registered version. `Done.result` is a reply that `observe.version` reads."""

    def list_models(self, environment: Environment, token: str | None) -> Request:
        """One page of model names."""

    def list_versions(self, model: str, environment: Environment, token: str | None) -> Request:
        """One page of a model's versions, newest first."""

    def mark(
        self,
        version: VersionObservation,
        marks: Marks,
        siblings: tuple[VersionObservation, ...],
        environment: Environment,
    ) -> tuple[Request, ...]:
        """Set marks. `siblings` are the model's other versions, from which a moved alias must go."""

    def delete_version(
        self, version: VersionObservation, siblings: tuple[VersionObservation, ...], environment: Environment
    ) -> tuple[Request, ...]:
        """Remove one version. `siblings` are the model's other versions; without any, `delete_model` follows."""

    def delete_model(self, model: str, environment: Environment) -> tuple[Request, ...]:
        """Remove the empty model."""

    def console_url(self, version: VersionObservation, environment: Environment) -> str:
        """The address of the vendor's page for it, empty where there is none."""


class ModelObserver(Protocol):
    """The part of the module `observe.py` that reads replies about models."""

    def version(self, reply: Mapping[str, Any], environment: Environment) -> VersionObservation:
        """A reply that describes one version."""

    def versions(self, reply: Mapping[str, Any], environment: Environment) -> VersionPage:
        """A reply of `list_versions`."""

    def models(self, reply: Mapping[str, Any], environment: Environment) -> ModelPage:
        """A reply of `list_models`."""
