"""A stack's configuration: every mistake at once, each with its key, the value given and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from mlinfra.errors import SpecError
from mlinfra.infra.configuration import CloudConfiguration, Configuration, read
from mlinfra.infra.local.configuration import LocalConfiguration
from mlinfra.infra.stages import FIRM_IN_PROD, PROFILES, Profile

LOCAL: dict[str, Any] = {"platform": "local"}
CLOUD: dict[str, Any] = {
    "platform": "aws",
    "region": "eu-west-1",
    "account": "123456789012",
    "notify": ["risk@example.org"],
}


def refusal(model: type[Configuration], values: dict[str, Any], stack: str = "some-dev") -> list[Any]:
    with pytest.raises(SpecError) as caught:
        read(model, values, stack=stack)
    return list(caught.value.problems)


# model, what is given beside the required keys, the key told, the value told, a part of what is allowed
WRONG = [
    (LocalConfiguration, {"stage": "production"}, "mlinfra:stage", "production", "dev, staging, prod"),
    (LocalConfiguration, {"stage": ""}, "mlinfra:stage", '""', "dev, staging, prod"),
    (LocalConfiguration, {"platform": "aws"}, "mlinfra:platform", "aws", "local"),
    (LocalConfiguration, {"stagee": "dev"}, "mlinfra:stagee", "stagee", "stage"),
    (LocalConfiguration, {"name": "other"}, "mlinfra:name", "other", "no such key"),
    (LocalConfiguration, {"slots": "-1"}, "mlinfra:slots", "-1", "Jobs at once"),
    (LocalConfiguration, {"slots": "many"}, "mlinfra:slots", "many", "Jobs at once"),
    (LocalConfiguration, {"slots": "2.5"}, "mlinfra:slots", "2.5", "Jobs at once"),
    (LocalConfiguration, {"stores": ["data"]}, "mlinfra:stores", "data", "artefacts"),
    (LocalConfiguration, {"stores": ["artefacts", "artefacts"]}, "mlinfra:stores", "artefacts, artefacts", "once"),
    (LocalConfiguration, {"stores": ["artefacts", "My Data"]}, "mlinfra:stores.1", "My Data", "a-z"),
    (LocalConfiguration, {"stores": "artefacts"}, "mlinfra:stores", "artefacts", "Buckets"),
    (LocalConfiguration, {"folder": "a", "adopt": {"folder": "b"}}, "mlinfra:folder", "a", "one of"),
    (LocalConfiguration, {"adopt": {"fodler": "b"}}, "mlinfra:adopt.fodler", "fodler", "folder"),
    (LocalConfiguration, {"adopt": "b"}, "mlinfra:adopt", "b", "folder"),
    (LocalConfiguration, {"tags": {"mlinfra_x": "y"}}, "mlinfra:tags", '{"mlinfra_x": "y"}', "another key"),
    (LocalConfiguration, {"tags": {"team": 7}}, "mlinfra:tags.team", "7", "Native tags"),
    (LocalConfiguration, {"emulated": "perhaps"}, "mlinfra:emulated", "perhaps", "emulator"),
    (LocalConfiguration, {"approval": ["prd"]}, "mlinfra:approval.0", "prd", "dev, staging, prod"),
    (LocalConfiguration, {"settings": {"zones": 4}}, "mlinfra:settings.zones", "4", "Availability zones"),
    (LocalConfiguration, {"settings": {"zone": 1}}, "mlinfra:settings.zone", "zone", "zones"),
    (LocalConfiguration, {"settings": {"log_days": 0}}, "mlinfra:settings.log_days", "0", "logs are kept"),
    (LocalConfiguration, {"images": {"base": 3}}, "mlinfra:images.base", "3", "Images that exist"),
    (LocalConfiguration, {"slots": "2000"}, "mlinfra:slots", "2000", "Jobs at once"),
    (LocalConfiguration, {"tracking": {"kind": "wandb"}}, "mlinfra:tracking.kind", "wandb", "mlflow"),
    (CloudConfiguration, {"region": None}, "mlinfra:region", "null", "region"),
    (CloudConfiguration, {"budget": "-5"}, "mlinfra:budget", "-5", "Monthly budget"),
    (CloudConfiguration, {"notify": ["nobody"]}, "mlinfra:notify.0", "nobody", "Mail addresses"),
    (
        CloudConfiguration,
        {"trusts": [{"system": "github", "subjects": ["repo:acme/risk:*"]}]},
        "mlinfra:trusts.0.subjects",
        "repo:acme/risk:*",
        "without",
    ),
    (
        CloudConfiguration,
        {"trusts": [{"system": "github", "subjects": []}]},
        "mlinfra:trusts.0.subjects",
        "[]",
        "Exact",
    ),
    (
        CloudConfiguration,
        {"trusts": [{"system": "jenkins", "subjects": ["x"]}]},
        "mlinfra:trusts.0.system",
        "jenkins",
        "github, gitlab, azure-devops",
    ),
    (CloudConfiguration, {"stage": "prod", "notify": []}, "mlinfra:notify", "[]", "one mail address"),
    *(
        (CloudConfiguration, {"stage": "prod", "settings": {name: False}}, f"mlinfra:settings.{name}", "false", "true")
        for name in FIRM_IN_PROD
    ),
]


@pytest.mark.parametrize(("model", "given", "key", "value", "allowed"), WRONG, ids=lambda case: str(case)[:60])
def test_a_wrong_value_is_told_with_key_value_and_what_is_allowed(
    model: type[Configuration], given: dict[str, Any], key: str, value: str, allowed: str
):
    problems = refusal(model, {**(CLOUD if model is CloudConfiguration else LOCAL), **given})
    assert [problem.path for problem in problems] == [key]
    assert problems[0].given == value
    assert allowed in problems[0].allowed


@pytest.mark.parametrize("name", Profile.model_fields)
def test_every_setting_refuses_what_it_cannot_be(name: str):
    wrong = "perhaps" if Profile.model_fields[name].annotation is bool else "-1"
    (problem,) = refusal(LocalConfiguration, {**LOCAL, "settings": {name: wrong}})
    assert (problem.path, problem.given) == (f"mlinfra:settings.{name}", wrong)
    assert problem.allowed == Profile.model_fields[name].description


@pytest.mark.parametrize(("name", "beyond"), [("key_deletion_days", 31), ("soft_delete_days", 91), ("zones", 4)])
def test_what_no_cloud_takes_is_refused(name: str, beyond: int):
    (problem,) = refusal(CloudConfiguration, {**CLOUD, "settings": {name: beyond}})
    assert (problem.path, problem.given) == (f"mlinfra:settings.{name}", str(beyond))


@pytest.mark.parametrize("platform", ["local"], indirect=True)
def test_every_key_and_every_rule_of_local_has_a_case(refusals):
    cases = [(given, key) for model, given, key, *_ in WRONG if model is LocalConfiguration]
    assert refusals.fields_without_case(key for _, key in cases) == set()
    assert refusals.rules_without_case(given for given, _ in cases) == set()


@pytest.mark.parametrize("missing", ["region", "account"])
def test_a_required_key_is_asked_for(missing: str):
    problems = refusal(CloudConfiguration, {key: value for key, value in CLOUD.items() if key != missing})
    assert [(problem.path, problem.what) for problem in problems] == [(f"mlinfra:{missing}", "is missing")]


@pytest.mark.parametrize("stack", ["Dev", "a", "-dev", "dev_1", "x" * 33])
def test_a_stacks_name_is_that_of_an_environment(stack: str):
    problems = refusal(LocalConfiguration, dict(LOCAL), stack)
    assert [(problem.path, problem.given) for problem in problems] == [("stack", stack)]
    assert "lower-case letters" in problems[0].allowed


def test_all_mistakes_are_told_at_once_those_of_rules_too():
    given = {"stage": "prd", "slots": "-1", "folder": "a", "adopt": {"folder": "b"}, "nme": 1}
    problems = refusal(LocalConfiguration, {**LOCAL, **given})
    assert {problem.path for problem in problems} == {"mlinfra:stage", "mlinfra:slots", "mlinfra:folder", "mlinfra:nme"}


def test_the_nearest_key_is_proposed():
    assert refusal(LocalConfiguration, {**LOCAL, "slot": 1})[0].todo == "did you mean slots?"


def test_a_secret_is_refused_and_not_repeated():
    with pytest.raises(SpecError) as caught:
        read(LocalConfiguration, {**LOCAL, "proxy": "hunter2"}, stack="some-dev", secret=frozenset({"proxy"}))
    assert [problem.path for problem in caught.value.problems] == ["mlinfra:proxy"]
    assert "hunter2" not in str(caught.value)


def test_text_is_read_as_the_engine_hands_it_over():
    found = read(LocalConfiguration, {**LOCAL, "slots": "3", "emulated": "false", "stage": "prod"}, stack="risk-eu")
    assert (found.slots, found.emulated, found.name, found.profile.protected) == (3, False, "risk-eu", True)


def test_an_emulated_prod_may_be_weaker():
    given = {**CLOUD, "stage": "prod", "emulated": "true", "settings": {"deletion_protection": False}}
    assert read(CloudConfiguration, given, stack="aws-emulated").profile.deletion_protection is False


@pytest.mark.parametrize(
    "given",
    [
        {"stage": "dev"},
        {"stage": "staging"},
        {"stage": "prod", "emulated": "true"},
        {"stage": "prod", "emulated": "true", "settings": {"alarms": False}},
    ],
    ids=str,
)
def test_alarms_may_tell_nobody_where_nobody_depends_on_them(given: dict[str, Any]):
    assert not read(CloudConfiguration, {**CLOUD, "notify": [], **given}, stack="aws-some").told


def test_a_setting_differs_from_its_stage_alone_where_it_is_named():
    found = read(LocalConfiguration, {**LOCAL, "settings": {"log_days": 3}}, stack="some-dev").profile
    assert found == PROFILES["dev"].model_copy(update={"log_days": 3})


def test_every_default_of_a_stage_has_its_reason():
    assert all(info.description and len(info.description) > 20 for info in Profile.model_fields.values())


def test_every_field_that_a_person_writes_is_described():
    for model in (LocalConfiguration, CloudConfiguration):
        assert all(info.description for info in model.model_fields.values())


def test_prod_is_never_weaker_than_staging_nor_staging_than_dev():
    dev, staging, prod = (PROFILES[stage] for stage in ("dev", "staging", "prod"))
    for name in (*FIRM_IN_PROD, "log_days", "versions_days", "soft_delete_days", "zones", "replicas", "flow_logs"):
        assert getattr(dev, name) <= getattr(staging, name) <= getattr(prod, name)
