"""From the stack's clusters to a job's request: what is exported is what the adapter chooses by."""

from __future__ import annotations

import pytest

from mlinfra.environment import parse
from mlinfra.spec import JobSpec
from mlinfra_azure.compute import compute

pytestmark = pytest.mark.thorough

CLUSTERS = {
    "small": {"machine": "Standard_DS3_v2", "spot": False},
    "large": {"machine": "Standard_D32as_v4", "spot": False},
    "spare": {"machine": "Standard_DS3_v2", "spot": True},
}


@pytest.fixture
def chosen(up):
    """`chosen("dev", resources={"cpu": 8})`: the cluster on which the environment's adapter puts such a job."""

    def chosen(stage: str = "dev", clusters=CLUSTERS, **fields) -> str:
        environment = parse(up(stage, clusters=clusters).exports["environment"])
        job = {"name": "credit-train", "command": ["python", "train.py"], **fields}
        return compute(JobSpec.model_validate(job), environment).cluster

    return chosen


def test_a_job_runs_on_the_smallest_cluster_that_is_enough(chosen):
    assert chosen() == "small"
    assert chosen(resources={"cpu": 8}) == "large"


def test_spare_capacity_is_that_of_the_cluster_that_has_it(chosen):
    assert chosen(resources={"spot": True}) == "spare"


def test_a_cluster_that_says_nothing_is_spare_where_its_stage_is(chosen):
    silent = {"cpu": {"machine": "Standard_DS3_v2"}}
    assert chosen("dev", silent, resources={"spot": True}) == "cpu"
    assert chosen("dev", silent) == ""
    assert chosen("prod", silent) == "cpu"


def test_without_clusters_the_service_finds_machines(chosen):
    assert chosen("dev", {}) == ""
