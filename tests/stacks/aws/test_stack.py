"""What an AWS stack's decisive resources are given, stage by stage: whole documents, as a security review reads them.

Which resources there are is in `trees/`, what holds for every cloud in `test_clouds.py`, what exists already in
`test_adopting.py`.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256

import pytest

from mlinfra.catalog.aws.permissions import policy
from mlinfra.environment import parse
from mlinfra.infra.aws import names
from mlinfra.infra.aws.configuration import STORES

pytestmark = pytest.mark.thorough

STAGES = ("dev", "staging", "prod")
TARGET = "aws:appautoscaling/target:Target"
SIGNER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
ACCOUNT = "111122223333"
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
OWN = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:mlinfra-aws-prod-85e2c0"
UNFINISHED = {
    "id": "unfinished-uploads",
    "status": "Enabled",
    "filter": {},
    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 3},
}


def given(found, name: str) -> dict:
    """What a resource is given, its tags apart."""
    return {key: value for key, value in found.named(name).inputs.items() if key not in {"tags", "name"}}


def document(found, name: str, key: str = "policy") -> dict:
    return json.loads(found.named(name).inputs[key])


def statements(*rows: dict) -> dict:
    return {"Version": "2012-10-17", "Statement": [*rows]}


def old(days: int) -> dict:
    return {
        "id": "old-versions",
        "status": "Enabled",
        "filter": {},
        "noncurrentVersionExpiration": {"noncurrentDays": days},
    }


def expiry(days: int) -> dict:
    return {"id": "expiry", "status": "Enabled", "filter": {}, "expiration": {"days": days}}


@pytest.fixture
def prod(whole):
    return whole("prod")


@pytest.fixture
def dev(whole):
    return whole("dev")


@pytest.fixture
def key(prod) -> str:
    """The environment's key, by its ARN."""
    return prod.named("aws-prod-keys-key").outputs["arn"]


class TestBuckets:
    @pytest.mark.parametrize("stage", STAGES)
    def test_every_one_is_closed_and_keeps_versions(self, whole, stage):
        found, uses = whole(stage), [*STORES, *(["access-logs"] if stage != "dev" else [])]
        for use in uses:
            stem, bucket = f"aws-{stage}-stores-{use}", found.named(f"aws-{stage}-stores-{use}-bucket").inputs["bucket"]
            assert given(found, f"{stem}-public-access") == {
                "bucket": bucket,
                "blockPublicAcls": True,
                "blockPublicPolicy": True,
                "ignorePublicAcls": True,
                "restrictPublicBuckets": True,
            }
            owned = {"bucket": bucket, "rule": {"objectOwnership": "BucketOwnerEnforced"}}
            assert given(found, f"{stem}-ownership") == owned
            kept = {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}}
            assert given(found, f"{stem}-versioning") == kept

    def test_plain_http_is_denied_to_everybody(self, prod):
        for use in STORES:
            arn = f"arn:aws:s3:::mlinfra-aws-prod-{use}-85e2c0"
            assert document(prod, f"aws-prod-stores-{use}-policy") == statements(tls_only(arn))

    def test_s3_alone_writes_access_logs(self, prod):
        arn = "arn:aws:s3:::mlinfra-aws-prod-access-logs-85e2c0"
        assert document(prod, "aws-prod-stores-access-logs-policy") == statements(
            tls_only(arn),
            {
                "Sid": "AccessLogs",
                "Effect": "Allow",
                "Principal": {"Service": "logging.s3.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": f"{arn}/*",
                "Condition": OWN,
            },
        )

    def test_every_access_is_logged_but_that_to_the_logs(self, prod, dev):
        logs = "mlinfra-aws-prod-access-logs-85e2c0"
        assert {each.name: given(prod, each.name) for each in prod.of("aws:s3/bucketLogging:BucketLogging")} == {
            f"aws-prod-stores-{use}-logging": {
                "bucket": f"mlinfra-aws-prod-{use}-85e2c0",
                "targetBucket": logs,
                "targetPrefix": f"{use}/",
            }
            for use in STORES
        }
        assert not dev.of("aws:s3/bucketLogging:BucketLogging")

    def test_a_key_of_ones_own_encrypts_all_but_access_logs(self, prod, dev, key):
        def rules(found, stem: str) -> list:
            return found.named(f"{stem}-encryption").inputs["rules"]

        by_s3 = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]
        with_ours = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key}
        for use in STORES:
            assert rules(dev, f"aws-dev-stores-{use}") == by_s3
            assert rules(prod, f"aws-prod-stores-{use}") == [
                {"applyServerSideEncryptionByDefault": with_ours, "bucketKeyEnabled": True}
            ]
        assert rules(prod, "aws-prod-stores-access-logs") == by_s3

    def test_what_is_no_longer_needed_goes_by_itself(self, prod, dev):
        def rules(found, stem: str) -> list:
            return found.named(f"{stem}-lifecycle").inputs["rules"]

        for use in ("artefacts", "data", "approvals"):  # none of these expires
            assert rules(prod, f"aws-prod-stores-{use}") == [UNFINISHED, old(365)]
        assert rules(prod, "aws-prod-stores-captures") == [UNFINISHED, old(90), expiry(90)]
        assert rules(dev, "aws-dev-stores-captures") == [UNFINISHED, old(7), expiry(14)]
        assert rules(prod, "aws-prod-stores-access-logs") == [UNFINISHED, old(365), expiry(365)]


