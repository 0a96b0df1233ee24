"""What a Google Cloud stack's decisive resources are given, stage by stage: as a security review reads them.

Which resources there are is in `trees/`, what holds for every cloud in `test_clouds.py`, what exists already in
`test_adopting.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from mlinfra.catalog.gcp.permissions import policy
from mlinfra.environment import parse
from mlinfra.infra.gcp.configuration import STORES
from mlinfra.infra.gcp.models import SERVICES

pytestmark = pytest.mark.thorough

STAGES = ("dev", "staging", "prod")
DAY = 86_400
SUFFIX = "419fd5"  # of gcp-prod
NETWORK = f"projects/acme-risk/global/networks/mlinfra-gcp-prod-{SUFFIX}"
SUBNETWORK = f"projects/acme-risk/regions/europe-west4/subnetworks/mlinfra-gcp-prod-{SUFFIX}"
UNFINISHED = {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 3}}
ACCOUNTS = "projects/acme-risk/serviceAccounts/mlinfra"
_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"


def given(found, name: str) -> dict:
    """What a resource is given, its labels apart."""
    return {key: value for key, value in found.named(name).inputs.items() if key not in {"labels", "userLabels"}}


def old(days: int) -> dict:
    return {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": days}}


def expiry(days: int) -> dict:
    return {"action": {"type": "Delete"}, "condition": {"age": days}}


def bindings(found, who: str) -> list[dict]:
    """What an identity is bound to: role, and where."""
    member = f"serviceAccount:mlinfra-{who}-"
    return [
        each.inputs
        for each in found.all
        if each.token.endswith(("IAMMember", "IamMember")) and each.inputs["member"].startswith(member)
    ]


@pytest.fixture
def prod(whole):
    return whole("prod")


@pytest.fixture
def dev(whole):
    return whole("dev")


@pytest.fixture
def key(prod) -> str:
    """The environment's key, by its resource name."""
    return f"{given(prod, 'gcp-prod-keys-key')['keyRing']}/cryptoKeys/main"


class TestBuckets:
    LIFE = (("dev", 7, 7, 14), ("staging", 7, 30, 30), ("prod", 90, 365, 90))

    @pytest.mark.parametrize(("stage", "deleted", "versions", "captures"), LIFE)
    def test_they_are_closed_versioned_and_tidy_in_every_stage(self, whole, stage, deleted, versions, captures):
        found = whole(stage)
        for use in STORES:
            inputs = given(found, f"gcp-{stage}-stores-{use}")
            inputs.pop("encryption", None)
            inputs.pop("name")
            assert inputs == {
                "location": "europe-west4",
                "uniformBucketLevelAccess": True,
                "publicAccessPrevention": "enforced",
                "versioning": {"enabled": True},
                "softDeletePolicy": {"retentionDurationSeconds": deleted * DAY},
                "lifecycleRules": [UNFINISHED, old(versions), *([expiry(captures)] if use == "captures" else [])],
                "forceDestroy": stage != "prod",
            }

    def test_prod_encrypts_with_its_own_key_once_the_service_may_use_it(self, prod, dev, key):
        for use in STORES:
            found = prod.named(f"gcp-prod-stores-{use}")
            assert found.inputs["encryption"] == {"defaultKmsKeyName": key}
            assert "gcp-prod-keys-storage-use" in found.depends_on
            assert "encryption" not in given(dev, f"gcp-dev-stores-{use}")

    def test_prod_audits_who_reads_and_writes(self, prod, dev):
        assert given(prod, "gcp-prod-stores-audit") == {
            "project": "acme-risk",
            "service": "storage.googleapis.com",
            "auditLogConfigs": [{"logType": "DATA_READ"}, {"logType": "DATA_WRITE"}],
        }
        assert not dev.of("gcp:projects/iAMAuditConfig:IAMAuditConfig")


