"""A bucket of the host as a resource of the engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from mlinfra.host import Host
from mlinfra.host.layout import Layout
from mlinfra.infra.local.compute import GONE

if TYPE_CHECKING:
    from pulumi import Input, Output, ResourceOptions


class BucketProvider(ResourceProvider):
    """Makes and removes buckets. One that holds objects goes only where the stage says that contents go with it."""

    serialize_as_secret_always = False

    def diff(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:  # noqa: A002, ARG002  the base's words
        """A bucket of another name, or in another folder, is another bucket."""
        changed = [name for name in ("root", "bucket", "destroy_contents") if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(changed), replaces=[name for name in changed if name != "destroy_contents"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the bucket. Safe to repeat."""
        with Host(Path(props["root"])) as host:
            host.create_bucket(props["bucket"])
        return CreateResult(_place(props).as_posix(), _outputs(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Whether the bucket is still there."""
        return ReadResult(id_, _outputs(props)) if _place(props).is_dir() else ReadResult(GONE, {})

    def update(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:  # noqa: A002, ARG002  see above
        """Only what is done at its end can change."""
        return UpdateResult(_outputs(news))

    def delete(self, id: str, props: dict[str, Any]) -> None:  # noqa: A002, ARG002  see above
        """Remove the bucket; where the stage says so with its objects, and what else lies there. Safe to repeat."""
        if not _place(props).is_dir():
            return
        with Host(Path(props["root"])) as host:
            if props["destroy_contents"]:
                _empty(host, props["bucket"])
                shutil.rmtree(_place(props))
            host.delete_bucket(props["bucket"])


class Bucket(Resource, module="mlinfra", name="Bucket"):
    """A bucket of the host."""

    bucket: Output[str]
    uri: Output[str]

    def __init__(
        self, name: str, *, root: Input[str], bucket: str, destroy_contents: bool, options: ResourceOptions
    ) -> None:
        """Register it."""
        inputs = {"root": root, "bucket": bucket, "destroy_contents": destroy_contents, "uri": None}
        super().__init__(BucketProvider(), name, inputs, options)


def _outputs(props: dict[str, Any]) -> dict[str, Any]:
    kept = {name: props[name] for name in ("root", "bucket", "destroy_contents")}
    return {**kept, "uri": f"file://{quote(_place(props).as_posix())}"}


def _place(props: dict[str, Any]) -> Path:
    return Layout(Path(props["root"])).bucket(props["bucket"])


def _empty(host: Host, bucket: str) -> None:
    objects = host.objects(bucket)
    while page := objects.list().objects:
        for each in page:
            objects.delete(each.key)