def tls_only(arn: str) -> dict:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


class TestKey:
    USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")
    LOGS = "arn:aws:logs:eu-west-1:111122223333:log-group:*"

    def policy(self) -> list[dict]:
        return [
            {"Sid": "TheAccountDecides", "Effect": "Allow", "Principal": ROOT, "Action": "kms:*", "Resource": "*"},
            {
                "Sid": "Logs",
                "Effect": "Allow",
                "Principal": {"Service": "logs.eu-west-1.amazonaws.com"},
                "Action": [*self.USE],
                "Resource": "*",
                "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": self.LOGS}},
            },
            {
                "Sid": "Notices",
                "Effect": "Allow",
                "Principal": {"Service": ["sns.amazonaws.com", "cloudwatch.amazonaws.com", "budgets.amazonaws.com"]},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": "*",
                "Condition": OWN,
            },
        ]

    def test_the_account_decides_and_three_services_may_use_it(self, prod):
        assert document(prod, "aws-prod-keys-key") == statements(*self.policy())

    def test_administrators_manage_it_and_cannot_use_it(self, whole):
        people = ["arn:aws:iam::111122223333:role/keys"]
        *others, administrators = document(whole("prod", key_administrators=people), "aws-prod-keys-key")["Statement"]
        assert others == self.policy()
        assert administrators["Principal"] == {"AWS": people}
        assert not {"kms:*", *self.USE} & set(administrators["Action"])

    def test_it_rotates_and_can_be_brought_back_for_thirty_days(self, prod):
        inputs = prod.named("aws-prod-keys-key").inputs
        assert (inputs["enableKeyRotation"], inputs["deletionWindowInDays"]) == (True, 30)

    def test_it_encrypts_images_secrets_logs_and_notices(self, prod, key):
        assert prod.named("aws-prod-secrets-risk-db").inputs["kmsKeyId"] == key
        assert prod.named("aws-prod-logs-group").inputs["kmsKeyId"] == key
        assert prod.named("aws-prod-notices-topic").inputs["kmsMasterKeyId"] == key
        assert prod.named("aws-prod-credit-configuration").inputs["kmsKeyArn"] == key


