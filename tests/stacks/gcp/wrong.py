"""What no stack of Google Cloud can be configured to be: key, value given, what is allowed."""

from __future__ import annotations

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
    "another cloud": ({"platform": "aws"}, "mlinfra:platform", "gcp"),
    "no project": ({"account": None}, "mlinfra:account", "Project id"),
    "a secret of two letters": ({"secrets": ["db"]}, "mlinfra:secrets.0", "3 to 32"),
    "a pool without machines": (
        {"pools": {"warm": {"machine": "n2-standard-4", "replicas": 0}}},
        "mlinfra:pools.warm.replicas",
        "greater than or equal to 1",
    ),
    "a pool of an AWS type": (
        {"pools": {"warm": {"machine": "ml.m5.large"}}},
        "mlinfra:pools.warm.machine",
        "Machine type",
    ),
    "a store that is not": ({"adopt": {"buckets": {"models": "x"}}}, "mlinfra:adopt.buckets.models", "artefacts"),
    "a pool of identities by its name": (
        {"adopt": {"identity_pool": "acme"}},
        "mlinfra:adopt.identity_pool",
        "projects/NUMBER/locations/global/workloadIdentityPools/POOL",
    ),
    "an adopted subnetwork by its name": (
        {"adopt": {"network": {**NETWORK, "subnetwork": "acme"}}},
        "mlinfra:adopt.network.subnetwork",
        "projects/PROJECT/regions/REGION/subnetworks/NAME",
    ),
    "a trust in everybody": (
        {"trusts": [{"system": "github", "subjects": ["repo:acme/*"]}]},
        "mlinfra:trusts.0.subjects",
        "a whole `sub` claim",
    ),
    "a prod that tells nobody": ({"stage": "prod", "notify": None}, "mlinfra:notify", "one mail address"),
    "a negative budget": ({"budget": -5}, "mlinfra:budget", "greater than or equal to 0"),
    "a key from nowhere": ({"porject": "acme-risk"}, "mlinfra:porject", "allowed"),
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
