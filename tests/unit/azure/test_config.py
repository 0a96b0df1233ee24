"""Overrides, offline validation, and what is kept of the vendor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.capabilities import Capability, Level
from mlinfra.contract.requests import Ref, Request
from mlinfra.errors import KitFault, SpecError
from mlinfra.spec import JobSpec
from mlinfra_azure import CAPABILITIES
from mlinfra_azure.config import OWNED, call, check_overrides, check_request, overridden

if TYPE_CHECKING:
    from mlinfra.environment import AzureEnvironment

ROOT = Path(__file__).parents[3]
SERVICES = {"AutoscaleSettings_CreateOrUpdate": "monitor"}


def job(**properties: Any) -> dict[str, Any]:
    return {"Jobs_CreateOrUpdate": {"properties": properties}}


def deployment(**properties: Any) -> dict[str, Any]:
    return {"OnlineDeployments_CreateOrUpdate": {"properties": properties}}


def test_every_capability_is_declared_or_has_a_reason_to_be_absent():
    assert set(CAPABILITIES) <= set(Capability)
    assert all(cell.reason for cell in CAPABILITIES.values() if cell.level is not Level.NATIVE)


@pytest.mark.thorough
def test_what_is_kept_of_the_vendor_is_what_its_packages_say():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "schemas" / "azure.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_operation_that_may_be_overridden_exists_and_what_the_kit_owns_of_it():
    for operation, paths in OWNED.items():
        about = call(SERVICES.get(operation, "ml"), operation)
        assert about["method"] == "PUT"
        overrides: dict[str, Any] = {}
        for path in paths:
            *parents, last = path.split(".")
            inner = overrides
            for each in parents:
                inner = inner.setdefault(each, {})
            inner[last] = None
        with pytest.raises(SpecError) as refused:
            check_overrides({operation: overrides}, None)
        assert not [problem for problem in refused.value.problems if problem.what.startswith("no such")]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Job_CreateOrUpdate": {}}, "did you mean Jobs_CreateOrUpdate"),
        ({"Jobs_CreateOrUpdate": {"propertys": {}}}, "did you mean properties"),
        (job(computeID="x"), "did you mean computeId"),
        (job(resources={"shm_size": "8g"}), "did you mean shmSize"),
        (job(queueSettings={"jobTiers": "Spot"}), "did you mean jobTier"),
        (job(limits={"timeOut": "PT1H"}), "did you mean timeout"),
        (job(distribution={"processCount": 2}), "did you mean processCountPerInstance"),
        (deployment(requestSettings={"maxConcurrentRequests": 4}), "did you mean maxConcurrentRequestsPerInstance"),
        (deployment(containerResourceRequirement={}), "did you mean containerResourceRequirements"),
        (job(command="sh"), "set by the kit"),
        (job(environmentVariables=None), "set by the kit"),
        (job(inputs={"more": {"jobInputType": "uri_file", "uri": "x"}}), "set by the kit"),
        (job(tags={"mlinfra_id": "x"}), "set by the kit"),
        ({"Jobs_CreateOrUpdate": {"properties": None}}, "set by the kit"),
        (job(environmentVariables={"MLINFRA_MANIFEST_0": "x"}), "of the kit"),
        (job(environmentVariables={"MLINFRA_WHEELS": "x"}), "of the kit"),
    ],
)
def test_an_override_that_cannot_be_is_refused_before_anything_is_read(
    overrides: dict[str, Any], words: str, environment: AzureEnvironment
):
    with pytest.raises(SpecError, match=words):
        check_overrides(overrides, environment)


@pytest.mark.parametrize(
    "overrides",
    [
        job(identity={"identityType": "AMLToken"}),
        job(computeId="/subscriptions/x/computes/theirs"),
        job(services={"ssh": {"jobServiceType": "SSH"}}),
        {"OnlineEndpoints_CreateOrUpdate": {"properties": {"publicNetworkAccess": "Enabled"}}},
        {"OnlineEndpoints_CreateOrUpdate": {"properties": {"authMode": "Key"}}},
        deployment(egressPublicNetworkAccess="Enabled"),
    ],
)
def test_no_override_weakens_a_production_stage(overrides: dict[str, Any], environment: AzureEnvironment):
    production = environment.model_copy(update={"stage": "prod"})
    with pytest.raises(SpecError, match="weakens what protects stage prod"):
        check_overrides(overrides, production)
    check_overrides(overrides, environment)
    ((operation, _),) = overrides.items()
    spec = JobSpec(name="hello", command=["x"], overrides={"azure": overrides})
    with pytest.raises(SpecError, match="weakens what protects stage prod"):
        overridden(operation, {}, spec, production)


def test_what_opens_a_production_stage_may_be_switched_off(environment: AzureEnvironment):
    check_overrides(job(services=None), environment.model_copy(update={"stage": "prod"}))


def test_either_kind_of_deployment_may_be_asked_for(environment: AzureEnvironment):
    check_overrides(deployment(endpointComputeType="Kubernetes", instanceType="gpu"), environment)
    body = {"location": "x", "properties": {"endpointComputeType": "Kubernetes", "containerResourceRequirements": {}}}
    check_request(
        Request(
            "x",
            "ml",
            "OnlineDeployments_CreateOrUpdate",
            {"endpointName": "abc", "deploymentName": "abc", "body": body},
            repeatable=True,
        )
    )


def test_a_request_is_checked_against_the_vendors_description():
    def request(body: dict[str, Any]) -> Request:
        return Request(step="x", service="ml", operation="Jobs_Cancel", body=body, repeatable=True)

    check_request(request({"id": "train-1"}))
    check_request(request({"id": Ref("create", "name")}))
    for body in ({}, {"id": 3}, {"id": "x", "more": 1}, {"id": "no spaces"}):
        with pytest.raises(SpecError):
            check_request(request(body))
    with pytest.raises(KitFault):
        check_request(Request(step="x", service="ml", operation="Schedules_Get", effect=False))


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"limits": {"jobLimitsType": "Command", "timeout": "2h"}}, "timeout"),
        ({"distribution": {"distributionType": "Torch"}}, "did you mean PyTorch"),
        ({"inputs": {"x": {"jobInputType": "uri_folder"}}}, "uri"),
        ({"outputs": {"x": {"jobOutputType": "uri_folder", "mode": "upload"}}}, "did you mean Upload"),
        ({"identity": {"identityType": "managed"}}, "did you mean Managed"),
        ({"status": "Completed"}, "no such member"),
        ({"environmentId": None}, "environmentId"),
    ],
)
def test_what_the_service_would_refuse_is_not_sent(properties: dict[str, Any], words: str):
    whole = {"jobType": "Command", "command": "x", "environmentId": "x", **properties}
    with pytest.raises(SpecError, match=words):
        check_request(
            Request("x", "ml", "Jobs_CreateOrUpdate", {"id": "x", "body": {"properties": whole}}, repeatable=True)
        )


@pytest.mark.parametrize(
    ("name", "fits"), [("ab", False), ("a" * 33, False), ("1ab", False), ("a--b", False), ("a-b", True)]
)
def test_an_endpoints_name_is_held_against_what_the_documents_say(name: str, *, fits: bool):
    request = Request("x", "ml", "OnlineEndpoints_Get", {"endpointName": name}, effect=False)
    if fits:
        check_request(request)
    else:
        with pytest.raises(SpecError, match="pattern"):
            check_request(request)


def test_an_autoscale_setting_is_checked_as_well():
    rule: dict[str, Any] = {"metricTrigger": {"metricName": "RequestsPerMinute"}, "scaleAction": {}}
    profile = {"name": "x", "capacity": {"minimum": "1", "maximum": "2", "default": "1"}, "rules": [rule]}
    body = {"location": "x", "properties": {"profiles": [profile]}}
    with pytest.raises(SpecError, match="metricResourceUri"):
        check_request(
            Request(
                "x",
                "monitor",
                "AutoscaleSettings_CreateOrUpdate",
                {"autoscaleSettingName": "x", "body": body},
                repeatable=True,
            )
        )