class TestKey:
    def test_it_rotates_and_its_versions_can_be_brought_back_for_thirty_days(self, prod):
        inputs = given(prod, "gcp-prod-keys-key")
        assert inputs.pop("keyRing").startswith("projects/acme-risk/locations/europe-west4/keyRings/")
        assert inputs == {
            "name": "main",
            "purpose": "ENCRYPT_DECRYPT",
            "rotationPeriod": f"{90 * DAY}s",
            "destroyScheduledDuration": f"{30 * DAY}s",
        }

    def test_a_key_ring_has_a_name_that_no_earlier_one_took(self, prod):
        ring = prod.named("gcp-prod-keys-ring")
        assert ring.inputs["name"].startswith("gcp-prod-keys-ring-")  # the engine's own, with digits of its own
        assert not ring.retained

    def test_the_agents_of_four_services_may_use_it_and_nobody_else(self, prod, key):
        uses = prod.of("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember")
        assert {(each.inputs["cryptoKeyId"], each.inputs["role"]) for each in uses} == {
            (key, "roles/cloudkms.cryptoKeyEncrypterDecrypter")
        }
        agents = {each.name.removeprefix("gcp-prod-keys-"): each.inputs["member"] for each in uses}
        assert agents == {
            "storage-use": "serviceAccount:service-111122223333@gs-project-accounts.iam.gserviceaccount.com",
            **{
                f"{service}-use": "serviceAccount:" + prod.named(f"gcp-prod-keys-{service}-agent").outputs["email"]
                for service in ("aiplatform", "artifactregistry", "secretmanager")
            },
        }

    def test_it_encrypts_images_secrets_machines_and_endpoints(self, prod, key):
        assert given(prod, "gcp-prod-images-repository")["kmsKeyName"] == key
        assert given(prod, "gcp-prod-images-cache")["kmsKeyName"] == key
        for own in ("compute-warm", "compute-tensorboard", "endpoints-credit"):
            assert given(prod, f"gcp-prod-{own}")["encryptionSpec"] == {"kmsKeyName": key}, own
        assert given(prod, "gcp-prod-secrets-risk-db") == {
            "secretId": f"mlinfra-{SUFFIX}-risk-db",
            "replication": {
                "userManaged": {
                    "replicas": [{"location": "europe-west4", "customerManagedEncryption": {"kmsKeyName": key}}]
                }
            },
        }

    def test_a_secrets_value_is_never_the_stacks(self, prod):
        assert not [each for each in prod.all if "ecretVersion" in each.token]


class TestImages:
    def test_tags_stay_where_they_are_and_untagged_images_go(self, dev):
        inputs = given(dev, "gcp-dev-images-repository")
        assert inputs["dockerConfig"] == {"immutableTags": True}
        assert inputs["cleanupPolicies"] == [
            {
                "id": "images-without-a-tag",
                "action": "DELETE",
                "condition": {"tagState": "UNTAGGED", "olderThan": f"{14 * DAY}s"},
            }
        ]

    def test_the_base_image_comes_through_a_remote_repository(self, dev):
        inputs = given(dev, "gcp-dev-images-cache")
        assert inputs["mode"] == "REMOTE_REPOSITORY"
        assert inputs["remoteRepositoryConfig"] == {"dockerRepository": {"publicRepository": "DOCKER_HUB"}}


class TestProtection:
    def test_prod_protects_what_cannot_be_made_again(self, prod):
        assert {each.token for each in prod.all if each.protect} == {
            "gcp:artifactregistry/repository:Repository",
            "gcp:kms/cryptoKey:CryptoKey",
            "gcp:secretmanager/secret:Secret",
            "gcp:storage/bucket:Bucket",
        }

    def test_services_are_switched_on_before_anything_else_and_stay_on(self, dev, whole):
        services = {each.name: each.inputs for each in dev.of("gcp:projects/service:Service")}
        assert sorted(each["service"] for each in services.values()) == sorted(
            f"{service}.googleapis.com" for service in (*SERVICES, "billingbudgets")
        )
        assert {each["disableOnDestroy"] for each in services.values()} == {False}
        assert whole("prod").named("gcp-prod-services-networkconnectivity")  # of the network that the stack makes
        others = [each for each in dev.all if each.custom and each.name not in services]
        assert [each.name for each in others if not services.keys() <= set(each.depends_on)] == []