class TestImages:
    @pytest.mark.parametrize("own", ["runner", "serving"])
    def test_a_tag_stays_where_it_is_and_what_is_pushed_is_scanned(self, prod, key, own):
        assert given(prod, f"aws-prod-images-{own}") == {
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": key}],
            "forceDelete": False,
        }

    def test_images_without_a_tag_go_after_two_weeks(self, prod):
        (rule,) = document(prod, "aws-prod-images-runner-lifecycle")["rules"]
        assert rule["action"] == {"type": "expire"}
        assert rule["selection"] == {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": 14,
        }

    def test_the_base_image_comes_through_a_cache_of_the_public_registry(self, prod):
        cache = {"ecrRepositoryPrefix": "mlinfra-85e2c0", "upstreamRegistryUrl": "public.ecr.aws"}
        assert given(prod, "aws-prod-images-cache") == cache

    def test_what_the_cache_makes_is_encrypted_and_tagged_and_follows_the_public_tags(self, prod, dev, key):
        assert given(prod, "aws-prod-images-template") == {
            "prefix": "mlinfra-85e2c0",
            "description": "mlinfra: public images of aws-prod",
            "appliedFors": ["PULL_THROUGH_CACHE"],
            "imageTagMutability": "MUTABLE",
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": key}],
            "customRoleArn": f"arn:aws:iam::{ACCOUNT}:role/mlinfra-aws-prod-images-85e2c0",
            "resourceTags": prod.named("aws-prod-images-runner").inputs["tags"],
        }
        by_ecr = given(dev, "aws-dev-images-template")["encryptionConfigurations"]
        assert by_ecr == [{"encryptionType": "AES256"}]

    def test_ecr_makes_the_caches_repositories_and_can_do_nothing_else(self, prod, dev, key):
        trust = {"Effect": "Allow", "Principal": {"Service": "ecr.amazonaws.com"}, "Action": "sts:AssumeRole"}
        assert document(prod, "aws-prod-images-maker", "assumeRolePolicy") == statements(trust)
        making = {"Effect": "Allow", "Action": ["ecr:CreateRepository", "ecr:TagResource"]}
        cached = f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/mlinfra-"
        assert document(prod, "aws-prod-images-maker-policy") == statements(
            {**making, "Resource": f"{cached}85e2c0/*"},
            {"Effect": "Allow", "Action": ["kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey"], "Resource": key},
        )
        own = statements({**making, "Resource": f"{cached}18ecf5/*"})
        assert document(dev, "aws-dev-images-maker-policy") == own


class TestProtection:
    def test_prod_protects_what_cannot_be_made_again(self, prod):
        assert {each.token for each in prod.all if each.protect} == {
            "aws:ecr/repository:Repository",
            "aws:kms/key:Key",
            "aws:s3/bucket:Bucket",
            "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
            "aws:secretsmanager/secret:Secret",
        }

    def test_dev_goes_with_all_that_it_holds_and_prod_keeps_it(self, prod, dev):
        for found, goes in ((dev, True), (prod, False)):
            stores = [*found.of("aws:s3/bucket:Bucket"), *found.of("aws:ecr/repository:Repository")]
            assert {each.inputs.get("forceDestroy", each.inputs.get("forceDelete")) for each in stores} == {goes}
        assert dev.named("aws-dev-secrets-risk-db").inputs["recoveryWindowInDays"] == 0
        assert prod.named("aws-prod-secrets-risk-db").inputs["recoveryWindowInDays"] == 30

    def test_a_secrets_value_is_never_the_stacks(self, prod):
        assert not [each for each in prod.all if "ecretVersion" in each.token]


