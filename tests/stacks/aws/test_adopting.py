"""What a stack of AWS finds and uses: all that may exist already, read and never made, changed or protected."""

from __future__ import annotations

from typing import Any

import pytest

from mlinfra.environment import parse

pytestmark = pytest.mark.thorough

USES = ("artefacts", "data", "captures", "approvals", "access-logs")
IDENTITIES = ("trainer", "server", "deployer", "approver", "ci")
ROLES = {each: f"arn:aws:iam::111122223333:role/acme/{each}" for each in IDENTITIES}
SIGNER = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
TRUST = {"system": "github", "subjects": ["repo:acme/risk:environment:prod"]}
EVERYTHING: dict[str, Any] = {
    "buckets": {each: f"acme-{each}" for each in USES},
    "key": "arn:aws:kms:eu-west-1:444455556666:key/acme",
    "network": {"vpc": "vpc-0a", "subnets": ["subnet-0a", "subnet-0b"], "security_groups": ["sg-0a"]},
    "roles": ROLES,
    "identity_providers": {"github": SIGNER},
    "topic": "arn:aws:sns:eu-west-1:111122223333:acme",
}


@pytest.fixture
def adopting(up):
    """The stack in prod with everything adopted that there is; `changed` of the configuration comes over it."""
    return lambda **changed: up("prod", **{"adopt": EVERYTHING, "trusts": [TRUST], **changed})


def test_everything_that_is_adopted_is_read_by_its_id(adopting):
    assert {each.adopted for each in adopting().all if each.adopted} == {
        *EVERYTHING["buckets"].values(),
        EVERYTHING["key"],
        *("vpc-0a", "subnet-0a", "subnet-0b", "sg-0a"),
        *IDENTITIES,  # a role's id is its name
        EVERYTHING["topic"],
    }


def test_nothing_of_a_kind_that_is_adopted_whole_is_made(adopting):
    made = {each.token for each in adopting().all if each.custom and not each.adopted}
    assert not [
        token for token in made if token.startswith(("aws:s3/", "aws:ec2/", "aws:vpc/", "aws:kms/", "aws:sns/"))
    ]
    assert not [each for each in adopting().all if each.adopted and each.protect]


def test_previews_with_every_output_unknown_register_the_same_resources(adopting):
    assert {each.urn for each in adopting(preview=True).all} == {each.urn for each in adopting().all}


def test_the_environment_hands_them_on(adopting):
    environment = parse(adopting().exports["environment"])
    assert environment.identities == ROLES
    assert environment.keys["main"] == EVERYTHING["key"]
    assert environment.network.subnets == ("subnet-0a", "subnet-0b")
    assert {use: store.uri for use, store in environment.stores.items()} == {
        use: f"s3://acme-{use}" for use in USES if use != "access-logs"
    }


def test_a_role_that_the_stack_makes_trusts_the_signer_that_exists(adopting):
    rest = {**EVERYTHING, "roles": {each: arn for each, arn in ROLES.items() if each != "ci"}}
    found = adopting(adopt=rest)
    assert found.named("aws-prod-identities-github").adopted == SIGNER
    assert SIGNER in found.named("aws-prod-identities-ci").inputs["assumeRolePolicy"]
