"""Endpoints that a stack of Azure owns whole: shell, image, deployment, traffic, scaling, alarms."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mlinfra.errors import SpecError
from mlinfra.infra.azure.configuration import AzureConfiguration
from mlinfra.infra.configuration import read

pytestmark = pytest.mark.thorough

ML = "azure-native:machinelearningservices"
SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
WANTED = {"image": "acme.azurecr.io/serving@sha256:1", "model": "credit-risk:3"}


@pytest.fixture
def made(up):
    """`made("prod", machine=…)`: what the stack registers for one such endpoint, and its kinds by their last word."""

    def made(stage: str = "dev", *, preview: bool = False, given: dict[str, Any] | None = None, **changed: Any):
        found = up(stage, preview=preview, whole_endpoints={"credit": {**WANTED, **changed}}, **(given or {}))
        return {each.token.rpartition(":")[2]: each for each in found.all if f"-{stage}-credit-" in each.name}

    return made


def template(made) -> dict[str, Any]:
    properties = made["Deployment"].inputs["properties"]
    assert properties["mode"] == "Incremental"
    (written,) = properties["template"]["resources"]
    return written


def test_its_shell_says_whose_it_is_and_leaves_the_rest_to_the_template(made):
    shell = made()["OnlineEndpoint"]
    assert shell.inputs["tags"]["mlinfra_owner"] == "stack"
    assert "traffic" not in shell.inputs["properties"]  # names nothing that stands yet
    assert shell.ignored == ("properties", "tags")


def test_the_deployment_serves_the_kits_model_with_the_image_of_the_configuration(made):
    found = made(env={"LOG_LEVEL": "debug"})
    suffix = found["OnlineEndpoint"].inputs["endpointName"].rpartition("-")[2]
    properties = found["OnlineDeployment"].inputs["properties"]
    assert properties["model"].endswith(f"/workspaces/azure-dev/models/credit-risk-{suffix}/versions/3")
    assert properties["environmentId"].endswith(f"/environments/credit-{suffix}/versions/{_version(found)}")
    assert properties["environmentVariables"] == {"LOG_LEVEL": "debug"}
    assert found["EnvironmentVersion"].inputs["properties"]["image"] == WANTED["image"]
    assert found["EnvironmentVersion"].inputs["properties"]["inferenceConfig"]["scoringRoute"] == {
        "path": "/score",
        "port": 8080,
    }


def _version(found) -> str:
    return found["EnvironmentVersion"].inputs["version"]


def test_all_traffic_goes_to_the_deployment_once_it_stands(made):
    found = made()
    written = template(found)
    assert written["type"] == "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    assert written["name"] == f"azure-dev/{found['OnlineEndpoint'].inputs['endpointName']}"
    assert written["properties"]["traffic"] == {found["OnlineDeployment"].inputs["deploymentName"]: 100}
    assert found["OnlineDeployment"].name in found["Deployment"].depends_on


def test_the_template_writes_all_that_the_shell_says(made):
    found = made("prod")
    shell, written = found["OnlineEndpoint"].inputs, template(found)
    assert {name: written["properties"][name] for name in shell["properties"]} == shell["properties"]
    assert {name: written[name] for name in ("location", "kind", "tags")} == {
        name: shell[name] for name in ("location", "kind", "tags")
    }
    assert list(written["identity"]["userAssignedIdentities"]) == shell["identity"]["userAssignedIdentities"]


def test_a_tag_in_brackets_is_no_expression_of_the_template(made):
    tags = template(made(given={"tags": {"Team": "[Risk]", "Note": "[sic"}}))["tags"]
    assert (tags["Team"], tags["Note"]) == ("[[Risk]", "[sic")


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "acme.azurecr.io/serving@sha256:2"},
        {"model": "credit-risk:4"},
        {"machine": "Standard_F4s_v2"},
        {"env": {"LOG_LEVEL": "debug"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_runs_gives_the_deployment_its_name(made, changed):
    names = {each["OnlineDeployment"].inputs["deploymentName"] for each in (made(), made(**changed))}
    assert len(names) == 2
    assert all(3 <= len(name) <= 32 for name in names)


def test_the_number_of_instances_changes_in_place(made):
    one, three = made(), made(scale={"min": 3})
    assert one["OnlineDeployment"].inputs["deploymentName"] == three["OnlineDeployment"].inputs["deploymentName"]
    assert [each["OnlineDeployment"].inputs["sku"]["capacity"] for each in (one, three)] == [1, 3]
    assert "AutoscaleSetting" not in three
    assert made("prod")["OnlineDeployment"].inputs["sku"]["capacity"] == 2  # one machine is no service


def test_more_than_the_least_scales_by_answered_requests(made):
    found = made(scale={"min": 1, "max": 4, "requests_per_minute": 300})
    assert found["OnlineDeployment"].ignored == ("sku",)
    setting = found["AutoscaleSetting"].inputs
    assert setting["targetResourceUri"].endswith(f"/deployments/{found['OnlineDeployment'].inputs['deploymentName']}")
    (profile,) = setting["profiles"]
    assert profile["capacity"] == {"minimum": "1", "maximum": "4", "default": "1"}
    rules = {each["scaleAction"]["direction"]: each["metricTrigger"] for each in profile["rules"]}
    assert {direction: rule["threshold"] for direction, rule in rules.items()} == {"Increase": 300, "Decrease": 150}
    assert all(rule["dividePerInstance"] for rule in rules.values())


def test_prod_is_private_and_watched(made, up):
    found = up("prod", whole_endpoints={"credit": WANTED})
    assert found.named("azure-prod-credit-endpoint").inputs["properties"]["publicNetworkAccess"] == "Disabled"
    watched = [each for each in found.of("azure-native:monitor:MetricAlert") if "-alarms-credit-" in each.name]
    assert {each.name.rpartition("-")[2] for each in watched} == {"errors", "failures", "latency"}
    alone = made(given={"isolated": True})["OnlineDeployment"].inputs["properties"]
    assert alone["egressPublicNetworkAccess"] == "Disabled"


def test_servers_start_when_they_may_read_their_image_and_model(made, up):
    found = up(whole_endpoints={"credit": WANTED})
    rights = {each.name for each in found.of("azure-native:authorization:RoleAssignment") if "-server-" in each.name}
    assert rights
    assert rights <= set(found.named("azure-dev-credit-main-deployment").depends_on)


def test_previews_with_every_output_unknown_register_the_same_resources(made):
    known, unknown = (made("prod", preview=preview, scale={"max": 4}) for preview in (False, True))
    assert {each.urn for each in unknown.values()} == {each.urn for each in known.values()}


class TestWrong:
    GOOD: ClassVar = {"platform": "azure", "region": "westeurope", "account": SUBSCRIPTION, "tenant": SUBSCRIPTION}
    CASES: ClassVar = {
        "no image": ({"credit": {"model": "credit-risk:3"}}, "whole_endpoints.credit.image", "Serving image"),
        "a model without its version": (
            {"credit": {**WANTED, "model": "credit-risk"}},
            "whole_endpoints.credit.model",
            "NAME:VERSION",
        ),
        "a machine of another cloud": (
            {"credit": {**WANTED, "machine": "ml.m5.large"}},
            "whole_endpoints.credit.machine",
            "VM size",
        ),
        "a name that is no name": ({"Credit": WANTED}, "whole_endpoints.Credit", "lower-case"),
        "less than its least": (
            {"credit": {**WANTED, "scale": {"min": 3, "max": 2}}},
            "whole_endpoints.credit.scale.max",
            "0, or 3 or more",
        ),
        "a shell beside it": ({"shell": WANTED}, "whole_endpoints.shell", "one of mlinfra:endpoints"),
    }

    @pytest.mark.parametrize(("whole", "key", "told"), CASES.values(), ids=CASES)
    def test_it_names_the_key_and_what_is_allowed(self, whole, key, told):
        with pytest.raises(SpecError) as caught:
            read(AzureConfiguration, {**self.GOOD, "endpoints": ["shell"], "whole_endpoints": whole}, stack="azure-dev")
        found = [each for each in caught.value.problems if (each.path or "").startswith(f"mlinfra:{key}")]
        assert any(told in str(each) for each in found), str(caught.value)