class TestIdentities:
    @pytest.mark.parametrize("stage", STAGES)
    def test_roles_and_bindings_are_those_that_env_permissions_prints(self, whole, stage):
        found = whole(stage)
        environment = parse(found.exports["environment"])
        images = {name: image.model_dump(mode="json") for name, image in environment.images.items()}
        serving = {"serving": {"uri": f"{environment.registries['images']}/serving"}}
        printed = policy(parse({**environment.as_document(), "images": {**images, **serving}}))
        made = {each.inputs["roleId"]: each.inputs["permissions"] for each in found.of(_ROLE)}
        assert made == {own: role["includedPermissions"] for own, role in printed["roles"].items()}
        bound = Counter(
            (each["role"].rpartition("/")[2], each["member"], (each.get("condition") or {}).get("expression"))
            for who in ("trainer", "server", "deployer", "approver")
            for each in bindings(found, who)
        )
        assert bound == Counter(
            (each["role"].rpartition("/")[2], each["member"], (each.get("condition") or {}).get("expression"))
            for each in printed["bindings"]
        )

    def test_bindings_are_called_by_what_they_say(self, prod):
        found = given(prod, "gcp-prod-identities-approver-decisions-approvals")
        assert found["bucket"] == f"mlinfra-gcp-prod-approvals-{SUFFIX}"
        assert found["role"].endswith("_approver_decisions")
        members = [each.name for each in prod.all if each.token.endswith(("IAMMember", "IamMember"))]
        assert [
            name for name in members if re.search(r"-\d+$", name)
        ] == []  # a number would move with the table's rows

    @pytest.mark.parametrize("shared", [("trainer", "server"), ("deployer", "approver"), ("deployer", "ci")])
    def test_one_account_may_play_two_parts(self, whole, shared):
        email = "acme-both@acme-risk.iam.gserviceaccount.com"
        found = whole("dev", adopt={"service_accounts": dict.fromkeys(shared, email)})
        names = Counter(each.name for each in found.all)
        assert [name for name, times in names.items() if times > 1] == []
        bound = [each.inputs["role"] for each in found.all if each.inputs.get("member") == f"serviceAccount:{email}"]
        assert {role.partition("_")[2].split("_")[1] for role in bound} == {
            "caller" if who in {"deployer", "ci"} else who for who in shared
        }

    def test_nobody_is_bound_to_a_role_of_googles_own(self, prod):
        roles = {
            each["role"] for who in ("trainer", "server", "deployer", "approver", "ci") for each in bindings(prod, who)
        }
        assert [role for role in roles if not role.startswith("projects/acme-risk/roles/mlinfra_")] == []
        permissions = [permission for each in prod.of(_ROLE) for permission in each.inputs["permissions"]]
        assert [permission for permission in permissions if "*" in permission or "setIamPolicy" in permission] == []

    def test_pipelines_may_do_what_the_deployer_may(self, prod):
        def rights(who: str) -> list[tuple]:
            return sorted(
                (each["role"], *(each.get(where, "") for where in ("bucket", "repository", "serviceAccountId")))
                for each in bindings(prod, who)
            )

        assert rights("ci") == rights("deployer")

    def test_an_account_may_act_as_no_other_but_pipelines_as_those_that_jobs_run_as(self, prod):
        acting = prod.of("gcp:serviceaccount/iAMMember:IAMMember")
        on = {
            (each.inputs["member"].partition("@")[0], each.inputs["serviceAccountId"].partition("@")[0])
            for each in acting
        }
        assert {pair for pair in on if pair[0].startswith("serviceAccount:")} == {
            (f"serviceAccount:mlinfra-{who}-{SUFFIX}", f"{ACCOUNTS}-{whom}-{SUFFIX}")
            for who in ("deployer", "ci")
            for whom in ("trainer", "server")
        }

    def test_a_pools_id_is_made_up_once_and_kept(self, dev):
        (pool,) = dev.of("gcp:iam/workloadIdentityPool:WorkloadIdentityPool")
        own = pool.inputs["workloadIdentityPoolId"]
        assert pool.ignored == ("workloadIdentityPoolId",)
        assert given(dev, "gcp-dev-identities-signer-1")["workloadIdentityPoolId"] == own
        assert len(own) <= 32

    def test_pipelines_are_trusted_by_issuer_and_whole_subject(self, platform, prod):
        subjects = platform.everything["trusts"][0]["subjects"]
        signer = given(prod, "gcp-prod-identities-signer-1")
        assert signer.pop("workloadIdentityPoolId")
        assert signer == {
            "workloadIdentityPoolProviderId": "github-1",
            "attributeMapping": {"google.subject": "assertion.sub"},
            "attributeCondition": f"assertion.sub in {json.dumps(subjects)}",
            "oidc": {"issuerUri": "https://token.actions.githubusercontent.com", "allowedAudiences": None},
        }
        pool = prod.named("gcp-prod-identities-pool").outputs["name"]
        trusted = [each for each in prod.of("gcp:serviceaccount/iAMMember:IAMMember") if "-trust-" in each.name]
        assert [given(prod, each.name) for each in trusted] == [
            {
                "serviceAccountId": f"{ACCOUNTS}-ci-{SUFFIX}@acme-risk.iam.gserviceaccount.com",
                "role": "roles/iam.workloadIdentityUser",
                "member": f"principal://iam.googleapis.com/{pool}/subject/{subject}",
            }
            for subject in subjects
        ]

    def test_a_subject_in_front_of_others_moves_none_of_their_trusts(self, up):
        def trusts(*subjects: str) -> set[tuple]:
            found = up(trusts=[{"system": "github", "subjects": [*subjects]}]).all
            return {
                (each.name, each.inputs["member"].rpartition("/subject/")[2])
                for each in found
                if "-trust-" in each.name
            }

        assert trusts("b", "c") < trusts("a", "b", "c")