class TestIdentities:
    TRUSTED = (
        ("trainer", {"Service": "sagemaker.amazonaws.com"}, {"Condition": OWN}, 1),
        ("server", {"Service": "sagemaker.amazonaws.com"}, {"Condition": OWN}, 1),
        ("deployer", ROOT, {}, 4),
        ("approver", ROOT, {}, 1),
    )

    @pytest.mark.parametrize(("identity", "principal", "narrowed", "hours"), TRUSTED)
    def test_each_role_is_taken_by_whom_it_is_for(self, prod, identity, principal, narrowed, hours):
        role = f"aws-prod-identities-{identity}"
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **narrowed}
        assert document(prod, role, "assumeRolePolicy") == statements(trust)
        assert prod.named(role).inputs["maxSessionDuration"] == hours * 3600

    def test_pipelines_are_trusted_by_issuer_audience_and_whole_subject(self, prod):
        issuer = "token.actions.githubusercontent.com"
        assert document(prod, "aws-prod-identities-ci", "assumeRolePolicy") == statements(
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{issuer}:aud": "sts.amazonaws.com",
                        f"{issuer}:sub": ["repo:acme/risk:environment:dev", "repo:acme/risk:ref:refs/heads/main"],
                    }
                },
            }
        )
        signer = {"url": f"https://{issuer}", "clientIdLists": ["sts.amazonaws.com"]}
        assert given(prod, "aws-prod-identities-github") == signer

    @pytest.mark.parametrize("stage", STAGES)
    def test_each_role_has_the_policy_that_env_permissions_prints(self, whole, stage):
        found = whole(stage)
        printed = policy(parse(found.exports["environment"]))
        named = {"trainer": "trainer", "server": "server", "approver": "approver", "deployer": "caller", "ci": "caller"}
        for identity, printed_as in named.items():
            own = f"aws-{stage}-identities-{identity}-policy"
            assert document(found, own) == printed[printed_as], identity

    def test_nobody_may_everything_of_a_service(self, prod):
        policies = prod.of("aws:iam/rolePolicy:RolePolicy")
        assert len(policies) >= 6
        for each in policies:
            for row in json.loads(each.inputs["policy"])["Statement"]:
                actions = [row["Action"]] if isinstance(row["Action"], str) else row["Action"]
                assert not [action for action in actions if action.endswith("*")], each.name

    def test_boundary_and_path_reach_every_role(self, whole):
        boundary = "arn:aws:iam::111122223333:policy/limits"
        found = whole("dev", permission_boundary=boundary, role_path="/risk/")
        roles = found.of("aws:iam/role:Role")
        assert {each.name.removeprefix("aws-dev-") for each in roles} >= {"money-actor", "identities-ci"}
        assert {(each.inputs["permissionsBoundary"], each.inputs["path"]) for each in roles} == {(boundary, "/risk/")}

    def test_two_systems_of_one_kind_share_a_signer(self, up):
        trusts = [{"system": "github", "subjects": [f"repo:acme/{name}:environment:dev"]} for name in ("a", "b")]
        assert len(up(trusts=trusts).of(SIGNER)) == 1


class TestIssuers:
    """Systems of one kind that have issuers of their own."""

    OWN = "https://gitlab.acme.example"
    TRUSTS = (
        {"system": "gitlab", "issuer": OWN, "subjects": ["project_path:risk/credit"], "audience": "aws-a"},
        {"system": "gitlab", "subjects": ["project_path:acme/risk"]},
        {"system": "gitlab", "issuer": f"{OWN}/", "subjects": ["project_path:risk/fraud"], "audience": "aws-b"},
    )

    def test_each_has_a_signer_with_all_its_audiences_and_a_name_that_no_order_changes(self, up):
        for trusts in (self.TRUSTS, self.TRUSTS[::-1]):
            found = up(trusts=list(trusts))
            assert {each.name: given(found, each.name) for each in found.of(SIGNER)} == {
                "aws-dev-identities-gitlab": {"url": "https://gitlab.com", "clientIdLists": ["https://gitlab.com"]},
                "aws-dev-identities-gitlab-d99bcd": {"url": self.OWN, "clientIdLists": ["aws-a", "aws-b"]},
            }

    def test_each_statement_names_the_signer_of_its_own_issuer(self, up):
        def trusted(issuer: str, audience: str, subject: str) -> dict:
            return {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{issuer}:aud": audience, f"{issuer}:sub": [subject]}},
            }

        assert document(up(trusts=[*self.TRUSTS]), "aws-dev-identities-ci", "assumeRolePolicy") == statements(
            trusted("gitlab.acme.example", "aws-a", "project_path:risk/credit"),
            trusted("gitlab.acme.example", "aws-b", "project_path:risk/fraud"),
            trusted("gitlab.com", "https://gitlab.com", "project_path:acme/risk"),
        )

    @pytest.mark.parametrize(
        ("system", "other"),
        [("azure-devops", "vstoken.dev.azure.com/0b"), ("github", "token.actions.githubusercontent.com")],
    )
    def test_an_adopted_signer_says_who_signs_where_the_trust_does_not(self, up, system, other):
        adopted = f"arn:aws:iam::{ACCOUNT}:oidc-provider/signer.acme.example/0a"
        trusts = [
            {"system": system, "subjects": ["a"]},
            {"system": system, "issuer": f"https://{other}", "subjects": ["b"]},
        ]
        found = up(trusts=trusts, adopt={"identity_providers": {system: adopted}})
        silent, outspoken = document(found, "aws-dev-identities-ci", "assumeRolePolicy")["Statement"]
        assert silent["Principal"] == {"Federated": adopted}
        assert silent["Condition"]["StringEquals"]["signer.acme.example/0a:sub"] == ["a"]
        assert outspoken["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{other}"}
        assert {each.name: each.adopted for each in found.of(SIGNER)} == {
            f"aws-dev-identities-{system}": adopted,
            f"aws-dev-identities-{system}-{sha256(other.encode()).hexdigest()[:6]}": "",
        }


