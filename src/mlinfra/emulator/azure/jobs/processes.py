"""The processes of a job: one, or several on one or more nodes, and the variables in which each finds the others.

By the documentation "Distributed GPU training guide": PyTorch's variables, those that MPI and Azure's batch set, and
TensorFlow's `TF_CONFIG`. Without a distribution the command runs once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_FIRST_ADDRESS = 2  # node 0 is 127.0.0.2: each an address of its own, apart from this machine's own services
_PER_NODE = 1  # processes, where the request says nothing


class Process(NamedTuple):
    """One process of a job."""

    rank: int
    node: int
    local_rank: int
    role: str = "worker"  # TensorFlow's
    number: int = 0  # within the role

    @property
    def host(self) -> str:
        """The address of its node on this machine."""
        return f"127.0.0.{_FIRST_ADDRESS + self.node}"


def of(asked: Mapping[str, Any]) -> list[Process]:
    """Every process of a job, in the order of their ranks."""
    distribution = asked.get("distribution") or {}
    kind = distribution.get("distributionType")
    count = int((asked.get("resources") or {}).get("instanceCount") or 1)
    if kind is None:
        return [Process(0, 0, 0)]
    if kind == "TensorFlow":
        servers = int(distribution.get("parameterServerCount") or 0)
        workers = int(distribution.get("workerCount") or max(count - servers, 1))
        roles = [("worker", index) for index in range(workers)] + [("ps", index) for index in range(servers)]
        return [Process(rank, rank % count, rank // count, *role) for rank, role in enumerate(roles)]
    each = int(distribution.get("processCountPerInstance") or _PER_NODE)
    return [Process(rank, rank // each, rank % each) for rank in range(count * each)]


def nodes(processes: Sequence[Process]) -> int:
    """How many nodes they are on."""
    return max(process.node for process in processes) + 1


def log_file(process: Process, processes: Sequence[Process]) -> str:
    """The file of its lines, below the run's folder."""
    if len(processes) == 1:
        return "user_logs/std_log.txt"
    width = len(str(len(processes) - 1))
    return f"user_logs/std_log_process_{process.rank:0{width}}.txt"


def variables(
    asked: Mapping[str, Any], process: Process, processes: Sequence[Process], ports: Sequence[int]
) -> dict[str, str]:
    """What the service tells a process of the others; `ports` are free ones, one for each process."""
    kind = (asked.get("distribution") or {}).get("distributionType")
    common = {"AZUREML_NODE_COUNT": str(nodes(processes)), "AZ_BATCHAI_TASK_INDEX": str(process.node)}
    return {**common, **(_TELL[kind](process, processes, ports) if kind else {})}


def _pytorch(process: Process, processes: Sequence[Process], ports: Sequence[int]) -> dict[str, str]:
    return {
        "MASTER_ADDR": processes[0].host,
        "MASTER_PORT": str(ports[0]),
        "WORLD_SIZE": str(len(processes)),
        "NODE_RANK": str(process.node),
        "RANK": str(process.rank),
        "LOCAL_RANK": str(process.local_rank),
    }


def _mpi(process: Process, processes: Sequence[Process], ports: Sequence[int]) -> dict[str, str]:
    local = sum(each.node == process.node for each in processes)
    first = processes[0].host
    return {
        "OMPI_COMM_WORLD_SIZE": str(len(processes)),
        "OMPI_COMM_WORLD_RANK": str(process.rank),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(process.local_rank),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(local),
        "AZ_BATCH_MASTER_NODE": f"{first}:{ports[0]}",
        "AZ_BATCHAI_MPI_MASTER_NODE": first,
        "MASTER_ADDR": first,
        "MASTER_PORT": str(ports[0]),
        "NODE_RANK": str(process.node),
    }


def _tensorflow(process: Process, processes: Sequence[Process], ports: Sequence[int]) -> dict[str, str]:
    cluster: dict[str, list[str]] = {}
    for each, port in zip(processes, ports, strict=True):
        cluster.setdefault(each.role, []).append(f"{each.host}:{port}")
    told = {"cluster": cluster, "task": {"type": process.role, "index": process.number}, "environment": "cloud"}
    return {"TF_CONFIG": json.dumps(told)}


_TELL: dict[str, Callable[[Process, Sequence[Process], Sequence[int]], dict[str, str]]] = {
    "PyTorch": _pytorch,
    "Mpi": _mpi,
    "TensorFlow": _tensorflow,
}
