"""Who acts in the environment: service accounts with what their part needs and no more, and the trust in CI systems.

Roles and bindings are the ones that `mlinfra env permissions` prints: one table, in `mlinfra.catalog.gcp.permissions`.
"""

from __future__ import annotations

import json
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pulumi import Output, ResourceOptions
from pulumi_gcp import artifactregistry, iam, projects, serviceaccount, storage

from mlinfra.catalog.gcp.permissions import CALLER, policy
from mlinfra.environment import GcpEnvironment
from mlinfra.infra.component import Component
from mlinfra.infra.configuration import digits
from mlinfra.infra.gcp import names
from mlinfra.infra.gcp.configuration import ACCOUNTS, STORES
from mlinfra.infra.gcp.images import base_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pulumi import Resource

    from mlinfra.infra.gcp.configuration import GcpConfiguration

CI = "ci"
_NUMBER = "{number}"  # in a condition: where the project's number comes when it is known
_ACTS_AS = "roles/iam.workloadIdentityUser"
_MADE_UP = 3  # bytes of a pool's id


class Identities(Component):
    """Trainer, server, deployer and approver; an account for pipelines where CI systems are trusted.

    Bindings are called by what they say and not by their number: one that only changed its name would be made while the
    old one stands, which is nothing, and then go with the old one.

    `after` is what bindings lie on, by the beginning of its resource name; `vault` how the secrets' names begin;
    `number` the project's, by which conditions know a secret.
    """

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        after: Mapping[str, Resource],
        vault: str,
        number: Output[str],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them."""
        super().__init__("gcp:Identities", name, configuration, options)
        self._gcp = configuration
        self._after = dict(after)
        self._number = number
        wanted = (*ACCOUNTS, CI) if configuration.trusts or "ci" in configuration.adopt.service_accounts else ACCOUNTS
        self.emails = {identity: names.email(configuration, identity) for identity in wanted}
        accounts = f"projects/{configuration.account}/serviceAccounts"
        self.accounts = {
            identity: self.adopted(serviceaccount.Account, identity, f"{accounts}/{self.emails[identity]}")
            if identity in configuration.adopt.service_accounts
            else self._account(identity)
            for identity in wanted
        }
        self._permissions(vault)
        if configuration.trusts:
            self._pipelines()
        self.finish(identities=self.emails)

    def _account(self, identity: str) -> serviceaccount.Account:
        return serviceaccount.Account(
            self.named(identity),
            account_id=names.account_id(self._gcp, identity),
            display_name=f"mlinfra: {identity} of {self._gcp.name}",
            opts=self.child(),
        )

    def _permissions(self, vault: str) -> None:
        told = policy(_described(self._gcp, self.emails, vault))
        roles = {}
        for own, role in told["roles"].items():
            roles[f"projects/{self._gcp.account}/roles/{own}"] = projects.IAMCustomRole(
                self.named(own.removeprefix(f"mlinfra_{self._gcp.suffix}_").replace("_", "-")),
                role_id=own,
                title=role["title"],
                description=role["description"],
                permissions=role["includedPermissions"],
                stage=role["stage"],
                opts=self.child(),
            )
        words = _words(self._gcp, self.emails)
        for binding in _bindings(told["bindings"], self.emails):
            role = roles[binding["role"]]
            part, _, task = binding["role"].partition(f"/mlinfra_{self._gcp.suffix}_")[2].partition("_")
            who = part if part != CALLER else CI if binding["identity"] == CI else "deployer"
            place = binding["resource"].rpartition("/")[2]
            self._bind(f"{who}-{task.replace('_', '-')}-{words.get(place, place)}", binding, role)

    def _bind(self, suffix: str, binding: names.Document, role: projects.IAMCustomRole) -> None:
        """A role on what it is bound on, once that and the account are there."""
        lies_on = next((each for start, each in self._after.items() if binding["resource"].startswith(start)), None)
        account = self.accounts.get(binding["identity"])
        waits = [each for each in (lies_on, account) if each is not None]
        given = {
            "role": role.name,
            "member": f"serviceAccount:{self.emails[binding['identity']]}",
            "condition": self._condition(binding),
            "opts": self.child(ResourceOptions(depends_on=waits)),
        }
        kind, where = _target(binding["resource"])
        kind(self.named(suffix), **where, **given)

    def _condition(self, binding: names.Document) -> names.Document | None:
        """What narrows a binding, with the project's number where it has a place for one."""
        condition = binding.get("condition")
        if condition is None or _NUMBER not in condition["expression"]:
            return condition
        expression = self._number.apply(lambda number: condition["expression"].replace(_NUMBER, number))
        return {**condition, "expression": expression}

    def _pipelines(self) -> None:
        """Exact subjects of each CI system may act as the pipelines' account; nobody else of its users may."""
        adopted = self._gcp.adopt.identity_pool
        pool = self.adopted(iam.WorkloadIdentityPool, "pool", adopted).id if adopted else self._pool()
        for subject in dict.fromkeys(subject for trust in self._gcp.trusts for subject in trust.subjects):
            principal = Output.concat("principal://iam.googleapis.com/", pool, f"/subject/{subject}")
            serviceaccount.IAMMember(
                self.named(f"trust-{digits(subject)}"),
                service_account_id=f"projects/{self._gcp.account}/serviceAccounts/{self.emails[CI]}",
                role=_ACTS_AS,
                member=principal,
                opts=self.child(ResourceOptions(depends_on=[*self.accounts.values()])),
            )

    def _pool(self) -> Output[str]:
        """A pool whose id is made up once and then kept: a deleted one's stays taken for thirty days."""
        pool = iam.WorkloadIdentityPool(
            self.named("pool"),
            workload_identity_pool_id=f"mlinfra-{self._gcp.suffix}-{token_hex(_MADE_UP)}",
            display_name=f"mlinfra {self._gcp.suffix}",
            description=f"Pipelines of {self._gcp.name}",
            opts=self.child(ResourceOptions(ignore_changes=["workloadIdentityPoolId"])),
        )
        for number, trust in enumerate(self._gcp.trusts):
            iam.WorkloadIdentityPoolProvider(
                self.named(f"signer-{number + 1}"),
                workload_identity_pool_id=pool.workload_identity_pool_id,
                workload_identity_pool_provider_id=f"{trust.system}-{number + 1}",
                attribute_mapping={"google.subject": "assertion.sub"},
                attribute_condition=f"assertion.sub in {json.dumps(list(trust.subjects))}",
                oidc={
                    "issuer_uri": trust.signed_by,
                    "allowed_audiences": [trust.audience] if trust.audience else None,
                },
                opts=self.child(),
            )
        name: Output[str] = pool.name
        return name


