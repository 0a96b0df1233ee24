"""Who acts in the environment: roles with what their part needs and no more, and the trust in CI systems.

The policies are the ones that `mlinfra env permissions` prints: one table, in `mlinfra.catalog.aws.permissions`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pulumi import Output
from pulumi_aws import iam

from mlinfra.catalog.aws.addresses import partition
from mlinfra.catalog.aws.permissions import CALLER, policy
from mlinfra.environment import parse
from mlinfra.infra.aws import names
from mlinfra.infra.aws.configuration import ROLES
from mlinfra.infra.component import Component
from mlinfra.infra.configuration import digits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration
    from mlinfra.infra.configuration import Trust

CI = "ci"
_RUN_BY_SAGEMAKER = ("trainer", "server")
_HOURS = {"trainer": 1, "server": 1, "deployer": 4, "approver": 1, CI: 4}  # longest session; a roll-out takes a while
_POLICIES = {"deployer": CALLER, CI: CALLER}  # identities that share another one's policy
_AUDIENCES = {
    "github": "sts.amazonaws.com",
    "gitlab": "https://gitlab.com",
    "azure-devops": "api://AzureADTokenExchange",
}


class Identities(Component):
    """Trainer, server, deployer and approver; a role for pipelines where CI systems are trusted.

    `facts` are the fields of the environment's document on which policies depend: stores, keys, images, network.
    """

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        facts: Mapping[str, Input[Any]],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them."""
        super().__init__("aws:Identities", name, configuration, options)
        self._aws = configuration
        self.arns = {identity: names.role_arn(configuration, identity) for identity in ROLES}
        policies = _policies(configuration, {**facts, "identities": self.arns})
        adopted = {str(identity): arn.rpartition("/")[2] for identity, arn in configuration.adopt.roles.items()}
        for identity, role in adopted.items():
            self.adopted(iam.Role, identity, role)  # a slip in its name is found out
        self.roles = {
            identity: self._role(identity, _trust(configuration, identity), policies)
            for identity in ROLES
            if identity not in adopted
        }
        if configuration.trusts and CI not in adopted:
            self.roles[CI] = self._role(CI, self._pipelines(configuration), policies)
        if configuration.trusts or CI in adopted:
            self.arns[CI] = names.role_arn(configuration, CI)
        self.finish(identities=self.arns)

    def _role(self, identity: str, trust: Input[str], policies: Output[dict[str, str]]) -> iam.Role:
        role = iam.Role(
            self.named(identity),
            name=names.role(self._aws, identity),
            path=self._aws.role_path,
            description=f"mlinfra: {identity} of {self._aws.name}",
            assume_role_policy=trust,
            permissions_boundary=self._aws.permission_boundary,
            max_session_duration=_HOURS[identity] * 3600,
            tags=self.tags,
            opts=self.child(),
        )
        iam.RolePolicy(
            self.named(f"{identity}-policy"),
            name="mlinfra",
            role=role.name,
            policy=policies[_POLICIES.get(identity, identity)],
            opts=self.child(),
        )
        return role

    def _pipelines(self, configuration: AwsConfiguration) -> Output[str]:
        """The trust in every CI system that is named: exact subjects, exact audience."""
        trusted: dict[str, list[Trust]] = {}
        for trust in configuration.trusts:
            trusted.setdefault(_issuer(configuration, trust), []).append(trust)
        signers = {issuer: self._signer(issuer, trusts).arn for issuer, trusts in trusted.items()}
        return Output.all(**signers).apply(
            lambda arns: json.dumps(
                names.policy(
                    *(_federated(trust, issuer, arns[issuer]) for issuer, trusts in trusted.items() for trust in trusts)
                )
            )
        )

    def _signer(self, issuer: str, trusts: list[Trust]) -> iam.OpenIdConnectProvider:
        """The account's provider for an issuer: adopted, or made once for all trusts in it.

        A system's public issuer bears its name, any other its own mark besides: the order of trusts renames nothing.
        """
        adopted = {_signed(arn): (system, arn) for system, arn in self._aws.adopt.identity_providers.items()}
        if issuer in adopted:
            system, arn = adopted[issuer]
            return self.adopted(iam.OpenIdConnectProvider, system, arn)
        named_by_system = trusts[0].public and trusts[0].system not in self._aws.adopt.identity_providers
        return iam.OpenIdConnectProvider(
            self.named(trusts[0].system if named_by_system else f"{trusts[0].system}-{digits(issuer)}"),
            url=f"https://{issuer}",
            client_id_lists=sorted({_audience(each) for each in trusts}),
            tags=self.tags,
            opts=self.child(),
        )


def _policies(configuration: AwsConfiguration, facts: Mapping[str, Input[Any]]) -> Output[dict[str, str]]:
    """Identity → its policy as text, once the environment that it speaks of is known."""
    fixed = {
        "platform": "aws",
        "name": configuration.name,
        "region": configuration.region,
        "account": configuration.account,
    }

    def written(known: dict[str, Any]) -> dict[str, str]:
        environment = parse({**fixed, **{name: value for name, value in known.items() if value}})
        return {identity: json.dumps(document) for identity, document in policy(environment).items()}

    return Output.from_input(dict(facts)).apply(written)


def _trust(configuration: AwsConfiguration, identity: str) -> str:
    """SageMaker for what runs in it; for people the account, whose own policies say which of them."""
    if identity in _RUN_BY_SAGEMAKER:
        statement = {
            "Effect": "Allow",
            "Principal": names.service("sagemaker"),
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": configuration.account}},
        }
    else:
        root = f"arn:{partition(configuration.region)}:iam::{configuration.account}:root"
        statement = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}
    return json.dumps(names.policy(statement))


def _issuer(configuration: AwsConfiguration, trust: Trust) -> str:
    """Who signs, as ARNs and conditions name it. An adopted provider says who, where the trust does not."""
    adopted = configuration.adopt.identity_providers.get(trust.system)
    return _signed(adopted) if adopted and not trust.issuer else trust.signed_by.removeprefix("https://").rstrip("/")


def _signed(provider: str) -> str:
    """The issuer of a provider, by the provider's ARN."""
    return provider.partition("oidc-provider/")[2]


def _federated(trust: Trust, issuer: str, provider: str) -> names.Document:
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {f"{issuer}:aud": _audience(trust), f"{issuer}:sub": list(trust.subjects)},
        },
    }


def _audience(trust: Trust) -> str:
    return trust.audience or _AUDIENCES[trust.system]
