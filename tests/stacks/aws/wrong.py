"""What no AWS stack can be configured to be: key, value given, what is allowed, before anything is registered."""

from __future__ import annotations

ROLE = "arn:aws:iam::111122223333:role/trainer"
ENDPOINT = {"image": "serving@sha256:0", "model": "s3://models/credit/"}
SIGNER = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
NETWORK = {"vpc": "vpc-0a", "subnets": ["subnet-0a"], "security_groups": ["sg-0a"]}

# Name: the changed values, the key that is named, what the message must hold.
WRONG = {
    "no region": ({"region": None}, "mlinfra:region", "AWS region"),
    "another cloud's region": ({"region": "europe-west4"}, "mlinfra:region", "eu-west-1"),
    "a zone for a region": ({"region": "eu-west-1a"}, "mlinfra:region", "eu-west-1"),
    "an account of eleven digits": ({"account": "11112222333"}, "mlinfra:account", "Twelve-digit"),
    "a boundary that is no ARN": ({"permission_boundary": "limits"}, "mlinfra:permission_boundary", "ARN"),
    "a path without its slashes": ({"role_path": "risk"}, "mlinfra:role_path", "/mlinfra/"),
    "an administrator by name": ({"key_administrators": ["ada"]}, "mlinfra:key_administrators.0", "ada"),
    "a pool kept for a day": ({"warm_pool_seconds": 86400}, "mlinfra:warm_pool_seconds", "21600"),
    "a negative pool": ({"warm_pool_seconds": -1}, "mlinfra:warm_pool_seconds", "greater than or equal to 0"),
    "a quota by its name": ({"quotas": {"ml.g5.xlarge": 2}}, "mlinfra:quotas.ml.g5.xlarge", "L-XXXXXXXX"),
    "a quota that is no number": ({"quotas": {"L-0123ABCD": "many"}}, "mlinfra:quotas.L-0123ABCD", "many"),
    "a model with a capital": ({"models": ["Credit"]}, "mlinfra:models.0", "lower-case"),
    "a secret of two letters": ({"secrets": ["db"]}, "mlinfra:secrets.0", "3 to 32"),
    "a watched endpoint with a capital": ({"watched": ["Credit"]}, "mlinfra:watched.0", "lower-case"),
    "an endpoint watched twice": ({"watched": ["fraud", "fraud"]}, "mlinfra:watched.1", "each endpoint once"),
    "a watched endpoint of the stack's own": (
        {"watched": ["credit"], "endpoints": {"credit": ENDPOINT}},
        "mlinfra:watched.0",
        "an endpoint that `mlinfra endpoint deploy` makes",
    ),
    "a range that is none": ({"network": {"cidr": "10.80.0.0/33"}}, "mlinfra:network.cidr", "10.80.0.0/16"),
    "a range with an address in it": ({"network": {"cidr": "10.80.0.1/16"}}, "mlinfra:network.cidr", "10.80.0.0/16"),
    "a range too small for subnets": ({"network": {"cidr": "10.80.0.0/28"}}, "mlinfra:network.cidr", "/16 to /24"),
    "a network's key that is not": (
        {"network": {"cird": "10.80.0.0/16"}},
        "mlinfra:network.cird",
        "did you mean cidr?",
    ),
    "a store that is not": ({"adopt": {"buckets": {"models": "x"}}}, "mlinfra:adopt.buckets.models", "artefacts"),
    "an adopted key by alias": ({"adopt": {"key": "alias/risk"}}, "mlinfra:adopt.key", "ARN"),
    "an adopted key elsewhere": (
        {"adopt": {"key": "arn:aws:kms:us-east-1:111122223333:key/a"}},
        "mlinfra:adopt.key",
        "one in eu-west-1",
    ),
    "an adopted network without subnets": (
        {"adopt": {"network": {**NETWORK, "subnets": []}}},
        "mlinfra:adopt.network.subnets",
        "subnet-",
    ),
    "an adopted VPC by name": ({"adopt": {"network": {**NETWORK, "vpc": "main"}}}, "mlinfra:adopt.network.vpc", "vpc-"),
    "a network made and adopted": (
        {"adopt": {"network": NETWORK}, "network": {"cidr": "10.0.0.0/16"}},
        "mlinfra:network.cidr",
        "one of mlinfra:network and mlinfra:adopt.network",
    ),
    "a role that nobody has": ({"adopt": {"roles": {"reader": ROLE}}}, "mlinfra:adopt.roles.reader", "trainer"),
    "a role of another account": (
        {"adopt": {"roles": {"trainer": ROLE.replace("1111", "9999")}}},
        "mlinfra:adopt.roles.trainer",
        "a role of account 111122223333",
    ),
    "a user for a role": (
        {"adopt": {"roles": {"trainer": ROLE.replace("role", "user")}}},
        "mlinfra:adopt.roles.trainer",
        "user/trainer",
    ),
    "an endpoint without a model": (
        {"endpoints": {"credit": {"image": "x"}}},
        "mlinfra:endpoints.credit.model",
        "s3://",
    ),
    "an endpoint's model elsewhere": (
        {"endpoints": {"credit": {**ENDPOINT, "model": "gs://models/credit"}}},
        "mlinfra:endpoints.credit.model",
        "s3://bucket/prefix/",
    ),
    "an endpoint on an EC2 type": (
        {"endpoints": {"credit": {**ENDPOINT, "machine": "m5.large"}}},
        "mlinfra:endpoints.credit.machine",
        "Machine type",
    ),
    "an endpoint that scales backwards": (
        {"endpoints": {"credit": {**ENDPOINT, "scale": {"min": 4, "max": 2}}}},
        "mlinfra:endpoints.credit.scale.max",
        "4 or more",
    ),
    "an Azure DevOps without its issuer": (
        {"trusts": [{"system": "azure-devops", "subjects": ["sc://acme/risk/deploy"]}]},
        "mlinfra:trusts.0.issuer",
        "vstoken.dev.azure.com",
    ),
    "a CI system that is unknown": (
        {"trusts": [{"system": "jenkins", "subjects": ["x"]}]},
        "mlinfra:trusts.0.system",
        "github",
    ),
    "a trust in everybody": (
        {"trusts": [{"system": "github", "subjects": ["repo:acme/*"]}]},
        "mlinfra:trusts.0.subjects",
        "a whole `sub` claim",
    ),
    "a trust in nobody": ({"trusts": [{"system": "github", "subjects": []}]}, "mlinfra:trusts.0.subjects", "sub"),
    "a mail address that is none": ({"notify": ["risk"]}, "mlinfra:notify.0", "risk"),
    "a prod that tells nobody": ({"stage": "prod", "notify": None}, "mlinfra:notify", "one mail address"),
    "a negative budget": ({"budget": -5}, "mlinfra:budget", "greater than or equal to 0"),
    "another cloud": ({"platform": "azure"}, "mlinfra:platform", "aws"),
    "a security group by its name": (
        {"adopt": {"network": {**NETWORK, "security_groups": ["default"]}}},
        "mlinfra:adopt.network.security_groups.0",
        "sg-",
    ),
    "a network without security groups": (
        {"adopt": {"network": {**NETWORK, "security_groups": []}}},
        "mlinfra:adopt.network.security_groups",
        "sg-",
    ),
    "a topic by its name": ({"adopt": {"topic": "risk"}}, "mlinfra:adopt.topic", "SNS topic"),
    "a topic elsewhere": (
        {"adopt": {"topic": "arn:aws:sns:us-east-1:111122223333:risk"}},
        "mlinfra:adopt.topic",
        "one in eu-west-1",
    ),
    "a provider for a system that is unknown": (
        {"adopt": {"identity_providers": {"jenkins": SIGNER}}},
        "mlinfra:adopt.identity_providers.jenkins",
        "github",
    ),
    "a provider by its address": (
        {"adopt": {"identity_providers": {"github": "https://token.actions.githubusercontent.com"}}},
        "mlinfra:adopt.identity_providers.github",
        "OpenID Connect providers",
    ),
    "a role for a provider": (
        {"adopt": {"identity_providers": {"github": ROLE}}},
        "mlinfra:adopt.identity_providers.github",
        "OpenID Connect providers",
    ),
    "an endpoint of less than no instance": (
        {"endpoints": {"credit": {**ENDPOINT, "scale": {"min": -1}}}},
        "mlinfra:endpoints.credit.scale.min",
        "greater than or equal to 0",
    ),
    "an endpoint of less than no instance at most": (
        {"endpoints": {"credit": {**ENDPOINT, "scale": {"max": -1}}}},
        "mlinfra:endpoints.credit.scale.max",
        "greater than or equal to 0",
    ),
    "an endpoint in prod that scales to less than the stage's least": (
        {"stage": "prod", "endpoints": {"credit": {**ENDPOINT, "scale": {"max": 1}}}},
        "mlinfra:endpoints.credit.scale.max",
        "0, or 2 or more",
    ),
    "an endpoint that scales by no requests": (
        {"endpoints": {"credit": {**ENDPOINT, "scale": {"max": 2, "requests_per_minute": 0}}}},
        "mlinfra:endpoints.credit.scale.requests_per_minute",
        "greater than or equal to 1",
    ),
    "a key from nowhere": ({"regoin": "eu-west-1"}, "mlinfra:regoin", "did you mean region?"),
}