class TestNetwork:
    def test_dev_has_none(self, dev):
        assert not [each for each in dev.all if each.token.startswith("gcp:compute")]

    def test_prod_is_private_and_its_flows_are_logged(self, prod):
        assert given(prod, "gcp-prod-network-network")["autoCreateSubnetworks"] is False
        subnetwork = given(prod, "gcp-prod-network-subnetwork")
        assert subnetwork.pop("name")
        assert subnetwork == {
            "network": NETWORK,
            "region": "europe-west4",
            "ipCidrRange": "10.80.0.0/20",
            "privateIpGoogleAccess": True,
            "logConfig": {"flowSampling": 0.5, "metadata": "INCLUDE_ALL_METADATA"},
        }

    def test_only_the_subnetwork_itself_is_let_in(self, prod):
        (firewall,) = prod.of("gcp:compute/firewall:Firewall")
        inside = given(prod, firewall.name)
        assert inside.pop("name")
        assert inside == {
            "network": NETWORK,
            "direction": "INGRESS",
            "sourceRanges": ["10.80.0.0/20"],
            "allows": [{"protocol": "all"}],
        }

    def test_jobs_enter_by_an_attachment_of_private_service_connect(self, prod):
        attachment = given(prod, "gcp-prod-network-attachment")
        assert (attachment["subnetworks"], attachment["region"]) == ([SUBNETWORK], "europe-west4")
        native = parse(prod.exports["environment"]).native
        made = f"projects/acme-risk/regions/europe-west4/networkAttachments/mlinfra-gcp-prod-{SUFFIX}"
        assert native["network_attachment"] == made

    def test_vertex_ai_may_make_addresses_of_endpoints_in_the_subnetwork_and_nowhere_else(self, prod):
        policy = given(prod, "gcp-prod-network-endpoints")
        assert policy.pop("name")
        assert policy == {
            "location": "europe-west4",
            "network": NETWORK,
            "serviceClass": "gcp-vertexai",
            "pscConfig": {"subnetworks": [SUBNETWORK]},
        }

    def test_there_is_a_way_out_where_it_is_asked_for_alone(self, up, prod):
        assert given(prod, "gcp-prod-network-nat")["natIpAllocateOption"] == "AUTO_ONLY"
        assert not up("prod").of("gcp:compute/routerNat:RouterNat")

    def test_a_shared_network_is_used_and_gets_the_attachment_alone(self, platform, up):
        found = up("prod", adopt={"network": platform.adopted["network"]})
        assert found.kinds("gcp-prod-network")["gcp:compute/networkAttachment:NetworkAttachment"] == 1
        assert [each.name for each in found.children("gcp-prod-network") if not each.adopted] == [
            "gcp-prod-network-attachment"
        ]


