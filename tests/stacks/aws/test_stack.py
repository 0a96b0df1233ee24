"""What an AWS stack is made of, stage by stage: children, inputs, tags, protection, the environment that it exports."""

from __future__ import annotations

import json
from typing import ClassVar

import pulumi
import pulumi_aws
import pytest

from mlinfra.catalog.aws.permissions import policy
from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.mocks import run
from mlinfra.environment import parse
from mlinfra.infra.aws.stack import AwsStack

pytestmark = pytest.mark.thorough

STAGES = ("dev", "staging", "prod")
EVERYTHING = {
    "models": ["credit-risk"],
    "secrets": ["risk-db"],
    "notify": ["risk@example.org"],
    "quotas": {"L-0123ABCD": 4},
    "trusts": [{"system": "github", "subjects": ["repo:acme/risk:environment:dev"]}],
    "endpoints": {
        "credit": {
            "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/mlinfra/serving@sha256:" + "0" * 64,
            "model": "s3://models/credit/",
            "scale": {"max": 3},
        }
    },
}
BUCKET = {
    "aws:s3/bucket:Bucket": 1,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 1,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": 1,
    "aws:s3/bucketPolicy:BucketPolicy": 1,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 1,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 1,
    "aws:s3/bucketVersioning:BucketVersioning": 1,
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_input_is_one_that_the_provider_takes(up, stage):
    assert len(up(stage, **EVERYTHING).all) > 60


@pytest.mark.parametrize("stage", STAGES)
def test_previews_with_every_output_unknown_register_the_same_resources(up, stage):
    known, unknown = up(stage, **EVERYTHING), up(stage, preview=True, **EVERYTHING)
    assert {each.urn for each in unknown.all} == {each.urn for each in known.all}
    assert unknown.exports == {"environment": None}


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_takes_tags_has_those_of_the_environment(up, stage):
    wanted = {"mlinfra_environment": f"aws-{stage}", "mlinfra_stage": stage, "Team": "risk"}
    for each in up(stage, **EVERYTHING, tags={"Team": "risk"}).all:
        if each.custom and "tags" in introspect.members(introspect.arguments_class(each.token)):
            assert wanted.items() <= each.inputs["tags"].items(), each.name


@pytest.mark.parametrize("stage", STAGES)
def test_the_environment_is_one_that_the_adapter_reads(up, stage):
    environment = parse(up(stage, **EVERYTHING).exports["environment"])
    assert environment.id == f"aws:111122223333:eu-west-1:aws-{stage}"
    assert set(environment.stores) == {"artefacts", "data", "captures", "approvals"}
    assert set(environment.identities) == {"trainer", "server", "deployer", "approver", "ci"}
    assert environment.protected is (stage == "prod")
    assert bool(environment.network.subnets) is (stage != "dev")
    assert policy(environment).keys() == {"caller", "trainer", "server", "approver"}


class TestBuckets:
    def test_dev_has_all_that_makes_a_bucket_safe(self, up):
        found = up()
        assert found.kinds("aws-dev-stores") == {"mlinfra:aws:Bucket": 4}
        assert found.kinds("aws-dev-stores-artefacts") == BUCKET

    def test_prod_logs_every_access_but_that_to_the_logs(self, up):
        found = up("prod")
        assert found.kinds("aws-prod-stores-artefacts") == {**BUCKET, "aws:s3/bucketLogging:BucketLogging": 1}
        assert found.kinds("aws-prod-stores-access-logs") == BUCKET

    def test_the_public_is_shut_out_in_every_way(self, up):
        (block, *_) = up().of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
        flags = {name: value for name, value in block.inputs.items() if name != "bucket"}
        assert flags == dict.fromkeys(
            ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
        )

    def test_plain_http_is_denied_to_everybody(self, up):
        found = up().named("aws-dev-stores-data-policy")
        (statement,) = json.loads(found.inputs["policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Principal"] == "*"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    def test_unfinished_uploads_and_old_captures_go_by_themselves(self, up):
        rules = {rule["id"]: rule for rule in up().named("aws-dev-stores-captures-lifecycle").inputs["rules"]}
        assert rules["unfinished-uploads"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 3}
        assert rules["expiry"]["expiration"] == {"days": 14}
        assert rules.keys() == {"unfinished-uploads", "old-versions", "expiry"}

    def test_artefacts_never_expire(self, up):
        rules = up("prod").named("aws-prod-stores-artefacts-lifecycle").inputs["rules"]
        assert not any("expiration" in rule for rule in rules)

    def test_a_key_of_ones_own_encrypts_where_the_stage_asks_for_it(self, up):
        def algorithm(stage: str) -> str:
            (rule,) = up(stage).named(f"aws-{stage}-stores-data-encryption").inputs["rules"]
            return rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"]

        assert (algorithm("dev"), algorithm("prod")) == ("AES256", "aws:kms")


class TestProtection:
    def test_prod_protects_what_cannot_be_made_again(self, up):
        kinds = {each.token for each in up("prod", **EVERYTHING).all if each.protect}
        assert kinds == {
            "aws:ecr/repository:Repository",
            "aws:kms/key:Key",
            "aws:s3/bucket:Bucket",
            "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
            "aws:secretsmanager/secret:Secret",
        }

    def test_dev_goes_in_one_command_with_all_that_it_holds(self, up):
        found = up("dev", **EVERYTHING)
        assert not any(each.protect for each in found.all)
        assert all(each.inputs["forceDestroy"] for each in found.of("aws:s3/bucket:Bucket"))
        assert found.of("aws:secretsmanager/secret:Secret")[0].inputs["recoveryWindowInDays"] == 0

    def test_a_quota_stays_raised(self, up):
        assert up(**EVERYTHING).named("aws-dev-compute-l-0123abcd").retained


class TestIdentities:
    def test_each_role_has_the_policy_that_env_permissions_prints(self, up):
        found = up("prod", **EVERYTHING)
        printed = policy(parse(found.exports["environment"]))
        for identity, printed_as in (("trainer", "trainer"), ("approver", "approver"), ("deployer", "caller")):
            given = json.loads(found.named(f"aws-prod-identities-{identity}-policy").inputs["policy"])
            assert given == printed[printed_as], identity

    def test_sagemaker_may_run_as_trainer_and_server_alone(self, up):
        trusts = {
            each.name.rpartition("-")[2]: json.loads(each.inputs["assumeRolePolicy"])["Statement"][0]["Principal"]
            for each in up().children("aws-dev-identities")
            if each.token == "aws:iam/role:Role"  # noqa: S105  the name of a claim
        }
        service = {"Service": "sagemaker.amazonaws.com"}
        assert {name for name, principal in trusts.items() if principal == service} == {"trainer", "server"}

    def test_pipelines_are_trusted_by_issuer_audience_and_whole_subject(self, up):
        found = up(**EVERYTHING)
        (statement,) = json.loads(found.named("aws-dev-identities-ci").inputs["assumeRolePolicy"])["Statement"]
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert statement["Condition"] == {
            "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": ["repo:acme/risk:environment:dev"],
            }
        }

    def test_boundary_and_path_reach_every_role(self, up):
        boundary = "arn:aws:iam::111122223333:policy/limits"
        found = up("prod", **EVERYTHING, permission_boundary=boundary, role_path="/risk/")
        for role in found.of("aws:iam/role:Role"):
            assert role.inputs["permissionsBoundary"] == boundary, role.name
            assert role.inputs["path"] == "/risk/", role.name

    def test_two_systems_of_one_kind_share_a_signer(self, up):
        trusts = [{"system": "github", "subjects": [f"repo:acme/{name}:environment:dev"]} for name in ("a", "b")]
        assert len(up(trusts=trusts).of("aws:iam/openIdConnectProvider:OpenIdConnectProvider")) == 1


class TestNetwork:
    def test_dev_has_none(self, up):
        assert not [each for each in up().all if each.token.startswith(("aws:ec2", "aws:vpc"))]

    def test_prod_has_three_private_subnets_and_no_way_out(self, up):
        found = up("prod")
        assert len(found.of("aws:ec2/subnet:Subnet")) == 3
        assert not [each for each in found.all if "atway:" in each.token]
        ranges = [each.inputs["cidrBlock"] for each in found.of("aws:ec2/subnet:Subnet")]
        assert sorted(ranges) == ["10.80.0.0/18", "10.80.128.0/18", "10.80.64.0/18"]

    def test_every_service_that_jobs_talk_to_is_inside(self, up):
        names = {each.inputs["serviceName"] for each in up("prod").of("aws:ec2/vpcEndpoint:VpcEndpoint")}
        assert {
            f"com.amazonaws.eu-west-1.{each}" for each in ("s3", "sagemaker.api", "ecr.dkr", "logs", "sts", "kms")
        } < (names)

    def test_flows_are_logged(self, up):
        assert len(up("prod").of("aws:ec2/flowLog:FlowLog")) == 1


class TestMoney:
    def test_dev_stops_starting_when_the_budget_is_spent(self, up):
        found = up()
        (action,) = found.of("aws:budgets/budgetAction:BudgetAction")
        assert action.inputs["definition"]["iamActionDefinition"]["roles"] == ["mlinfra-aws-dev-deployer-18ecf5"]
        (denial,) = json.loads(found.named("aws-dev-money-denial").inputs["policy"])["Statement"]
        assert denial["Effect"] == "Deny"
        assert not any("Delete" in action or "Stop" in action for action in denial["Action"])

    def test_prod_is_told_and_goes_on(self, up):
        found = up("prod")
        assert len(found.of("aws:budgets/budget:Budget")) == 1
        assert not found.of("aws:budgets/budgetAction:BudgetAction")

    def test_none_is_made_where_none_is_wanted(self, up):
        assert not up(budget=0).of("aws:budgets/budget:Budget")


class TestEndpoints:
    def test_a_whole_endpoint_says_that_it_is_the_stacks(self, up):
        found = up("prod", **EVERYTHING).named("aws-prod-credit-endpoint")
        assert found.inputs["tags"]["mlinfra_owner"] == "stack"

    def test_its_configuration_has_a_name_of_the_engines_so_that_the_new_one_comes_first(self, up):
        found = up("prod", **EVERYTHING).named("aws-prod-credit-configuration")
        assert found.inputs["name"].startswith("aws-prod-credit-configuration-")

    def test_alarms_turn_an_update_back_where_the_stage_has_alarms(self, up):
        prod = up("prod", **EVERYTHING).named("aws-prod-credit-endpoint").inputs
        assert len(prod["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]) == 2
        assert "deploymentConfig" not in up("dev", **EVERYTHING).named("aws-dev-credit-endpoint").inputs

    def test_it_scales_between_its_bounds(self, up):
        target = up("dev", **EVERYTHING).named("aws-dev-credit-target").inputs
        assert (target["minCapacity"], target["maxCapacity"]) == (1, 3)


class TestAdopting:
    ADOPTED: ClassVar = {
        "buckets": {"artefacts": "acme-artefacts"},
        "key": "arn:aws:kms:eu-west-1:111122223333:key/acme",
        "network": {"vpc": "vpc-0a", "subnets": ["subnet-0a"], "security_groups": ["sg-0a"]},
        "roles": {"trainer": "arn:aws:iam::111122223333:role/acme-trainer"},
        "topic": "arn:aws:sns:eu-west-1:111122223333:acme",
    }

    def test_what_exists_is_used(self, up):
        environment = parse(up("prod", adopt=self.ADOPTED).exports["environment"])
        assert environment.stores["artefacts"].uri == "s3://acme-artefacts"
        assert environment.identities["trainer"].endswith("role/acme-trainer")
        assert environment.network.subnets == ("subnet-0a",)
        assert environment.observability.notify == self.ADOPTED["topic"]

    def test_what_exists_is_not_made(self, up):
        found = up("prod", adopt=self.ADOPTED)
        made = [each for each in found.all if each.custom and not each.adopted]
        tokens = {each.token for each in made}
        assert "aws:ec2/vpc:Vpc" not in tokens
        assert "aws:kms/key:Key" not in tokens
        assert "aws:sns/topic:Topic" not in tokens
        assert "aws-prod-identities-trainer" not in {each.name for each in made}
        assert [each.adopted for each in found.children("aws-prod-stores-artefacts")] == ["acme-artefacts"]

    def test_what_exists_is_not_protected_so_that_the_stack_can_let_go_of_it(self, up):
        assert not [each for each in up("prod", adopt=self.ADOPTED).all if each.adopted and each.protect]


def test_a_provider_given_to_the_stack_reaches_every_child(configured):
    configuration = configured("prod", **EVERYTHING)

    def program() -> None:
        provider = pulumi_aws.Provider("mine", region="eu-west-1")
        AwsStack(configuration.name, configuration, pulumi.ResourceOptions(providers=[provider]))

    found = run(program, config={"aws:region": "eu-west-1"})
    assert [each.name for each in found.all if each.token.startswith("aws:") and each.provider != "mine"] == []
