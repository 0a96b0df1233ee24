from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlinfra.runner.nodes import find_nodes
from mlinfra.runner.problem import RunnerError

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER = {"workerpool0": ["cmle-0:2222"], "workerpool1": ["cmle-1:2222", "cmle-2:2222"]}


def test_one_machine_needs_no_platform(tmp_path: Path) -> None:
    found = find_nodes(1, tmp_path, {"RANK": "5"})
    assert (found.hosts, found.rank, found.current) == (("localhost",), 0, "localhost")


def test_this_machine_says_it_in_variables(tmp_path: Path) -> None:
    variables = {"MLINFRA_NODE_RANK": "1", "MLINFRA_NODE_HOSTS": "a,b", "MASTER_PORT": "7"}
    found = find_nodes(2, tmp_path, variables)
    assert (found.hosts, found.rank, found.current, found.port) == (("a", "b"), 1, "b", 7)


def test_sagemaker_says_it_in_a_file(tmp_path: Path) -> None:
    place = tmp_path / "opt/ml/input/config/resourceconfig.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"current_host": "algo-2", "hosts": ["algo-2", "algo-1"]}))
    found = find_nodes(2, tmp_path, {})
    assert (found.hosts, found.rank) == (("algo-1", "algo-2"), 1)


@pytest.mark.parametrize(
    ("pool", "index", "rank"), [("workerpool0", 0, 0), ("workerpool1", 0, 1), ("workerpool1", 1, 2)]
)
def test_vertex_says_it_in_a_document(tmp_path: Path, pool: str, index: int, rank: int) -> None:
    document = {"cluster": CLUSTER, "task": {"type": pool, "index": index}}
    found = find_nodes(3, tmp_path, {"CLUSTER_SPEC": json.dumps(document)})
    assert (found.hosts, found.rank) == (("cmle-0", "cmle-1", "cmle-2"), rank)


def test_azure_names_the_first_machine(tmp_path: Path) -> None:
    found = find_nodes(2, tmp_path, {"MASTER_ADDR": "10.0.0.4", "NODE_RANK": "1", "RANK": "8"})
    assert (found.hosts, found.rank) == (("10.0.0.4", "node-1"), 1)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"CLUSTER_SPEC": "{"},
        {"MLINFRA_NODE_RANK": "0", "MLINFRA_NODE_HOSTS": "a"},
        {"MLINFRA_NODE_RANK": "2", "MLINFRA_NODE_HOSTS": "a,b"},
    ],
)
def test_a_platform_that_does_not_say_is_an_error(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(RunnerError, match="2 nodes"):
        find_nodes(2, tmp_path, variables)
