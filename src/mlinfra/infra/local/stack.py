"""The whole `local` environment as one component."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
from pulumi import ResourceOptions

from mlinfra.infra.component import Component
from mlinfra.infra.environment import export
from mlinfra.infra.local.compute import Folder
from mlinfra.infra.local.storage import Bucket

if TYPE_CHECKING:
    from mlinfra.infra.local.configuration import LocalConfiguration


class LocalStack(Component):
    """A folder of the host and its buckets."""

    def __init__(self, name: str, configuration: LocalConfiguration, options: ResourceOptions | None = None) -> None:
        """Register everything. Nothing is done outside the folder."""
        super().__init__("local:Stack", name, configuration, options)
        self.configuration: LocalConfiguration = configuration
        adopted = configuration.adopt.folder
        self.folder = Folder(
            self.named("folder"),
            root=str(_root(configuration)),
            slots=configuration.slots,
            owner=f"{pulumi.get_project()}/{pulumi.get_stack()}",
            adopt=bool(adopted),
            options=self.guarded(),
        )
        kept = ResourceOptions(retain_on_delete=True) if adopted else None  # what lay in the folder before stays in it
        self.buckets = {
            bucket: Bucket(
                self.named(bucket),
                root=self.folder.root,
                bucket=bucket,
                destroy_contents=self.profile.destroy_contents,
                options=self.guarded(kept),
            )
            for bucket in configuration.stores
        }
        self.finish(root=self.folder.root, stores={name: bucket.uri for name, bucket in self.buckets.items()})

    def fields(self) -> dict[str, pulumi.Input[object]]:
        """What this platform adds to the environment's document."""
        return {
            "root": self.folder.root,
            "account": self.folder.account,
            "slots": self.configuration.slots,
            "stores": {name: {"uri": bucket.uri} for name, bucket in self.buckets.items()},
        }

    def export(self) -> pulumi.Output[dict[str, object]]:
        """Export the environment under the name that `mlinfra env sync` asks for."""
        return export(self.configuration, **self.fields())


def _root(configuration: LocalConfiguration) -> Path:
    """The folder, which a relative path places beside Pulumi.yaml."""
    given = configuration.adopt.folder or configuration.folder or f".mlinfra/stacks/{configuration.name}"
    return (Path(pulumi.get_root_directory()) / given).resolve()