class TestCompute:
    def test_machines_are_kept_ready_for_jobs_of_the_environments_own_account(self, prod):
        warm = given(prod, "gcp-prod-compute-warm")
        assert warm["resourcePools"] == [
            {
                "id": "main",
                "machineSpec": {"machineType": "n2-standard-4"},
                "replicaCount": "1",
                "autoscalingSpec": {"minReplicaCount": "1", "maxReplicaCount": "3"},
            }
        ]
        assert warm["resourceRuntimeSpec"] == {"serviceAccountSpec": {"enableCustomServiceAccount": True}}


class TestEndpoints:
    def test_a_shell_leaves_its_traffic_to_the_adapter(self, dev):
        shell = dev.named("gcp-dev-endpoints-credit")
        assert shell.ignored == ("trafficSplit",)
        assert "trafficSplit" not in shell.inputs
        assert re.fullmatch(r"[1-9]\d{8}", shell.inputs["name"])

    def test_prod_answers_inside_the_network_alone(self, prod, dev):
        inputs = given(prod, "gcp-prod-endpoints-credit")
        assert inputs["privateServiceConnectConfig"] == {
            "enablePrivateServiceConnect": True,
            "projectAllowlists": ["acme-risk"],
            "pscAutomationConfigs": [{"projectId": "acme-risk", "network": NETWORK}],
        }
        assert "dedicatedEndpointEnabled" not in inputs
        assert "gcp-prod-network-endpoints" in prod.named("gcp-prod-endpoints-credit").depends_on
        assert given(dev, "gcp-dev-endpoints-credit")["dedicatedEndpointEnabled"] is True

    def test_it_is_reached_from_the_project_of_a_shared_network_too(self, platform, up):
        found = up("prod", endpoints=["credit"], adopt={"network": platform.adopted["network"]})
        assert given(found, "gcp-prod-endpoints-credit")["privateServiceConnectConfig"] == {
            "enablePrivateServiceConnect": True,
            "projectAllowlists": ["acme-risk", "shared"],  # the addresses are the network's owner's
        }


