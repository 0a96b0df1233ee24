"""Who acts in the environment: user-assigned identities with what their part needs and no more, and the trust in CI.

Roles and assignments are the ones that `mlinfra env permissions` prints, from `mlinfra.catalog.azure.permissions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import Output, ResourceOptions
from pulumi_azure_native import authorization, managedidentity

from mlinfra.catalog.azure.permissions import CALLER, policy
from mlinfra.infra.azure import names
from mlinfra.infra.azure.configuration import IDENTITIES
from mlinfra.infra.component import Component
from mlinfra.infra.configuration import digits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pulumi import Input

    from mlinfra.environment import AzureEnvironment
    from mlinfra.infra.azure.configuration import AzureConfiguration

CI = "ci"
_AUDIENCE = "api://AzureADTokenExchange"
_LEARNING = "Microsoft.MachineLearningServices"


class Identities(Component):
    """Trainer, server, deployer and approver; one for pipelines where CI systems are trusted. Any may exist already.

    An adopted identity gets the environment's rights and, where pipelines are to act as it, the trust in them: both are
    resources of their own, which go with the stack. It itself stays as it is.

    Rights and trusts are called by what they say and not by their number: one that only changed its name would be made
    while the old one stands, which is nothing, and then go with the old one.
    """

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them, without rights: `grant` gives those once there is something to have rights on."""
        super().__init__("azure:Identities", name, configuration, options)
        self._azure = configuration
        wanted = (*IDENTITIES, CI) if configuration.trusts or "ci" in configuration.adopt.identities else IDENTITIES
        self.identities = {identity: self._identity(identity) for identity in wanted}
        self.ids: dict[str, Output[str]] = {identity: each.id for identity, each in self.identities.items()}
        self.client_ids: dict[str, Output[str]] = {
            identity: each.client_id for identity, each in self.identities.items()
        }
        self._pipelines()
        self.finish(identities=self.ids)

    def known(self) -> dict[str, str]:
        """The ids that the identities have or will have, by what each is."""
        return {identity: names.identity_id(self._azure, identity) for identity in self.identities}

    def grant(self, environment: AzureEnvironment, targets: Mapping[str, Input[str]]) -> None:
        """Give every identity its rights and no more.

        `environment` is the part of the environment on which they depend. `targets` are the ids of what rights lie on,
        by the last two parts of each: `containers/artefacts`, `vaults/NAME`.
        """
        told = policy(environment)
        roles = {own: self._role(own, document) for own, document in told["roles"].items()}
        scopes = {own: self.ids[identity] for identity, own in self.known().items()}
        for identity, assignment in self._assigned(told["assignments"]):
            own, scope = assignment["role"], assignment["scope"]
            task = self._short_role(own).partition("-")[2]
            authorization.RoleAssignment(
                self.named(f"{identity}-{task}-on-{self._word(scope)}"),
                role_assignment_name=names.assignment(self._azure, identity, own, scope),
                principal_id=self.identities[identity].principal_id,
                principal_type="ServicePrincipal",
                role_definition_id=roles[own].id,
                scope=scopes[scope] if scope in scopes else targets[_short(scope)],
                opts=self.child(),
            )

    def _assigned(self, rows: list[names.Document]) -> Iterator[tuple[str, names.Document]]:
        """Each assignment with whom it is for; pipelines have all that the deployer has."""
        known = self.known()
        of = {own: identity for identity, own in known.items()}
        apart = CI in known and known[CI] != known["deployer"]
        for row in rows:
            yield of[row["assignee"]], row
            if apart and f"-{CALLER}-" in row["role"]:
                yield CI, row

    def _role(self, own: str, document: names.Document) -> authorization.RoleDefinition:
        """A role of the subscription, since its members' scopes lie in groups that may be others' as well."""
        subscription = f"/subscriptions/{self._azure.account}"
        return authorization.RoleDefinition(
            self.named(self._short_role(own)),
            role_definition_id=names.assignment(self._azure, own),
            role_name=document["Name"],
            description=document["Description"],
            role_type="CustomRole",
            permissions=[
                authorization.PermissionArgs(actions=document["Actions"], data_actions=document["DataActions"])
            ],
            assignable_scopes=document["AssignableScopes"],
            scope=subscription,
            opts=self.child(),
        )

    def _short_role(self, own: str) -> str:
        """Whose role it is and what for: `trainer-jobs`."""
        return own.removeprefix(f"mlinfra-{self._azure.suffix}-")

    def _word(self, scope: str) -> str:
        """What a right lies on, by its use or its kind, and by its name where that is somebody's choice."""
        known = {native_id: identity for identity, native_id in self.known().items()}
        kind, name = scope.rsplit("/", 2)[-2:]
        words = {"resourceGroups": "group", "workspaces": "workspace", "vaults": "vault", "containers": name}
        shared = f"{_LEARNING}/registries" in scope
        return known.get(scope) or words.get(kind) or ("models" if shared else "images")

    def _identity(self, identity: str) -> managedidentity.UserAssignedIdentity:
        if identity in self._azure.adopt.identities:
            native_id = names.identity_id(self._azure, identity)
            return self.adopted(managedidentity.UserAssignedIdentity, identity, native_id)
        return managedidentity.UserAssignedIdentity(
            self.named(identity),
            resource_group_name=self._azure.resource_group,
            resource_name_=names.own(self._azure, identity),
            location=self._azure.region,
            tags=self.tags,
            opts=self.child(),
        )

    def _pipelines(self) -> None:
        """Azure takes one exact subject a credential, and writes them one after the other."""
        group, name = names.place(names.identity_id(self._azure, CI)) if self._azure.trusts else ("", "")
        before: list[managedidentity.FederatedIdentityCredential] = []
        for trust in self._azure.trusts:
            for subject in trust.subjects:
                made = managedidentity.FederatedIdentityCredential(
                    self.named(f"trust-{digits(trust.system, subject)}"),
                    resource_group_name=group,
                    resource_name_=name,
                    federated_identity_credential_resource_name=names.own(
                        self._azure, f"{trust.system}-{digits(trust.signed_by, subject)}"
                    ),
                    issuer=trust.signed_by,
                    subject=subject,
                    audiences=[trust.audience or _AUDIENCE],
                    opts=self.child(ResourceOptions(depends_on=before or [self.identities[CI]])),
                )
                before = [made]


def _short(scope: str) -> str:
    """The last two parts of an id: the kind of a resource, and its name."""
    return "/".join(scope.rsplit("/", 2)[-2:])
