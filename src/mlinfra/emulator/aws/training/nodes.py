"""The nodes of a training job: who they are, and the documents and variables that each finds in its container.

Formats of `/opt/ml/input/config` as the service writes them. Only what the service itself sets is set: the `SM_*`
names come from the vendor's SDK, which uploads the scripts that make them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mlinfra.emulator.aws.training.channels import Channel

ONE_GROUP = "homogeneousCluster"  # what the service calls the instances of a job without instance groups
_INTERFACE = "eth0"
_FIRST_ADDRESS = 2  # algo-1 is 127.0.0.2: each node an address of its own, apart from this machine's own services


class Node(NamedTuple):
    """One instance: its host name, its type, the instance group that it is in."""

    host: str
    machine: str
    group: str


def of(resources: Mapping[str, Any], machine: str = "") -> list[Node]:
    """The nodes of a `ResourceConfig`; `machine` is the type chosen where it names preferences."""
    chosen = machine or resources.get("InstanceType", "")
    counts = {each["InstanceType"]: each.get("InstanceCount") for each in resources.get("InstancePreferences", ())}
    count = counts.get(chosen) or resources.get("InstanceCount", 1)
    groups = resources.get("InstanceGroups") or [
        {"InstanceType": chosen, "InstanceCount": count, "InstanceGroupName": ONE_GROUP}
    ]
    kinds = [
        (group["InstanceType"], group["InstanceGroupName"]) for group in groups for _ in range(group["InstanceCount"])
    ]
    return [Node(f"algo-{number}", *kind) for number, kind in enumerate(kinds, 1)]


def resource_config(node: Node, nodes: Sequence[Node]) -> dict[str, Any]:
    """`resourceconfig.json` of one node."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in nodes:
        groups.setdefault((each.group, each.machine), []).append(each.host)
    return {
        "current_host": node.host,
        "current_instance_type": node.machine,
        "current_group_name": node.group,
        "hosts": [each.host for each in nodes],
        "instance_groups": [
            {"instance_group_name": name, "instance_type": machine, "hosts": hosts}
            for (name, machine), hosts in groups.items()
        ],
        "network_interface_name": _INTERFACE,
        "topology": None,
    }


def write_config(
    folder: Path,
    node: Node,
    nodes: Sequence[Node],
    hyperparameters: Mapping[str, str],
    channels: Iterable[Channel],
) -> None:
    """Write the three documents into a node's `/opt/ml/input/config`."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {
        "hyperparameters": dict(hyperparameters),
        "resourceconfig": resource_config(node, nodes),
        "inputdataconfig": {channel.name: channel.document() for channel in channels},
    }
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document, sort_keys=True))


def hosts_file(nodes: Sequence[Node]) -> str:
    """`/etc/hosts` of every node: where the others are."""
    lines = [f"127.0.0.{number} {node.host}" for number, node in enumerate(nodes, _FIRST_ADDRESS)]
    return "\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""])


def variables(name: str, arn: str, region: str) -> dict[str, str]:
    """What the service sets in every container, beside the request's `Environment`."""
    return {"TRAINING_JOB_NAME": name, "TRAINING_JOB_ARN": arn, "AWS_REGION": region}