class TestObservation:
    OWN = (
        'resource.type = "aiplatform.googleapis.com/Endpoint"'
        ' AND resource.label.endpoint_id = monitoring.regex.full_match(".*-419fd5|403903516")'
        ' AND metric.type = "aiplatform.googleapis.com/prediction/online/{metric}"'
    )

    @pytest.mark.parametrize(("stage", "days"), [("dev", 14), ("staging", 90), ("prod", 365)])
    def test_logs_end_some_day(self, whole, stage, days):
        assert given(whole(stage), f"gcp-{stage}-logs-bucket")["retentionDays"] == days

    def test_jobs_and_endpoints_write_into_the_environments_own_log_bucket(self, prod):
        assert given(prod, "gcp-prod-logs-sink") == {
            "name": f"mlinfra-gcp-prod-{SUFFIX}",
            "destination": "logging.googleapis.com/projects/acme-risk/locations/europe-west4/buckets/"
            f"mlinfra-gcp-prod-{SUFFIX}",
            "filter": 'resource.type = ("ml_job" OR "aiplatform.googleapis.com/Endpoint")',
            "uniqueWriterIdentity": True,
        }

    @pytest.mark.parametrize(
        ("own", "metric", "above", "summed_up"),
        [
            ("errors", "error_count", 0.1, ("ALIGN_RATE", "REDUCE_SUM")),
            ("latency", "prediction_latencies", 1000, ("ALIGN_PERCENTILE_99", "REDUCE_MAX")),
        ],
    )
    def test_alarms_concern_each_endpoint_of_this_environment_and_no_other(self, prod, own, metric, above, summed_up):
        inputs = given(prod, f"gcp-prod-alarms-{own}")
        assert inputs["notificationChannels"] == [prod.named("gcp-prod-alarms-mail-1").outputs["name"]]
        (condition,) = inputs["conditions"]
        assert condition["conditionThreshold"] == {
            "filter": self.OWN.format(metric=metric),
            "comparison": "COMPARISON_GT",
            "thresholdValue": above,
            "duration": "120s",
            "aggregations": [
                {
                    "alignmentPeriod": "60s",
                    "perSeriesAligner": summed_up[0],
                    "crossSeriesReducer": summed_up[1],
                    "groupByFields": ["resource.label.endpoint_id"],
                }
            ],
        }

    def test_the_ids_by_which_alarms_know_endpoints_are_theirs(self, prod):
        shell = prod.named("gcp-prod-endpoints-credit").inputs["name"]
        chosen = re.search(r'full_match\("(?P<ids>.*?)"\)', self.OWN)["ids"]
        assert re.fullmatch(chosen, shell)
        assert re.fullmatch(chosen, f"other-{SUFFIX}")  # as the adapter calls those that it makes
        assert not re.fullmatch(chosen, "other-000000")

    def test_one_page_shows_the_same_endpoints(self, prod):
        page = json.loads(prod.named("gcp-prod-dashboard-page").inputs["dashboardJson"])
        shown = [tile["widget"]["xyChart"]["dataSets"][0] for tile in page["mosaicLayout"]["tiles"]]
        assert [each["timeSeriesQuery"]["timeSeriesFilter"]["filter"] for each in shown] == [
            self.OWN.format(metric=metric)
            for metric in ("prediction_count", "error_count", "prediction_latencies", "replicas")
        ]


class TestMoney:
    def test_people_are_told_at_four_fifths_and_when_the_month_will_not_do(self, prod):
        assert given(prod, "gcp-prod-money-budget") == {
            "billingAccount": "012345-6789AB-CDEF01",
            "displayName": f"mlinfra-gcp-prod-{SUFFIX}",
            "amount": {"specifiedAmount": {"currencyCode": "USD", "units": "2000"}},
            "budgetFilter": {
                "projects": ["projects/acme-risk"],
                "labels": {"mlinfra_environment": SUFFIX},
                "calendarPeriod": "MONTH",
            },
            "thresholdRules": [
                {"thresholdPercent": 0.8, "spendBasis": "CURRENT_SPEND"},
                {"thresholdPercent": 1, "spendBasis": "FORECASTED_SPEND"},
            ],
            "allUpdatesRule": {
                "monitoringNotificationChannels": [prod.named("gcp-prod-alarms-mail-1").outputs["name"]]
            },
        }

    def test_none_is_made_without_a_billing_account(self, up):
        assert not up().of("gcp:billing/budget:Budget")
