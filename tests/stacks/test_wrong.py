"""What no stack of a cloud can be configured to be, told before anything is registered; each cloud has its cases."""

from __future__ import annotations

import pytest

from .aws.wrong import WRONG as AWS
from .azure.wrong import WRONG as AZURE
from .gcp.wrong import WRONG as GCP

CLOUDS = {"aws": AWS, "azure": AZURE, "gcp": GCP}
CASES = [
    pytest.param(cloud, *case, id=f"{cloud}: {name}") for cloud, cases in CLOUDS.items() for name, case in cases.items()
]
NOTHING_GIVEN = {"is missing", "an organisation of Azure DevOps has an issuer of its own"}


@pytest.mark.parametrize(("platform", "changed", "key", "told"), CASES, indirect=["platform"])
def test_a_wrong_configuration_names_its_key_the_value_and_what_is_allowed(refusals, changed, key, told):
    problem, *others = refusals.of(changed)
    assert problem.path == key
    assert [each.path for each in others if not key.startswith(f"{each.path}.")] == []  # but of the whole it is part of
    assert problem.given or problem.what in NOTHING_GIVEN
    assert problem.allowed
    assert told in str(problem)


@pytest.mark.parametrize("platform", CLOUDS, indirect=True)
def test_every_key_and_every_rule_has_a_case(platform, refusals):
    cases = CLOUDS[platform.name].values()
    assert refusals.fields_without_case(key for _, key, _ in cases) == set()
    assert refusals.rules_without_case(changed for changed, _, _ in cases) == set()


@pytest.mark.parametrize("platform", CLOUDS, indirect=True)
def test_what_it_says_by_itself_is_enough_for_dev(platform):
    assert platform.configured("dev").profile.destroy_contents


@pytest.mark.parametrize("platform", ["aws"], indirect=True)
def test_every_mistake_is_told_at_once(refusals):
    wrong = {"account": "1", "models": ["Credit"], "budget": -1, "unknown": 1}
    keys = {problem.path for problem in refusals.of(wrong)}
    assert keys == {"mlinfra:account", "mlinfra:models.0", "mlinfra:budget", "mlinfra:unknown"}


@pytest.mark.parametrize("platform", ["aws"], indirect=True)
def test_an_adopted_topic_tells_people_by_itself(platform):
    topic = "arn:aws:sns:eu-west-1:111122223333:acme"
    assert platform.configured("prod", notify=[], adopt={"topic": topic}).told
