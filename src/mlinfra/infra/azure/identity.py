"""Who acts in the environment: user-assigned identities, what they may do, and the trust in CI systems.

Built-in roles, by the GUIDs of Azure's own documentation; each on the smallest scope that it makes sense on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi import Output, ResourceOptions
from pulumi_azure_native import authorization, managedidentity

from mlinfra.infra.azure import names
from mlinfra.infra.azure.configuration import IDENTITIES
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pulumi import Input

    from mlinfra.infra.azure.configuration import AzureConfiguration

CI = "ci"
_ISSUERS = {"github": "https://token.actions.githubusercontent.com", "gitlab": "https://gitlab.com"}
_AUDIENCE = "api://AzureADTokenExchange"

DATA_SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"  # jobs, models, endpoints of a workspace; not the workspace
BLOBS_WRITE = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"  # Storage Blob Data Contributor
BLOBS_READ = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"  # Storage Blob Data Reader
IMAGES_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"  # AcrPull
IMAGES_PUSH = "8311e382-0749-4cb8-b61a-304f252e45ec"  # AcrPush
SECRETS_READ = "4633458b-17de-408a-b874-0445c86b69e6"  # Key Vault Secrets User
METRICS_READ = "43d0d8ad-25c7-4714-9337-8ba259a9fe05"  # Monitoring Reader
USE_IDENTITY = "f1a07417-d97a-45cb-824c-7a7467783830"  # Managed Identity Operator
READ = "acdd72a7-3385-48ef-bd42-f606fba81ae7"  # Reader


@dataclass(frozen=True)
class Scopes:
    """What roles are given on, by resource id."""

    workspace: Input[str]
    containers: Mapping[str, Input[str]]  # by store
    registry: Input[str]
    vault: Input[str]


# Identity → role and where, in words that `Identities` looks up: a store, workspace, registry, vault, identities.
_RIGHTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "trainer": (
        (BLOBS_WRITE, "artefacts"),
        (BLOBS_READ, "data"),
        (IMAGES_PULL, "registry"),
        (SECRETS_READ, "vault"),
        (DATA_SCIENTIST, "workspace"),  # MLflow's runs and metrics are written in the job's own name
    ),
    "server": (
        (BLOBS_READ, "artefacts"),
        (BLOBS_WRITE, "captures"),
        (IMAGES_PULL, "registry"),
    ),
    "deployer": (
        (DATA_SCIENTIST, "workspace"),
        (BLOBS_WRITE, "artefacts"),
        (BLOBS_WRITE, "data"),
        (BLOBS_READ, "captures"),
        (BLOBS_READ, "approvals"),
        (IMAGES_PUSH, "registry"),
        (METRICS_READ, "workspace"),
        (USE_IDENTITY, "identities"),
    ),
    "approver": (
        (DATA_SCIENTIST, "workspace"),
        (BLOBS_READ, "artefacts"),
        (BLOBS_WRITE, "approvals"),
    ),
}
_LIKE = {CI: "deployer"}  # identities with another one's rights
_PASSED = ("trainer", "server")  # what deployers hand to jobs and endpoints


class Identities(Component):
    """Trainer, server, deployer and approver; one for pipelines where CI systems are trusted."""

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them, without rights: `grant` gives those once there is something to have rights on."""
        super().__init__("azure:Identities", name, configuration, options)
        self._azure = configuration
        wanted = (*IDENTITIES, CI) if configuration.trusts else IDENTITIES
        self.identities = {identity: self._identity(identity) for identity in wanted}
        self.ids: dict[str, Output[str]] = {identity: each.id for identity, each in self.identities.items()}
        self.client_ids: dict[str, Output[str]] = {
            identity: each.client_id for identity, each in self.identities.items()
        }
        self._pipelines()
        self.finish(identities=self.ids)

    def grant(self, scopes: Scopes) -> None:
        """Give every identity its rights and no more."""
        for identity in self.identities:
            for right, where in _RIGHTS[_LIKE.get(identity, identity)]:
                for number, scope in enumerate(self._scopes(scopes, where)):
                    self._assign(identity, right, scope, f"{where}-{number + 1}")

    def _scopes(self, scopes: Scopes, where: str) -> Iterator[Input[str]]:
        if where == "identities":
            yield from (self.ids[each] for each in _PASSED)
        elif where in scopes.containers:
            yield scopes.containers[where]
        else:
            yield getattr(scopes, where)

    def _identity(self, identity: str) -> managedidentity.UserAssignedIdentity:
        return managedidentity.UserAssignedIdentity(
            self.named(identity),
            resource_group_name=self._azure.resource_group,
            resource_name_=names.own(self._azure, identity),
            location=self._azure.region,
            tags=self.tags,
            opts=self.child(),
        )

    def _assign(self, identity: str, right: str, scope: Input[str], where: str) -> None:
        authorization.RoleAssignment(
            self.named(f"{identity}-{where}-{right[:8]}"),
            role_assignment_name=names.assignment(self._azure, identity, right, where),
            principal_id=self.identities[identity].principal_id,
            principal_type="ServicePrincipal",
            role_definition_id=names.role(self._azure, right),
            scope=scope,
            opts=self.child(),
        )

    def _pipelines(self) -> None:
        """Azure takes one exact subject a credential, and writes them one after the other."""
        before: list[managedidentity.FederatedIdentityCredential] = []
        for number, trust in enumerate(self._azure.trusts):
            for place, subject in enumerate(trust.subjects):
                made = managedidentity.FederatedIdentityCredential(
                    self.named(f"trust-{number + 1}-{place + 1}"),
                    resource_group_name=self._azure.resource_group,
                    resource_name_=self.identities[CI].name,
                    federated_identity_credential_resource_name=f"{trust.system}-{number + 1}-{place + 1}",
                    issuer=trust.issuer or _ISSUERS[trust.system],
                    subject=subject,
                    audiences=[trust.audience or _AUDIENCE],
                    opts=self.child(ResourceOptions(depends_on=before)),
                )
                before = [made]
