"""What a stack of Google Cloud finds and uses: all that may exist already, read, never made, changed or protected."""

from __future__ import annotations

from typing import Any

import pytest

from mlinfra.environment import parse

pytestmark = pytest.mark.thorough

USES = ("artefacts", "data", "captures", "approvals")
IDENTITIES = ("trainer", "server", "deployer", "approver", "ci")
ACCOUNTS = {each: f"acme-{each}@acme-risk.iam.gserviceaccount.com" for each in IDENTITIES}
POOL = "projects/111122223333/locations/global/workloadIdentityPools/acme"
TRUST = {"system": "github", "subjects": ["repo:acme/risk:environment:prod"]}
EVERYTHING: dict[str, Any] = {
    "buckets": {each: f"acme-{each}" for each in USES},
    "key": "projects/keys/locations/europe-west4/keyRings/acme/cryptoKeys/acme",
    "network": {
        "network": "projects/shared/global/networks/acme",
        "subnetwork": "projects/shared/regions/europe-west4/subnetworks/acme",
    },
    "service_accounts": ACCOUNTS,
    "identity_pool": POOL,
}


@pytest.fixture
def adopting(up):
    """The stack in prod with everything adopted that there is; `changed` of the configuration comes over it."""
    return lambda **changed: up("prod", **{"adopt": EVERYTHING, "trusts": [TRUST], **changed})


def test_everything_that_is_adopted_is_read_by_its_id(adopting):
    assert {each.adopted for each in adopting().all if each.adopted} == {
        *EVERYTHING["buckets"].values(),
        EVERYTHING["key"],
        *EVERYTHING["network"].values(),
        *(f"projects/acme-risk/serviceAccounts/{email}" for email in ACCOUNTS.values()),
        POOL,
    }


def test_nothing_of_a_kind_that_is_adopted_whole_is_made(adopting):
    made = {each.token.rpartition(":")[2] for each in adopting().all if each.custom and not each.adopted}
    assert not made & {
        "Account",
        "Bucket",
        "CryptoKey",
        "Firewall",
        "KeyRing",
        "Network",
        "Router",
        "Subnetwork",
        "WorkloadIdentityPool",
        "WorkloadIdentityPoolProvider",
    }
    assert not [each for each in adopting().all if each.adopted and each.protect]


def test_previews_with_every_output_unknown_register_the_same_resources(adopting):
    assert {each.urn for each in adopting(preview=True).all} == {each.urn for each in adopting().all}


def test_the_environment_hands_them_on(adopting):
    environment = parse(adopting().exports["environment"])
    assert environment.identities == ACCOUNTS
    assert environment.keys["main"] == EVERYTHING["key"]
    assert environment.network.id == EVERYTHING["network"]["network"]
    assert {use: store.uri for use, store in environment.stores.items()} == {use: f"gs://acme-{use}" for use in USES}


def test_accounts_that_exist_get_the_rights_that_made_ones_would_have(adopting, up):
    def rights(found):
        return {
            each.name for each in found.all if each.name.startswith("gcp-prod-identities-") and "role" in each.inputs
        }

    rest = {key: value for key, value in EVERYTHING.items() if key != "service_accounts"}
    assert rights(adopting()) == rights(up("prod", adopt=rest, trusts=[TRUST]))


def test_pipelines_come_by_the_pool_that_exists(adopting):
    members = adopting().of("gcp:serviceaccount/iAMMember:IAMMember")
    (trust,) = [each.inputs for each in members if each.inputs["role"] == "roles/iam.workloadIdentityUser"]
    assert trust["member"] == f"principal://iam.googleapis.com/{POOL}/subject/{TRUST['subjects'][0]}"
    assert trust["serviceAccountId"] == f"projects/acme-risk/serviceAccounts/{ACCOUNTS['ci']}"
