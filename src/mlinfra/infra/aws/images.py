"""The environment's images: repositories of its own, and a cache of the public Python image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi import Output
from pulumi_aws import ecr, iam

from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration

REPOSITORIES = ("runner", "serving")
_UPSTREAM = "public.ecr.aws"  # Docker's official images, for which no account of Docker Hub is needed
_PYTHON = "docker/library/python:3.11-slim"
_GRANTS = ["kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey"]
_UNTAGGED_DAYS = 14  # a digest that no tag and no environment names any more


class Images(Component):
    """Repositories whose tags cannot be moved and whose images are scanned when pushed.

    The cache's repositories are made by ECR when an image is first pulled, after a template of the same prefix.
    """

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
        self._aws = configuration
        self.prefix = f"mlinfra-{configuration.name}-{configuration.suffix}"
        self.registry = f"{names.registry(configuration)}/{self.prefix}"
        for each in REPOSITORIES:
            self._repository(each, key)
        cache = f"mlinfra-{configuration.suffix}"
        ecr.PullThroughCacheRule(
            self.named("cache"), ecr_repository_prefix=cache, upstream_registry_url=_UPSTREAM, opts=self.child()
        )
        self._template(cache, key)
        self.base = configuration.images.get("base") or f"{names.registry(configuration)}/{cache}/{_PYTHON}"
        self.finish(registry=self.registry, base=self.base)

    def _repository(self, each: str, key: Input[str] | None) -> None:
        repository = ecr.Repository(
            self.named(each),
            name=f"{self.prefix}/{each}",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[_encryption(key)],
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

    def _template(self, cache: str, key: Input[str] | None) -> None:
        """What ECR makes the cache's repositories like. Their tags move, since those of the public images do."""
        ecr.RepositoryCreationTemplate(
            self.named("template"),
            prefix=cache,
            description=f"mlinfra: public images of {self._aws.name}",
            applied_fors=["PULL_THROUGH_CACHE"],
            image_tag_mutability="MUTABLE",
            encryption_configurations=[_encryption(key)],
            custom_role_arn=self._maker(cache, key),
            resource_tags=self.tags,
            opts=self.child(),
        )

    def _maker(self, cache: str, key: Input[str] | None) -> Output[str]:
        """The ARN of the role in which ECR makes repositories that have tags and a key, and none but the cache's.

        Its trust needs no `aws:SourceAccount`: ECR takes a role of the registry's own account alone (`customRoleArn`
        in its API reference). The actions are those of its user guide, "Repository creation templates", for a cache.
        """
        role = iam.Role(
            self.named("maker"),
            name=names.role(self._aws, "images"),
            path=self._aws.role_path,
            assume_role_policy=json.dumps(
                names.policy({"Effect": "Allow", "Principal": names.service("ecr"), "Action": "sts:AssumeRole"})
            ),
            permissions_boundary=self._aws.permission_boundary,
            tags=self.tags,
            opts=self.child(),
        )
        repositories = names.arn(self._aws, "ecr", f"repository/{cache}/*")
        iam.RolePolicy(
            self.named("maker-policy"),
            name="make-repositories",
            role=role.name,
            policy=Output.from_input(key).apply(lambda arn: json.dumps(_making(repositories, arn))),
            opts=self.child(),
        )
        arn: Output[str] = role.arn
        return arn


def _encryption(key: Input[str] | None) -> dict[str, Input[str]]:
    return {"encryption_type": "AES256"} if key is None else {"encryption_type": "KMS", "kms_key": key}


def _making(repositories: str, key: str | None) -> names.Document:
    statements = [{"Effect": "Allow", "Action": ["ecr:CreateRepository", "ecr:TagResource"], "Resource": repositories}]
    if key:
        statements.append({"Effect": "Allow", "Action": _GRANTS, "Resource": key})
    return names.policy(*statements)


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