def _described(configuration: GcpConfiguration, emails: Mapping[str, str], vault: str) -> GcpEnvironment:
    """The part of the environment on which permissions depend; every name in it is known before anything exists."""
    own = names.registry(configuration, names.own(configuration))
    return GcpEnvironment.model_validate(
        {
            "name": configuration.name,
            "region": configuration.region,
            "account": configuration.account,
            "stores": {use: {"uri": f"gs://{names.bucket(configuration, use)}"} for use in STORES},
            "identities": dict(emails),
            "images": {
                "base": {"uri": base_image(configuration)},
                "serving": {"uri": f"{own}/serving"},
            },
            "registries": {"images": own},
            "vaults": {"default": vault},
            "native": {"project_number": _NUMBER},
        }
    )


def _bindings(rows: list[names.Document], emails: Mapping[str, str]) -> Iterator[names.Document]:
    """The table's bindings with the identity that each is for; pipelines have all that the deployer has."""
    of = {f"serviceAccount:{email}": identity for identity, email in emails.items()}
    for row in rows:
        yield {**row, "identity": of[row["member"]]}
        if CI in emails and of[row["member"]] == "deployer" and f"_{CALLER}_" in row["role"]:
            yield {**row, "identity": CI}


def _words(configuration: GcpConfiguration, emails: Mapping[str, str]) -> dict[str, str]:
    """The words for what bindings lie on, by the last part of its resource name."""
    return {
        configuration.account: "project",
        **{names.bucket(configuration, use): use for use in STORES},
        **{email: identity for identity, email in emails.items()},
        names.own(configuration): "images",
        names.own(configuration, "cache"): "cache",
    }


def _target(resource: str) -> tuple[Any, names.Document]:
    """The kind of binding for a resource, and the inputs that name it."""
    parts = resource.split("/")
    match parts[-2]:
        case "buckets":
            return storage.BucketIAMMember, {"bucket": parts[-1]}
        case "serviceAccounts":
            return serviceaccount.IAMMember, {"service_account_id": resource}
        case "repositories":
            return artifactregistry.RepositoryIamMember, {
                "project": parts[1],
                "location": parts[3],
                "repository": parts[5],
            }
        case _:
            return projects.IAMMember, {"project": parts[1]}
