"""The environment's images: a repository of its own, and a cache of the public Python image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import ResourceOptions
from pulumi_gcp import artifactregistry

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from mlinfra.infra.gcp.configuration import GcpConfiguration
    from mlinfra.infra.gcp.keys import Key

_PYTHON = "library/python:3.11-slim"
_UNTAGGED_SECONDS = f"{14 * 86_400}s"  # a digest that no tag and no environment names any more


class Images(Component):
    """A repository whose tags cannot be moved, and a remote one through which nothing else of Docker Hub is needed."""

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them."""
        super().__init__("gcp:Images", name, configuration, options)
        self._gcp = configuration
        own, cache = names.own(configuration), names.own(configuration, "cache")
        granted = ResourceOptions(depends_on=key.granted if key else [])
        artifactregistry.Repository(
            self.named("repository"),
            repository_id=own,
            location=configuration.region,
            format="DOCKER",
            description=f"Images of {configuration.name}",
            docker_config={"immutable_tags": True},
            cleanup_policies=[
                {
                    "id": "images-without-a-tag",
                    "action": "DELETE",
                    "condition": {"tag_state": "UNTAGGED", "older_than": _UNTAGGED_SECONDS},
                }
            ],
            vulnerability_scanning_config={"enablement_config": "INHERITED"},
            kms_key_name=key.id if key else None,
            labels=names.labels(configuration),
            opts=self.guarded(granted),
        )
        artifactregistry.Repository(
            self.named("cache"),
            repository_id=cache,
            location=configuration.region,
            format="DOCKER",
            mode="REMOTE_REPOSITORY",
            description="Docker Hub, as far as it was asked for",
            remote_repository_config={"docker_repository": {"public_repository": "DOCKER_HUB"}},
            kms_key_name=key.id if key else None,
            labels=names.labels(configuration),
            opts=self.child(granted),
        )
        self.registry = names.registry(configuration, own)
        self.base = base_image(configuration)
        self.finish(registry=self.registry, base=self.base)


def base_image(configuration: GcpConfiguration) -> str:
    """The image that jobs run in unless they name one: adopted, or the public Python through the cache."""
    cached = f"{names.registry(configuration, names.own(configuration, 'cache'))}/{_PYTHON}"
    return configuration.images.get("base") or cached
