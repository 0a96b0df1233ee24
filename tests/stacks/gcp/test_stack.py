"""What a stack of Google Cloud is made of, stage by stage: inputs, labels, protection, the exported environment."""

from __future__ import annotations

from typing import ClassVar

import pulumi
import pulumi_gcp
import pytest

from mlinfra.catalog.gcp.permissions import policy
from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.mocks import run
from mlinfra.environment import parse
from mlinfra.infra.gcp.stack import GcpStack

pytestmark = pytest.mark.thorough

STAGES = ("dev", "staging", "prod")
EVERYTHING = {
    "endpoints": ["credit"],
    "secrets": ["risk-db"],
    "notify": ["risk@example.org"],
    "pools": {"warm": {"machine": "n2-standard-4", "most": 3}},
    "tensorboard": True,
    "billing_account": "012345-6789AB-CDEF01",
    "trusts": [{"system": "github", "subjects": ["repo:acme/risk:environment:dev"]}],
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_input_is_one_that_the_provider_takes(up, stage):
    assert len(up(stage, **EVERYTHING).all) > 100


@pytest.mark.parametrize("stage", STAGES)
def test_previews_with_every_output_unknown_register_the_same_resources(up, stage):
    known, unknown = up(stage, **EVERYTHING), up(stage, preview=True, **EVERYTHING)
    assert {each.urn for each in unknown.all} == {each.urn for each in known.all}
    assert unknown.exports == {"environment": None}


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_takes_labels_has_those_of_the_environment(up, stage):
    for each in up(stage, **EVERYTHING, tags={"Team": "Risk"}).all:
        if not each.custom or each.token.startswith("pulumi:"):
            continue
        known = introspect.members(introspect.arguments_class(each.token))
        kind = next((name for name in ("userLabels", "labels") if name in known), None)
        if kind:
            assert {"team": "risk", "mlinfra_stage": stage}.items() <= each.inputs[kind].items(), each.name


@pytest.mark.parametrize("stage", STAGES)
def test_the_environment_is_one_that_the_adapter_reads(up, stage):
    environment = parse(up(stage, **EVERYTHING).exports["environment"])
    assert environment.id == f"gcp:acme-risk:europe-west4:gcp-{stage}"
    assert set(environment.stores) == {"artefacts", "data", "captures", "approvals"}
    assert set(environment.identities) == {"trainer", "server", "deployer", "approver", "ci"}
    assert environment.protected is (stage == "prod")
    assert bool(environment.network.id) is (stage != "dev")
    assert list(environment.native["shells"]) == ["credit"]


class TestBuckets:
    def test_they_are_closed_versioned_and_tidy_in_every_stage(self, up):
        for stage in STAGES:
            for bucket in up(stage).of("gcp:storage/bucket:Bucket"):
                inputs = bucket.inputs
                assert inputs["uniformBucketLevelAccess"] is True
                assert inputs["publicAccessPrevention"] == "enforced"
                assert inputs["versioning"] == {"enabled": True}
                actions = {rule["action"]["type"] for rule in inputs["lifecycleRules"]}
                assert actions == {"AbortIncompleteMultipartUpload", "Delete"}

    def test_captures_alone_go_by_age(self, up):
        def ages(use: str) -> list[float]:
            rules = up().named(f"gcp-dev-stores-{use}").inputs["lifecycleRules"]
            return [
                rule["condition"]["age"]
                for rule in rules
                if rule["action"]["type"] == "Delete" and "age" in rule["condition"]
            ]

        assert ages("captures") == [14]
        assert ages("artefacts") == []

    def test_prod_encrypts_with_its_own_key_once_the_service_may_use_it(self, up):
        found = up("prod").named("gcp-prod-stores-data")
        assert found.inputs["encryption"]["defaultKmsKeyName"].endswith("/cryptoKeys/main")
        assert "gcp-prod-keys-storage-use" in found.depends_on

    def test_prod_audits_who_reads_and_writes(self, up):
        kinds = up("prod").named("gcp-prod-stores-audit").inputs["auditLogConfigs"]
        assert [each["logType"] for each in kinds] == ["DATA_READ", "DATA_WRITE"]
        assert not up("dev").of("gcp:projects/iAMAuditConfig:IAMAuditConfig")


class TestProtection:
    def test_prod_protects_what_cannot_be_made_again(self, up):
        kinds = {each.token for each in up("prod", **EVERYTHING).all if each.protect}
        assert kinds == {
            "gcp:artifactregistry/repository:Repository",
            "gcp:kms/cryptoKey:CryptoKey",
            "gcp:secretmanager/secret:Secret",
            "gcp:storage/bucket:Bucket",
        }

    def test_dev_goes_in_one_command_with_all_that_it_holds(self, up):
        found = up("dev", **EVERYTHING)
        assert not any(each.protect for each in found.all)
        assert all(each.inputs["forceDestroy"] for each in found.of("gcp:storage/bucket:Bucket"))

    def test_a_service_stays_switched_on(self, up):
        assert not any(each.inputs["disableOnDestroy"] for each in up().of("gcp:projects/service:Service"))


def test_a_key_ring_has_a_name_that_no_earlier_one_took(up):
    (ring,) = up("prod", **EVERYTHING).of("gcp:kms/keyRing:KeyRing")
    (key,) = up("prod", **EVERYTHING).of("gcp:kms/cryptoKey:CryptoKey")
    assert ring.inputs["name"].startswith("gcp-prod-keys-ring-")  # the engine's own, with digits of its own
    assert key.inputs["name"] == "main"
    assert not ring.retained


class TestIdentities:
    def test_roles_and_bindings_are_those_that_env_permissions_prints(self, up):
        found = up("prod", **EVERYTHING)
        environment = parse(found.exports["environment"])
        serving = {"serving": {"uri": f"{environment.registries['images']}/serving"}}
        printed = policy(parse({**environment.as_document(), "images": {**_images(environment), **serving}}))
        made = {each.inputs["roleId"]: each.inputs["permissions"] for each in found.of(_ROLE)}
        assert made == {own: role["includedPermissions"] for own, role in printed["roles"].items()}
        bound = sorted(
            (each.inputs["role"].rpartition("/")[2], each.inputs["member"])
            for each in found.children("gcp-prod-identities")
            if "IamMember" in each.token or "IAMMember" in each.token
            if "mlinfra-ci-" not in each.inputs["member"] and each.inputs["member"].startswith("serviceAccount:")
        )
        assert bound == sorted((each["role"].rpartition("/")[2], each["member"]) for each in printed["bindings"])

    def test_pipelines_may_do_what_the_deployer_may(self, up):
        found = up(**EVERYTHING).children("gcp-dev-identities")
        bindings = [each.inputs for each in found if "role" in each.inputs and "member" in each.inputs]
        rights = {
            who: {each["role"] for each in bindings if f"mlinfra-{who}-" in each["member"]}
            for who in ("ci", "deployer")
        }
        assert rights["ci"] == rights["deployer"]

    def test_a_pools_id_is_made_up_once_and_kept(self, up):
        found = up(**EVERYTHING)
        (pool,) = found.of("gcp:iam/workloadIdentityPool:WorkloadIdentityPool")
        (signer,) = found.of("gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider")
        own = pool.inputs["workloadIdentityPoolId"]
        assert pool.ignored == ("workloadIdentityPoolId",)
        assert signer.inputs["workloadIdentityPoolId"] == own
        assert len(own) <= 32

    def test_pipelines_are_trusted_by_issuer_and_whole_subject(self, up):
        found = up(**EVERYTHING)
        signer = found.named("gcp-dev-identities-signer-1").inputs
        assert signer["oidc"]["issuerUri"] == "https://token.actions.githubusercontent.com"
        assert signer["attributeCondition"] == 'assertion.sub in ["repo:acme/risk:environment:dev"]'
        member = found.named("gcp-dev-identities-trust-1-1").inputs["member"]
        assert member.endswith("/subject/repo:acme/risk:environment:dev")
        assert member.startswith("principal://iam.googleapis.com/projects/")


class TestNetwork:
    def test_dev_has_none(self, up):
        assert not [each for each in up().all if each.token.startswith("gcp:compute")]

    def test_prod_is_private_and_has_no_way_out(self, up):
        found = up("prod")
        (subnetwork,) = found.of("gcp:compute/subnetwork:Subnetwork")
        assert subnetwork.inputs["privateIpGoogleAccess"] is True
        assert subnetwork.inputs["logConfig"]["flowSampling"] == 0.5
        assert not found.of("gcp:compute/routerNat:RouterNat")

    def test_a_way_out_is_made_where_it_is_asked_for(self, up):
        assert len(up("prod", network={"nat": True}).of("gcp:compute/routerNat:RouterNat")) == 1


class TestEndpoints:
    def test_a_shell_leaves_its_traffic_to_the_adapter(self, up):
        shell = up("dev", **EVERYTHING).named("gcp-dev-endpoints-credit")
        assert shell.ignored == ("trafficSplit",)
        assert "trafficSplit" not in shell.inputs
        assert shell.inputs["name"].isdigit()
        assert len(shell.inputs["name"]) == 9

    def test_prod_answers_inside_the_network_alone(self, up):
        inputs = up("prod", **EVERYTHING).named("gcp-prod-endpoints-credit").inputs
        assert inputs["privateServiceConnectConfig"]["enablePrivateServiceConnect"] is True
        assert "dedicatedEndpointEnabled" not in inputs


class TestMoney:
    def test_a_budget_needs_a_billing_account(self, up):
        assert not up().of("gcp:billing/budget:Budget")
        (budget,) = up(billing_account="012345-6789AB-CDEF01").of("gcp:billing/budget:Budget")
        assert budget.inputs["amount"]["specifiedAmount"] == {"currencyCode": "USD", "units": "100"}


class TestAdopting:
    ADOPTED: ClassVar = {
        "buckets": {"artefacts": "acme-artefacts"},
        "key": "projects/keys/locations/europe-west4/keyRings/acme/cryptoKeys/acme",
        "network": {
            "network": "projects/shared/global/networks/acme",
            "subnetwork": "projects/shared/regions/europe-west4/subnetworks/acme",
        },
        "service_accounts": {"trainer": "acme-trainer@acme-risk.iam.gserviceaccount.com"},
    }

    def test_what_exists_is_used(self, up):
        environment = parse(up("prod", adopt=self.ADOPTED).exports["environment"])
        assert environment.stores["artefacts"].uri == "gs://acme-artefacts"
        assert environment.identities["trainer"] == "acme-trainer@acme-risk.iam.gserviceaccount.com"
        assert environment.network.id == "projects/shared/global/networks/acme"
        assert environment.keys["main"] == self.ADOPTED["key"]

    def test_what_exists_is_not_made(self, up):
        found = up("prod", adopt=self.ADOPTED)
        tokens = {each.token for each in found.all if not each.adopted}
        assert not {"gcp:compute/network:Network", "gcp:kms/cryptoKey:CryptoKey", "gcp:kms/keyRing:KeyRing"} & tokens
        assert "gcp-prod-identities-trainer" not in {each.name for each in found.all}
        assert found.named("gcp-prod-stores-artefacts").adopted == "acme-artefacts"

    def test_what_exists_is_not_protected_so_that_the_stack_can_let_go_of_it(self, up):
        assert not [each for each in up("prod", adopt=self.ADOPTED).all if each.adopted and each.protect]


_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"


def _images(environment):
    return {name: image.model_dump(mode="json") for name, image in environment.images.items()}


def test_a_provider_given_to_the_stack_reaches_every_child(configured):
    configuration = configured("prod", **EVERYTHING)

    def program() -> None:
        provider = pulumi_gcp.Provider("mine", project="acme-risk", region="europe-west4")
        GcpStack(configuration.name, configuration, pulumi.ResourceOptions(providers=[provider]))

    found = run(program, config={"gcp:project": "acme-risk", "gcp:region": "europe-west4"})
    assert [each.name for each in found.all if each.token.startswith("gcp:") and each.provider != "mine"] == []
