"""Which of a job's machines this is: each platform says it in its own way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.runner.problem import WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SAGEMAKER_FILE = "opt/ml/input/config/resourceconfig.json"
_PORT = 29500  # torch's own; a machine shared by several jobs gives each another in MASTER_PORT


class Nodes(NamedTuple):
    """The machines of a job, as seen from one."""

    hosts: tuple[str, ...]
    rank: int  # of this machine, from 0
    port: int  # on which the first machine may listen for the others

    @property
    def current(self) -> str:
        """This machine's name."""
        return self.hosts[self.rank]


def find_nodes(number: int, root: Path, variables: Mapping[str, str]) -> Nodes:
    """The machines of a job that asked for `number`. Raises RunnerError where the platform does not say who is who."""
    port = int(variables.get("MASTER_PORT", _PORT))
    if number == 1:
        return Nodes(("localhost",), 0, port)
    for way in (_local, _sagemaker, _vertex, _azure):
        found = way(root, variables, number)
        if found is not None:
            hosts, rank = found
            if len(hosts) != number or not 0 <= rank < number:
                raise RunnerError(f"the job asked for {number} nodes, the platform gave {hosts}, rank {rank}", WRONG)
            return Nodes(tuple(hosts), rank, port)
    raise RunnerError(f"the job asked for {number} nodes, the platform does not say which this one is", WRONG)


def _local(_root: Path, variables: Mapping[str, str], _number: int) -> tuple[list[str], int] | None:
    if "MLINFRA_NODE_RANK" not in variables:
        return None
    return variables.get("MLINFRA_NODE_HOSTS", "").split(","), int(variables["MLINFRA_NODE_RANK"])


def _sagemaker(root: Path, _variables: Mapping[str, str], _number: int) -> tuple[list[str], int] | None:
    document = _json((root / _SAGEMAKER_FILE).read_text(encoding="utf-8")) if (root / _SAGEMAKER_FILE).exists() else {}
    if "hosts" not in document:
        return None
    hosts = sorted(document["hosts"])
    return hosts, hosts.index(document["current_host"])


def _vertex(_root: Path, variables: Mapping[str, str], _number: int) -> tuple[list[str], int] | None:
    """Pool 0 is the first machine, the others follow."""
    document = _json(variables.get("CLUSTER_SPEC", "{}"))
    if "task" not in document:
        return None
    pools = document["cluster"]
    hosts: list[str] = []
    rank = 0
    for pool in sorted(pools):
        if pool == document["task"]["type"]:
            rank = len(hosts) + int(document["task"]["index"])
        hosts += [address.rpartition(":")[0] or address for address in pools[pool]]
    return hosts, rank


def _azure(_root: Path, variables: Mapping[str, str], number: int) -> tuple[list[str], int] | None:
    """Azure names the first machine alone; the others need no name."""
    if "MASTER_ADDR" not in variables:
        return None
    rank = int(variables.get("NODE_RANK", variables.get("RANK", "0")))
    return [variables["MASTER_ADDR"], *(f"node-{other}" for other in range(1, number))], rank


def _json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
