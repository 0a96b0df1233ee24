"""The environment's images: repositories of its own, and a cache of the public Python image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi_aws import ecr

from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration

REPOSITORIES = ("runner", "serving")
_UPSTREAM = "public.ecr.aws"  # Docker's official images, for which no account of Docker Hub is needed
_PYTHON = "docker/library/python:3.11-slim"
_UNTAGGED_DAYS = 14  # a digest that no tag and no environment names any more


class Images(Component):
    """Repositories whose tags cannot be moved and whose images are scanned when pushed."""

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        key: Input[str] | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them."""
        super().__init__("aws:Images", name, configuration, options)
        self.prefix = f"mlinfra-{configuration.name}-{configuration.suffix}"
        self.registry = f"{names.registry(configuration)}/{self.prefix}"
        for each in REPOSITORIES:
            self._repository(each, key)
        cache = f"mlinfra-{configuration.suffix}"
        ecr.PullThroughCacheRule(
            self.named("cache"), ecr_repository_prefix=cache, upstream_registry_url=_UPSTREAM, opts=self.child()
        )
        self.base = configuration.images.get("base") or f"{names.registry(configuration)}/{cache}/{_PYTHON}"
        self.finish(registry=self.registry, base=self.base)

    def _repository(self, each: str, key: Input[str] | None) -> None:
        encryption = {"encryption_type": "AES256"} if key is None else {"encryption_type": "KMS", "kms_key": key}
        repository = ecr.Repository(
            self.named(each),
            name=f"{self.prefix}/{each}",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[encryption],
            force_delete=self.profile.destroy_contents,
            tags=self.tags,
            opts=self.guarded(),
        )
        ecr.LifecyclePolicy(
            self.named(f"{each}-lifecycle"),
            repository=repository.name,
            policy=json.dumps(_LIFECYCLE),
            opts=self.child(),
        )


_LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "images without a tag",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": _UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        }
    ]
}
