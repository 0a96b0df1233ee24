"""Input channels: which objects a channel means, what they are called in the container, which node gets which.

Rules of botocore's descriptions of `Channel`, `S3DataSource` and `ShuffleConfig`. Pure, but for `fetch`.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.aws.training.faults import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

SHARDED = "ShardedByS3Key"


class Item(NamedTuple):
    """An object, and its path below the channel's folder."""

    uri: str
    path: str


@dataclass(frozen=True)
class Channel:
    """An S3 channel of a request."""

    name: str
    kind: str
    uri: str
    mode: str
    distribution: str
    groups: tuple[str, ...]
    seed: int | None
    content_type: str

    @classmethod
    def of(cls, document: Mapping[str, Any], job_mode: str) -> Channel:
        """A member of `InputDataConfig`; `job_mode` is the job's `TrainingInputMode`."""
        source = document["DataSource"]["S3DataSource"]
        return cls(
            name=document["ChannelName"],
            kind=source["S3DataType"],
            uri=source["S3Uri"],
            mode=document.get("InputMode", job_mode),
            distribution=source.get("S3DataDistributionType", "FullyReplicated"),
            groups=tuple(source.get("InstanceGroupNames", ())),
            seed=document.get("ShuffleConfig", {}).get("Seed"),
            content_type=document.get("ContentType", ""),
        )

    def document(self) -> dict[str, str]:
        """What `inputdataconfig.json` says of it."""
        told = {"TrainingInputMode": self.mode, "S3DistributionType": self.distribution, "RecordWrapperType": "None"}
        return {"ContentType": self.content_type, **told} if self.content_type else told


def prefixed(uri: str, found: Iterable[str]) -> list[Item]:
    """The objects that a prefix means, in the order of their keys, without the markers of empty folders.

    Paths begin behind the prefix: `s3://b/data/` and `s3://b/data` both make `data/a/b` into `a/b`; an object named
    whole keeps its last part.
    """
    return [Item(each, _below(uri, each)) for each in sorted(found) if not each.endswith("/")]


def manifested(text: bytes) -> list[Item]:
    """The objects that a manifest names; their paths are as it writes them.

    Raises:
        ClientError: it is not a manifest.
    """
    try:
        head, *names = json.loads(text)
        prefix = head["prefix"]
        items = [Item(f"{prefix}{name}", name) for name in names if isinstance(name, str)]
        whole = isinstance(prefix, str) and prefix.startswith("s3://") and len(items) == len(names)
    except (ValueError, TypeError, KeyError) as exc:
        raise ClientError("Data download failed:The manifest file is not valid JSON of the expected format") from exc
    if not whole:
        raise ClientError("Data download failed:The manifest needs a prefix that is an S3 URI, and keys that are texts")
    return items


def shared(channel: Channel, items: Sequence[Item], nodes: Sequence[str]) -> list[list[Item]]:
    """What each node gets, given the instance group of each: everything, or the keys dealt out in turn."""
    within = [rank for rank, group in enumerate(nodes) if not channel.groups or group in channel.groups]
    dealt = list(items)
    if channel.seed is not None:
        random.Random(channel.seed).shuffle(dealt)  # noqa: S311  an order that repeats, no secret
    hands: list[list[Item]] = [[] for _ in nodes]
    for place, rank in enumerate(within):
        hands[rank] = dealt[place :: len(within)] if channel.distribution == SHARDED else dealt
    return hands


def place(folder: Path, item: Item) -> Path:
    """Where an item's file goes; its folder is made.

    Raises:
        ClientError: the key would lead out of the channel's folder, or two keys ask for a file and a folder.
    """
    parts = PurePosixPath(item.path).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise ClientError(f"Data download failed:The key of {item.uri} is no path below the channel's folder")
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as exc:
        raise ClientError(f"Data download failed:{item.uri} needs a folder where another key is a file") from exc
    if target.is_dir():
        raise ClientError(f"Data download failed:{item.uri} is a file where another key needs a folder")
    return target


def _below(prefix: str, uri: str) -> str:
    if uri == prefix:
        return uri.rpartition("/")[2]
    if prefix.endswith("/") or uri[len(prefix)] == "/":
        return uri[len(prefix) :].lstrip("/")
    return uri[prefix.rfind("/") + 1 :]  # the prefix ends within a name
