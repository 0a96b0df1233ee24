"""What no stack of Google Cloud can be configured to be: key, value given, what is allowed."""

from __future__ import annotations

import pytest

from mlinfra.errors import SpecError
from mlinfra.infra.configuration import read
from mlinfra.infra.gcp.configuration import GcpConfiguration

GOOD = {"platform": "gcp", "region": "europe-west4", "account": "acme-risk"}
NETWORK = {
    "network": "projects/shared/global/networks/acme",
    "subnetwork": "projects/shared/regions/europe-west4/subnetworks/acme",
}

WRONG = {
    "another cloud's region": ({"region": "eu-west-1"}, "mlinfra:region", "europe-west4"),
    "a zone for a region": ({"region": "europe-west4-a"}, "mlinfra:region", "europe-west4"),
    "a project by its number": ({"account": "111122223333"}, "mlinfra:account", "Project id"),
    "a billing account in small letters": (
        {"billing_account": "012345-6789ab-cdef01"},
        "mlinfra:billing_account",
        "012345-6789AB-CDEF01",
    ),
    "a currency's sign": ({"currency": "€"}, "mlinfra:currency", "currency"),
    "an endpoint with a capital": ({"endpoints": ["Credit"]}, "mlinfra:endpoints.0", "lower-case"),
    "a pool of no machine": ({"pools": {"warm": {}}}, "mlinfra:pools.warm.machine", "Machine type"),
    "a pool that shrinks": (
        {"pools": {"warm": {"machine": "n2-standard-4", "replicas": 4, "most": 2}}},
        "mlinfra:pools.warm.most",
        "4 or more",
    ),
    "a range that is none": ({"network": {"cidr": "ten"}}, "mlinfra:network.cidr", "10.80.0.0/20"),
    "a range too small": ({"network": {"cidr": "10.80.0.0/30"}}, "mlinfra:network.cidr", "/8 to /28"),
    "a way out of isolation": ({"isolated": True, "network": {"nat": True}}, "mlinfra:network.nat", "false"),
    "a network made and adopted": (
        {"adopt": {"network": NETWORK}, "network": {"cidr": "10.0.0.0/20"}},
        "mlinfra:network.cidr",
        "one of",
    ),
    "an adopted network by its name": (
        {"adopt": {"network": {**NETWORK, "network": "acme"}}},
        "mlinfra:adopt.network.network",
        "projects/PROJECT/global/networks/NAME",
    ),
    "an adopted subnetwork elsewhere": (
        {"adopt": {"network": {**NETWORK, "subnetwork": NETWORK["subnetwork"].replace("west4", "west1")}}},
        "mlinfra:adopt.network.subnetwork",
        "one in europe-west4",
    ),
    "an adopted key elsewhere": (
        {"adopt": {"key": "projects/k/locations/europe/keyRings/a/cryptoKeys/b"}},
        "mlinfra:adopt.key",
        "one in europe-west4",
    ),
    "an adopted key by its name": ({"adopt": {"key": "main"}}, "mlinfra:adopt.key", "keyRings"),
    "an adopted account of another project": (
        {"adopt": {"service_accounts": {"trainer": "acme-trainer@others-risk.iam.gserviceaccount.com"}}},
        "mlinfra:adopt.service_accounts.trainer",
        "one of project acme-risk",
    ),
    "a person for an account": (
        {"adopt": {"service_accounts": {"trainer": "ada@example.org"}}},
        "mlinfra:adopt.service_accounts.trainer",
        "ada@example.org",
    ),
    "a tag that no label can be": ({"tags": {"cost centre": "7"}}, "mlinfra:tags.cost centre", "digits"),
    "a value that no label can have": ({"tags": {"team": "risk & co"}}, "mlinfra:tags.team", "risk & co"),
    "two tags that are one label": ({"tags": {"Team": "a", "team": "b"}}, "mlinfra:tags.team", "another than Team"),
    "an Azure DevOps without its issuer": (
        {"trusts": [{"system": "azure-devops", "subjects": ["sc://acme/risk/deploy"]}]},
        "mlinfra:trusts.0.issuer",
        "vstoken.dev.azure.com",
    ),
}


@pytest.mark.parametrize(("changed", "key", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_configuration_names_its_key_and_what_is_allowed(changed, key, told):
    with pytest.raises(SpecError) as caught:
        read(GcpConfiguration, {**GOOD, **changed}, stack="gcp-dev")
    found = [problem for problem in caught.value.problems if (problem.path or "").startswith(key)]
    assert found, str(caught.value)
    assert told in str(found[0])


def test_what_it_says_by_itself_is_enough_for_dev():
    assert read(GcpConfiguration, GOOD, stack="gcp-dev").profile.destroy_contents
