"""What the service refuses of endpoints and deployments: the rules by themselves, and how they come over the wire."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.azure.endpoints import durations, machines, rules, settings, traffic
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from conftest import Hosting

REGION = "westeurope"


def deployment(**properties: Any) -> dict[str, Any]:
    """The body of a request for a deployment that breaks no rule, but for these properties."""
    usual = {"endpointComputeType": "Managed", "environmentId": "/an/environment"}
    return {"location": REGION, "properties": {**usual, **properties}}


def endpoint(**members: Any) -> dict[str, Any]:
    """The body of a request for an endpoint that breaks no rule, but for these members."""
    properties = {"authMode": "Key", **members.pop("properties", {})}
    return {"location": REGION, "properties": properties, **members}


@pytest.mark.parametrize("name", ["ab", "a" * 33, "1shop", "shop-", "my--shop", "my_shop", ""])
def test_a_name_that_breaks_the_naming_rules_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="is invalid"):
        rules.check_name(name, "endpoint")


@pytest.mark.parametrize("name", ["abc", "a" * 32, "My-shop-2"])
def test_a_name_within_the_rules_is_taken(name: str) -> None:
    rules.check_name(name, "endpoint")


@pytest.mark.parametrize(
    ("split", "mirror", "told"),
    [
        ({"blue": 50}, {}, "sum to 0 or 100"),
        ({"blue": 60, "green": 60}, {}, "sum to 0 or 100"),
        ({"blue": 101}, {}, "between 0 and 100"),
        ({"blue": 110, "green": -10}, {}, "between 0 and 100"),
        ({"nobody": 100}, {}, "does not exist"),
        ({"failed": 100}, {}, "is in Failed provisioning state"),
        ({"blue": 100}, {"green": 51}, "At most 50%"),
        ({"blue": 100}, {"green": 10, "grey": 10}, "one deployment only"),
        ({"blue": 100}, {"blue": 10}, "both live and mirrored"),
        ({"blue": 100}, {"nobody": 10}, "does not exist"),
    ],
)
def test_traffic_that_breaks_a_rule_is_refused(split: dict[str, int], mirror: dict[str, int], told: str) -> None:
    names = ("blue", "green", "grey")
    there = {name: SimpleNamespace(name=name, takes_traffic=True, state="Succeeded") for name in names}
    there["failed"] = SimpleNamespace(name="failed", takes_traffic=False, state="Failed")
    asked = {"traffic": split, "mirrorTraffic": mirror}
    with pytest.raises(Refusal, match=told):
        traffic.mirrored(asked, there, traffic.checked(asked, there))  # type: ignore[arg-type]  as far as they look


def test_traffic_of_nothing_and_names_of_another_case_are_taken() -> None:
    there = {"blue": SimpleNamespace(name="Blue", takes_traffic=True, state="Succeeded")}
    asked = {"traffic": {"BLUE": 100, "nobody": 0}, "mirrorTraffic": {"nobody": 0}}
    live = traffic.checked(asked, there)  # type: ignore[arg-type]  as far as it looks
    assert live == {"Blue": 100}
    assert traffic.mirrored(asked, there, live) == {}  # type: ignore[arg-type]  as above


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"instanceType": "Standard_Nothing"}, "Instance type Standard_Nothing is not supported"),
        ({"requestSettings": {"requestTimeout": "PT181S"}}, "at most PT180S"),
        ({"requestSettings": {"requestTimeout": "PT0S"}}, "above 0"),
        ({"requestSettings": {"requestTimeout": "5"}}, "ISO 8601"),
        ({"requestSettings": {"maxConcurrentRequestsPerInstance": 0}}, "at least 1"),
        ({"livenessProbe": {"successThreshold": 2}}, "must be 1"),
        ({"readinessProbe": {"failureThreshold": 0}}, "at least 1"),
        ({"readinessProbe": {"initialDelay": "PT0.5S"}}, "at least PT1S"),
        ({"startupProbe": {"timeout": "PT0S"}}, "at least PT1S"),
        ({"modelMountPath": "relative"}, "absolute path"),
        ({"scaleSettings": {"scaleType": "TargetUtilization"}}, "Default only"),
        ({"dataCollector": {"collections": {"request": {"samplingRate": 1.5}}}}, "between 0 and 1"),
        ({"dataCollector": {"collections": {f"c{n}": {} for n in range(6)}}}, "at most 5"),
    ],
)
def test_a_deployment_that_breaks_a_rule_is_refused(properties: dict[str, Any], told: str) -> None:
    with pytest.raises(Refusal, match=told) as refused:
        rules.check_deployment(deployment(**properties), REGION, None)
    assert refused.value.status == 400
    assert refused.value.details["target"].startswith("properties.")


@pytest.mark.parametrize("instances", [0, 51])
def test_a_number_of_instances_beyond_the_limits_is_refused(instances: int) -> None:
    with pytest.raises(Refusal, match="1 to 50 instances"):
        rules.check_deployment({**deployment(), "sku": {"capacity": instances}}, REGION, None)


@pytest.mark.parametrize(
    ("properties", "what"),
    [
        ({"endpointComputeType": "Kubernetes"}, "A Kubernetes online deployment"),
        ({"codeConfiguration": {"scoringScript": "score.py"}}, "A scoring script"),
        ({"environmentId": None}, "A deployment without an environment"),
    ],
)
def test_what_is_not_emulated_says_so(properties: dict[str, Any], what: str) -> None:
    with pytest.raises(Refusal, match=f"{what}.* is not emulated") as refused:
        rules.check_deployment(deployment(**properties), REGION, None)
    assert refused.value.status == 501


def test_what_of_a_deployment_cannot_be_changed_is_refused() -> None:
    before = deployment(properties={"a": "1"})
    for asked, told in (
        (deployment(instanceType="Standard_F8s_v2"), "instance type .* cannot be changed"),
        (deployment(properties={"a": "2"}), "not removed or altered"),
        ({**deployment(), "location": "mars"}, "already exists in location"),
    ):
        with pytest.raises(Refusal, match=told):
            rules.check_deployment(asked, REGION, before)
    rules.check_deployment(deployment(properties={"a": "1", "b": "2"}), REGION, before)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"location": "mars"}, "not that of the workspace"),
        ({"properties": {"traffic": {"blue": 100}}}, "has no deployments yet"),
        ({"properties": {"compute": "/a/cluster"}}, "Kubernetes online endpoint"),
    ],
)
def test_an_endpoint_that_breaks_a_rule_is_refused(members: dict[str, Any], told: str) -> None:
    with pytest.raises(Refusal, match=told):
        rules.check_endpoint(endpoint(**members), REGION, None)


def test_what_of_an_endpoint_cannot_be_changed_is_refused() -> None:
    before = endpoint(properties={"properties": {"a": "1"}}, identity={"type": "SystemAssigned"})
    for asked, told in (
        (endpoint(properties={"keys": {"primaryKey": "k"}}), "Keys can be set when"),
        (endpoint(properties={"properties": {}}), "not removed or altered"),
        (endpoint(identity={"type": "UserAssigned", "userAssignedIdentities": {"/x": {}}}), "cannot be changed"),
    ):
        with pytest.raises(Refusal, match=told):
            rules.check_endpoint(asked, REGION, before)
    rules.check_endpoint(endpoint(identity={"type": "systemAssigned"}, location="West Europe"), REGION, before)


@pytest.mark.parametrize(
    ("text", "length"), [("PT5S", 5.0), ("PT1M30S", 90.0), ("PT0.5S", 0.5), ("PT2H", 7200.0), ("PT0S", 0.0)]
)
def test_durations_are_read_and_told(text: str, length: float) -> None:
    assert durations.seconds(text, "x") == length
    assert durations.told(length) == text


def test_so_many_requests_are_handled_and_pending_as_documented() -> None:
    found = settings.requests({"requestSettings": {"maxConcurrentRequestsPerInstance": 3}})
    assert (found.room(2), found.most(2)) == (6, 12)
    assert settings.Probe().patience == 310.0


# Over the wire


def test_a_refusal_names_what_is_wrong_and_nothing_is_made(hosting: Hosting) -> None:
    error = hosting.done(hosting.creating("my--shop"), 400)["error"]
    assert error["code"] == "UserError"
    assert "'my--shop' is invalid" in error["message"]
    hosting.endpoint("shop")
    properties = {"requestSettings": {"requestTimeout": "PT181S"}}
    error = hosting.done(hosting.deploying("shop", "blue", properties=properties), 400)["error"]
    assert error["target"] == "properties.requestSettings.requestTimeout"
    assert hosting.arm("GET", "onlineEndpoints/shop/deployments/blue").status_code == 404
    hosting.done(hosting.deploying("shop", "1blue"), 400)
    hosting.done(hosting.splitting("shop", {"blue": 100}), 400)
    after = hosting.told("shop")["properties"]
    assert (after["provisioningState"], after["traffic"]) == ("Succeeded", {})


def test_a_name_is_taken_once_in_a_region(hosting: Hosting) -> None:
    hosting.emulator.endpoints.taken.add("theirs")
    told = hosting.done(hosting.creating("Theirs"), 400)["error"]["message"]
    assert "unique within a region" in told


@pytest.mark.parametrize(
    ("identity", "told"), [({"type": "None"}, "needs an identity"), ({"type": "UserAssigned"}, "at least one")]
)
def test_an_identity_that_is_none_is_refused(hosting: Hosting, identity: dict[str, str], told: str) -> None:
    assert told in hosting.done(hosting.creating("shop", identity=identity), 400)["error"]["message"]
    assert hosting.arm("GET", "onlineEndpoints/shop").status_code == 404


def test_an_identity_that_is_not_there_or_may_not_be_assigned_is_refused(hosting: Hosting) -> None:
    place = hosting.emulator.place
    nobody = place.id("Microsoft.ManagedIdentity", "userAssignedIdentities", "nobody")
    asked = {"type": "UserAssigned", "userAssignedIdentities": {nobody: {}}}
    assert hosting.creating("shop", identity=asked).status_code in {403, 404}
    server = hosting.environment.identities["server"]
    asked = {"type": "UserAssigned", "userAssignedIdentities": {server: {}}}
    deployer = hosting.emulator.credentials().principal.object_id
    with hosting.emulator.policy.without(deployer, "*/assign/action"):
        assert hosting.creating("shop", identity=asked).status_code == 403
    assert hosting.endpoint("shop", identity=asked)["identity"]["type"] == "UserAssigned"


def test_a_system_assigned_identity_lives_as_long_as_its_endpoint(hosting: Hosting) -> None:
    told = hosting.endpoint("shop")["identity"]
    assert told["type"] == "SystemAssigned"
    assert hosting.emulator.principals.get(told["principalId"])
    hosting.over(hosting.creating("shop"))
    assert hosting.told("shop")["identity"] == told
    asked = {"type": "UserAssigned", "userAssignedIdentities": {hosting.environment.identities["server"]: {}}}
    hosting.done(hosting.arm("PATCH", "onlineEndpoints/shop", {"identity": asked}), 400)
    hosting.over(hosting.arm("DELETE", "onlineEndpoints/shop"))
    assert hosting.emulator.principals.get(told["principalId"]) is None


def test_what_is_not_there_is_not_found(hosting: Hosting) -> None:
    place = hosting.emulator.place
    hosting.endpoint("shop")
    for properties in (
        {"environmentId": place.child("environments", "nobody", "versions", "1")},
        {"model": place.child("models", "nobody", "versions", "1")},
    ):
        refused = hosting.deploying("shop", "blue", properties=properties)
        assert "not found" in hosting.done(refused, 404)["error"]["message"]
    told = hosting.done(hosting.deploying("nobody", "blue"), 404)["error"]["message"]
    assert told == "Endpoint nobody was not found in workspace mlinfra."
    told = hosting.done(hosting.arm("GET", "onlineEndpoints/shop/deployments/nobody"), 404)["error"]["message"]
    assert told == "Deployment nobody not found in endpoint shop, workspace mlinfra"
    hosting.done(hosting.arm("POST", "onlineEndpoints/shop/deployments/nobody/getLogs", {}), 404)


def test_a_document_that_was_read_may_be_written_back(hosting: Hosting) -> None:
    hosting.endpoint("shop", properties={"properties": {"a": "1"}})
    for _ in range(2):
        body = hosting.told("shop")
        hosting.over(hosting.arm("PUT", "onlineEndpoints/shop", body))
    assert hosting.told("shop")["properties"]["properties"]["a"] == "1"
    hosting.deploy("shop", "blue")
    body = hosting.told("shop", "blue")
    hosting.over(hosting.arm("PUT", "onlineEndpoints/shop/deployments/blue", body))


class TestQuota:
    """How many processors a subscription may have at once."""

    @pytest.fixture
    @staticmethod
    def emulator_settings() -> Settings:
        return Settings(delays_scale=0.0, quotas=True)

    def test_a_deployment_takes_its_share_and_the_reserve_for_upgrades(self, hosting: Hosting) -> None:
        hosting.endpoint("shop")
        hosting.emulator.quotas.ceiling(machines.QUOTA, 12)  # one instance of 4 takes 8, two take 12
        error = hosting.done(hosting.deploying("shop", "blue", instances=3), 400)["error"]
        assert "Not enough quota" in error["message"]
        assert error["additionalInfo"][1]["info"]["value"]["code"] == "OutOfQuota"
        hosting.deploy("shop", "blue")
        assert hosting.deploying("shop", "green").status_code == 400
        refused = hosting.arm("PATCH", "onlineEndpoints/shop/deployments/blue", {"sku": {"capacity": 3}})
        assert "Not enough quota" in hosting.done(refused, 400)["error"]["message"]