class TestNetwork:
    SERVICES = (
        *("ecr.api", "ecr.dkr", "kms", "logs", "monitoring"),
        *("sagemaker.api", "sagemaker.runtime", "secretsmanager", "sts"),
    )

    def test_dev_has_none(self, dev):
        assert not [each for each in dev.all if each.token.startswith(("aws:ec2", "aws:vpc"))]

    def test_prod_has_three_private_subnets_and_no_way_out(self, prod):
        subnets = [given(prod, f"aws-prod-network-subnet-{number}") for number in (1, 2, 3)]
        assert [(each["cidrBlock"], each["availabilityZone"], each["mapPublicIpOnLaunch"]) for each in subnets] == [
            ("10.80.0.0/18", "eu-west-1a", False),
            ("10.80.64.0/18", "eu-west-1b", False),
            ("10.80.128.0/18", "eu-west-1c", False),
        ]
        assert not [each for each in prod.all if "atway:" in each.token or "ec2/route:" in each.token]

    def test_the_services_answer_inside_by_their_own_names(self, prod):
        endpoints = {each.name: given(prod, each.name) for each in prod.of("aws:ec2/vpcEndpoint:VpcEndpoint")}
        gateway = endpoints.pop("aws-prod-network-s3")
        assert (gateway["serviceName"], gateway["vpcEndpointType"]) == ("com.amazonaws.eu-west-1.s3", "Gateway")
        assert len(gateway["routeTableIds"]) == 1
        assert sorted(each["serviceName"] for each in endpoints.values()) == [
            f"com.amazonaws.eu-west-1.{service}" for service in self.SERVICES
        ]
        for each in endpoints.values():
            assert (each["vpcEndpointType"], each["privateDnsEnabled"], len(each["subnetIds"])) == (
                "Interface",
                True,
                3,
            )

    def test_nothing_is_written_to_s3_but_in_the_accounts_buckets_and_the_adopted_ones(self, prod, whole):
        reads = {"Sid": "ReadAnything", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
        owned = {"StringEquals": {"s3:ResourceAccount": ACCOUNT}}
        writes = {"Sid": "WriteOwn", "Action": "s3:*", "Resource": "*", "Condition": owned}
        anybody = {"Effect": "Allow", "Principal": "*"}
        assert document(prod, "aws-prod-network-s3") == statements({**reads, **anybody}, {**writes, **anybody})

        found = whole("prod", adopt={"buckets": {"data": "acme-data"}})
        arns = ["arn:aws:s3:::acme-data", "arn:aws:s3:::acme-data/*"]
        adopted = {"Sid": "WriteAdopted", "Action": "s3:*", "Resource": arns}
        assert document(found, "aws-prod-network-s3")["Statement"][2:] == [{**adopted, **anybody}]

    def test_who_names_no_security_group_reaches_nobody(self, prod):
        closed = given(prod, "aws-prod-network-default")
        assert (closed["ingress"], closed["egress"]) == ([], [])
        assert closed["vpcId"] == given(prod, "aws-prod-network-subnet-1")["vpcId"]

    def test_containers_talk_to_each_other_and_by_tls_to_the_services(self, prod):
        (services,) = {
            group
            for each in prod.of("aws:ec2/vpcEndpoint:VpcEndpoint")
            for group in each.inputs.get("securityGroupIds", [])
        }
        containers = given(prod, "aws-prod-network-nodes-in")["securityGroupId"]
        among = {
            "securityGroupId": containers,
            "referencedSecurityGroupId": containers,
            "ipProtocol": "-1",
            "description": "Nodes of one job",
        }
        tls = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
        rules = {
            each.name.removeprefix("aws-prod-network-"): given(prod, each.name)
            for each in prod.all
            if "aws:vpc/securityGroup" in each.token
        }
        assert rules == {
            "nodes-in": among,
            "nodes-out": among,
            "services-out": {
                "securityGroupId": containers,
                "cidrIpv4": "0.0.0.0/0",
                "description": "AWS's services; nothing else has a route",
                **tls,
            },
            "endpoints-in": {"securityGroupId": services, "cidrIpv4": "10.80.0.0/16", **tls},
        }
        assert services != containers

    def test_flows_are_logged_in_the_name_of_a_role_that_can_do_nothing_else(self, prod):
        flows = given(prod, "aws-prod-network-flows")
        group = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/mlinfra/aws-prod-85e2c0"
        assert (flows["trafficType"], flows["logDestination"]) == ("ALL", group)
        assert flows["iamRoleArn"] == prod.named("aws-prod-logs-vpc-flow-logs").outputs["arn"]
        service = {"Service": "vpc-flow-logs.amazonaws.com"}
        assert document(prod, "aws-prod-logs-vpc-flow-logs", "assumeRolePolicy") == statements(
            {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole", "Condition": OWN}
        )
        writes = (*("CreateLogStream", "PutLogEvents"), *("DescribeLogGroups", "DescribeLogStreams"))
        assert document(prod, "aws-prod-logs-vpc-flow-logs-policy") == statements(
            {"Effect": "Allow", "Action": [f"logs:{each}" for each in writes], "Resource": f"{group}:*"}
        )


class TestObservation:
    @pytest.mark.parametrize(("stage", "days"), [("dev", 14), ("staging", 90), ("prod", 365)])
    def test_logs_end_some_day(self, whole, stage, days):
        assert whole(stage).named(f"aws-{stage}-logs-group").inputs["retentionInDays"] == days

    def test_cloudwatch_and_budgets_of_this_account_alone_write_notices(self, prod):
        services = {"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]}
        assert document(prod, "aws-prod-notices-policy") == statements(
            {
                "Sid": "Notices",
                "Effect": "Allow",
                "Principal": services,
                "Action": "sns:Publish",
                "Resource": TOPIC,
                "Condition": OWN,
            }
        )
        mail = {"topic": TOPIC, "protocol": "email", "endpoint": "risk@example.org"}
        assert given(prod, "aws-prod-notices-mail-1") == mail

    def test_one_page_shows_requests_errors_and_latency_of_the_environments_endpoints(self, prod):
        shown = [expression for (expression,) in searches(prod, "aws-prod")]
        of_variants, own = "{AWS/SageMaker,EndpointName,VariantName}", "EndpointName=85e2c0"
        assert shown == [
            f"SEARCH('{of_variants} MetricName=\"Invocations\" {own}', 'Sum', 60)",
            f"SEARCH('{of_variants} MetricName=\"Invocation5XXErrors\" {own}', 'Sum', 60)",
            f"SEARCH('{of_variants} MetricName=\"Invocation4XXErrors\" {own}', 'Sum', 60)",
            f"SEARCH('{of_variants} MetricName=\"ModelLatency\" {own}', 'p99', 60)",
        ]

    @pytest.mark.parametrize("stack", ["aws-prod", "risk", "risk-eu"])  # marks that begin with digits and with letters
    def test_its_search_finds_every_endpoint_of_the_environment_and_no_others(self, platform, whole, stack):
        (expression, *_), *_ = searches(whole("prod", stack=stack), stack)
        configured = platform.configured("prod", stack=stack)
        own = [names.endpoint(configured, each) for each in ("credit", "credit-risk-2", "c" * 32)]
        assert [each for each in own if not finds(expression, each)] == []
        assert not finds(expression, names.endpoint(platform.configured("prod", stack="risk-us"), "credit"))


def searches(found, stack: str) -> list[list[str]]:
    widgets = document(found, f"{stack}-dashboard-page", "dashboardBody")["widgets"]
    return [[metric["expression"] for (metric,) in each["properties"]["metrics"]] for each in widgets]


def finds(expression: str, endpoint: str) -> bool:
    """Whether CloudWatch finds an endpoint: a term in quotes is its whole name, any other some tokens in a row."""
    quoted, bare = re.search(r'EndpointName=(?:"([^"]+)"|([^\s\']+))', expression).groups()
    if quoted:
        return quoted == endpoint
    term, name = (re.findall(r"\d+|[a-z]+", text) for text in (bare, endpoint))
    return any(name[start : start + len(term)] == term for start in range(len(name)))


class TestMoney:
    def test_people_are_told_at_four_fifths_and_when_the_month_will_not_do(self, prod):
        notification = {
            "comparisonOperator": "GREATER_THAN",
            "thresholdType": "PERCENTAGE",
            "subscriberSnsTopicArns": [TOPIC],
        }
        assert given(prod, "aws-prod-money-budget") == {
            "budgetType": "COST",
            "limitAmount": "2000",
            "limitUnit": "USD",
            "timeUnit": "MONTHLY",
            "costFilters": [{"name": "TagKeyValue", "values": ["user:mlinfra_environment$aws-prod"]}],
            "notifications": [
                {"notificationType": "ACTUAL", "threshold": 80, **notification},
                {"notificationType": "FORECASTED", "threshold": 100, **notification},
            ],
        }

    def test_dev_stops_starting_when_the_budget_is_spent(self, dev):
        denial = dev.named("aws-dev-money-denial")
        stop = given(dev, "aws-dev-money-stop")
        assert stop["definition"] == {
            "iamActionDefinition": {
                "policyArn": denial.outputs["arn"],
                "roles": ["mlinfra-aws-dev-deployer-18ecf5", "mlinfra-aws-dev-ci-18ecf5"],
            }
        }
        assert stop["actionThreshold"] == {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 100}
        assert (stop["actionType"], stop["approvalModel"]) == ("APPLY_IAM_POLICY", "AUTOMATIC")
        starts = [
            *("CreateTrainingJob", "CreateProcessingJob", "CreateTransformJob"),
            *("CreateEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"),
        ]
        assert json.loads(denial.inputs["policy"]) == statements(
            {"Effect": "Deny", "Action": [f"sagemaker:{each}" for each in starts], "Resource": "*"}
        )

    def test_what_stops_can_attach_that_one_denial_and_nothing_else(self, dev):
        assert document(dev, "aws-dev-money-actor-policy") == statements(
            {
                "Effect": "Allow",
                "Action": ["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
                "Resource": f"arn:aws:iam::{ACCOUNT}:role/*",
                "Condition": {"ArnEquals": {"iam:PolicyARN": dev.named("aws-dev-money-denial").outputs["arn"]}},
            }
        )

    def test_budgets_of_this_account_alone_act(self, dev):
        trust = {"Effect": "Allow", "Principal": {"Service": "budgets.amazonaws.com"}, "Action": "sts:AssumeRole"}
        assert document(dev, "aws-dev-money-actor", "assumeRolePolicy") == statements({**trust, "Condition": OWN})

    def test_prod_goes_on(self, prod):
        assert not prod.of("aws:budgets/budgetAction:BudgetAction")

    def test_none_is_made_where_none_is_wanted(self, whole):
        assert not whole(budget=0).of("aws:budgets/budget:Budget")


class TestEndpoints:
    def test_a_whole_endpoint_says_that_it_is_the_stacks(self, prod):
        tags = prod.named("aws-prod-credit-endpoint").inputs["tags"]
        assert (tags["mlinfra_name"], tags["mlinfra_owner"]) == ("credit", "stack")

    def test_its_container_runs_as_the_server_inside_the_network(self, prod):
        model = given(prod, "aws-prod-credit-model")
        assert model["executionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/mlinfra-aws-prod-server-85e2c0"
        assert len(model["vpcConfig"]["subnets"]) == 3
        containers = given(prod, "aws-prod-network-nodes-in")["securityGroupId"]
        assert model["vpcConfig"]["securityGroupIds"] == [containers]

    def test_its_configuration_has_a_name_of_the_engines_so_that_the_new_one_comes_first(self, prod):
        name = prod.named("aws-prod-credit-configuration").inputs["name"]
        assert name.startswith("aws-prod-credit-configuration-")

    @pytest.mark.parametrize(
        ("metric", "statistic", "threshold"),
        [
            ("Invocation5XXErrors", {"statistic": "Sum"}, 5),
            ("ModelLatency", {"extendedStatistic": "p99"}, 1_000_000),
        ],
    )
    def test_errors_and_slowness_wake_people(self, prod, metric, statistic, threshold):
        assert given(prod, f"aws-prod-credit-{metric.lower()}") == {
            "namespace": "AWS/SageMaker",
            "metricName": metric,
            "dimensions": {"EndpointName": "credit-85e2c0", "VariantName": "main"},
            **statistic,
            "comparisonOperator": "GreaterThanThreshold",
            "threshold": threshold,
            "period": 60,
            "evaluationPeriods": 2,
            "treatMissingData": "notBreaching",
            "alarmActions": [TOPIC],
        }

    def test_a_tenth_gets_an_update_first_and_an_alarm_turns_it_back(self, prod, dev):
        alarms = [f"mlinfra-credit-85e2c0-{metric}" for metric in ("Invocation5XXErrors", "ModelLatency")]
        assert given(prod, "aws-prod-credit-endpoint")["deploymentConfig"] == {
            "autoRollbackConfiguration": {"alarms": [{"alarmName": alarm} for alarm in alarms]},
            "blueGreenUpdatePolicy": {
                "terminationWaitInSeconds": 300,
                "trafficRoutingConfiguration": {
                    "type": "CANARY",
                    "waitIntervalInSeconds": 300,
                    "canarySize": {"type": "CAPACITY_PERCENT", "value": 10},
                },
            },
        }
        assert "deploymentConfig" not in given(dev, "aws-dev-credit-endpoint")

    def test_it_scales_between_its_bounds(self, dev):
        target, scaling = given(dev, "aws-dev-credit-target"), given(dev, "aws-dev-credit-scaling")
        assert (target["minCapacity"], target["maxCapacity"]) == (1, 3)
        assert given(dev, "aws-dev-credit-configuration")["productionVariants"][0]["initialInstanceCount"] == 1
        assert scaling["targetTrackingScalingPolicyConfiguration"] == {
            "predefinedMetricSpecification": {"predefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "targetValue": 600,
            "scaleInCooldown": 300,
        }

    @pytest.mark.parametrize(
        ("stage", "scale", "least", "most"),
        [
            ("prod", {}, 2, 0),
            ("prod", {"max": 3}, 2, 3),
            ("prod", {"max": 2}, 2, 0),
            ("prod", {"min": 1}, 1, 0),
            ("staging", {}, 1, 0),
        ],
    )
    def test_its_least_is_the_stages_own_where_it_names_none(self, whole, stage, scale, least, most):
        found = whole(stage, endpoints={"credit": {"image": "serving", "model": "s3://models/credit/", "scale": scale}})
        (variant,) = given(found, f"aws-{stage}-credit-configuration")["productionVariants"]
        assert variant["initialInstanceCount"] == least
        bounds = [(each.inputs["minCapacity"], each.inputs["maxCapacity"]) for each in found.of(TARGET)]
        assert bounds == ([(least, most)] if most else [])
