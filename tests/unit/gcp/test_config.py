"""Overrides, offline validation, and what is kept of the vendor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud import aiplatform_v1

from mlinfra.contract.capabilities import Capability, Level
from mlinfra.contract.requests import Ref, Request
from mlinfra.errors import KitFault, SpecError
from mlinfra.spec import JobSpec
from mlinfra_gcp import CAPABILITIES
from mlinfra_gcp.config import OWNED, check_overrides, check_request, overridden
from mlinfra_gcp.labels import labels, selects

if TYPE_CHECKING:
    from mlinfra.environment import GcpEnvironment

ROOT = Path(__file__).parents[3]


def pools(**pool: Any) -> dict[str, Any]:
    return {"CreateCustomJob": {"customJob": {"jobSpec": {"workerPoolSpecs": {"0": pool}}}}}


def job(**spec: Any) -> dict[str, Any]:
    return {"CreateCustomJob": {"customJob": {"jobSpec": spec}}}


def test_every_capability_is_declared_or_has_a_reason_to_be_absent():
    assert set(CAPABILITIES) <= set(Capability)
    assert all(cell.reason for cell in CAPABILITIES.values() if cell.level is not Level.NATIVE)


@pytest.mark.thorough
def test_what_is_kept_of_the_vendor_is_what_its_packages_say():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "schemas" / "gcp.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_operation_that_may_be_overridden_exists():
    assert all(hasattr(aiplatform_v1, f"{operation}Request") for operation in OWNED)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"CreateCustomJobs": {}}, "did you mean CreateCustomJob"),
        ({"CreateCustomJob": {"custom_job": {}}}, "did you mean customJob"),
        (job(schedulin={}), "did you mean scheduling"),
        (job(scheduling={"timeOut": "1s"}), "did you mean timeout"),
        (pools(containerSpec={"imageUrl": "x"}), "did you mean imageUri"),
        (pools(machineSpec={"acceleratorTyp": "x"}), "did you mean acceleratorType"),
        (job(workerPoolSpecs=[{"containerSpecs": {}}]), "did you mean containerSpec"),
        (pools(containerSpec={"command": ["sh"]}), "set by the kit"),
        (pools(containerSpec=None), "set by the kit"),
        (pools(replicaCount=3), "set by the kit"),
        (job(workerPoolSpecs=[]), "set by the kit"),
        (job(baseOutputDirectory=None), "set by the kit"),
        ({"CreateCustomJob": {"customJob": {"labels": {"mlinfra_id": "x"}}}}, "set by the kit"),
        (pools(containerSpec={"env": {"0": {"name": "MLINFRA_MANIFEST_0"}}}), "of the kit"),
        (pools(containerSpec={"env": [{"name": "MLINFRA_WHEELS", "value": "x"}]}), "of the kit"),
    ],
)
def test_an_override_that_cannot_be_is_refused_before_anything_is_read(
    overrides: dict[str, Any], words: str, environment: GcpEnvironment
):
    with pytest.raises(SpecError, match=words):
        check_overrides(overrides, environment)


@pytest.mark.parametrize(
    "patch",
    [
        {"jobSpec": {"serviceAccount": "admin@risk-prod.iam.gserviceaccount.com"}},
        {"jobSpec": {"network": None}},
        {"jobSpec": {"pscInterfaceConfig": {"networkAttachment": "theirs"}}},
        {"jobSpec": {"enableWebAccess": True}},
        {"encryptionSpec": None},
        {"encryptionSpec": {"kmsKeyName": "mine"}},
    ],
)
def test_no_override_weakens_a_production_stage(patch: dict[str, Any], environment: GcpEnvironment):
    production = environment.model_copy(update={"stage": "prod"})
    whole = {"customJob": patch}
    with pytest.raises(SpecError, match="weakens what protects stage prod"):
        check_overrides({"CreateCustomJob": whole}, production)
    check_overrides({"CreateCustomJob": whole}, environment)
    spec = JobSpec(name="hello", command=["x"], overrides={"gcp": {"CreateCustomJob": whole}})
    with pytest.raises(SpecError, match="weakens what protects stage prod"):
        overridden("CreateCustomJob", {}, spec, production)


def test_an_override_may_protect_more(environment: GcpEnvironment):
    production = environment.model_copy(update={"stage": "prod"})
    check_overrides(job(enableWebAccess=False), production)
    check_overrides({"CreateEndpoint": {"endpoint": {"enablePrivateServiceConnect": True}}}, production)


def test_a_request_is_checked_against_the_vendors_description():
    def request(body: dict[str, Any]) -> Request:
        return Request(step="x", service="JobService", operation="CancelCustomJob", body=body, repeatable=True)

    check_request(request({"name": "projects/p/locations/l/customJobs/1"}))
    check_request(request({"name": Ref("create", "name")}))
    for body in ({}, {"name": 3}, {"name": "x", "more": 1}):
        with pytest.raises(SpecError):
            check_request(request(body))
    with pytest.raises(KitFault):
        check_request(Request(step="x", service="JobService", operation="CreateNasJob", effect=False))


def test_of_what_excludes_each_other_one_is_taken():
    resources = {"dedicatedResources": {"machineSpec": {}, "minReplicaCount": 1}, "automaticResources": {}}
    body = {"endpoint": "e", "deployedModel": {"model": "m", **resources}}
    with pytest.raises(SpecError, match="exclude each other"):
        check_request(Request("x", "EndpointService", "DeployModel", body, repeatable=True))
    del resources["automaticResources"]
    check_request(
        Request(
            "x",
            "EndpointService",
            "DeployModel",
            {**body, "deployedModel": {"model": "m", **resources}},
            repeatable=True,
        )
    )


def test_an_update_names_what_it_changes_and_nothing_else():
    body = {"endpoint": {"name": "e", "trafficSplit": {"1": 100}}, "updateMask": "trafficSplit"}
    check_request(Request("x", "EndpointService", "UpdateEndpoint", body, repeatable=True))
    with pytest.raises(SpecError, match="updateMask"):
        check_request(
            Request("x", "EndpointService", "UpdateEndpoint", {"endpoint": body["endpoint"]}, repeatable=True)
        )


def test_a_value_that_the_vendor_lists_is_checked():
    machine = {"machineSpec": {"acceleratorType": "NVIDIA_L5"}}
    body = {"parent": "p", "customJob": {"displayName": "x", "jobSpec": {"workerPoolSpecs": [machine]}}}
    with pytest.raises(SpecError, match="did you mean NVIDIA_L4"):
        check_request(Request("x", "JobService", "CreateCustomJob", body, repeatable=True))


def test_a_text_that_is_too_long_is_refused():
    body = {"parent": "p", "customJob": {"displayName": "x" * 129, "jobSpec": {"workerPoolSpecs": []}}}
    with pytest.raises(SpecError, match="128"):
        check_request(Request("x", "JobService", "CreateCustomJob", body, repeatable=True))


def test_tags_of_any_case_become_labels_that_google_takes(environment: GcpEnvironment):
    found = labels(environment, {"CostCentre": "42/A", "9lives": "Yes!", "team": "risk"}, mlinfra_id="ab")
    assert found == {
        "costcentre": "42_a",
        "x9lives": "yes_",
        "team": "risk",
        "mlinfra_environment": environment.suffix,
        "mlinfra_id": "ab",
    }
    assert selects({"a": "b", "c": "d"}) == "labels.a=b AND labels.c=d"
