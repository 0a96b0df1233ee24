"""The key that encrypts an environment's buckets, images, secrets, models and endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import InvokeOutputOptions, Output
from pulumi_gcp import kms, projects, storage

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from pulumi import ResourceOptions

    from mlinfra.infra.gcp.configuration import GcpConfiguration

_ROTATION = f"{90 * 86_400}s"
_ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
_DAY = 86_400
# Services whose agents use the key: they exist from the moment that their identity is asked for.
_AGENTS = ("aiplatform.googleapis.com", "artifactregistry.googleapis.com", "secretmanager.googleapis.com")


class Key(Component):
    """A key that rotates every 90 days, and the services that may use it; or one that exists, with the same grants.

    Key rings and keys are never gone: the provider destroys the key's versions and forgets the rest, and the names stay
    taken. The ring's name is therefore the engine's, another one for each stack that is made.
    """

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it."""
        super().__init__("gcp:Key", name, configuration, options)
        self._gcp = configuration
        if configuration.adopt.key:
            self.id: Output[str] = self.adopted(kms.CryptoKey, "key", configuration.adopt.key).id
        else:
            self.id = self._made().id
        self.granted = [self._grant("storage", self._storage_agent()), *self._grants()]
        self.finish(id=self.id)

    def _made(self) -> kms.CryptoKey:
        ring = kms.KeyRing(
            self.named("ring"),
            location=self._gcp.region,
            opts=self.child(),
        )
        return kms.CryptoKey(
            self.named("key"),
            name="main",
            key_ring=ring.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=_ROTATION,
            destroy_scheduled_duration=f"{self.profile.key_deletion_days * _DAY}s",
            labels=names.labels(self._gcp),
            opts=self.guarded(),
        )

    def _storage_agent(self) -> Output[str]:
        """The agent of Cloud Storage, which has a call of its own that brings it into being."""
        after = InvokeOutputOptions(parent=self, depends_on=self._options.depends_on)
        agent = storage.get_project_service_account_output(project=self._gcp.account, opts=after)
        return Output.concat("serviceAccount:", agent.email_address)

    def _grants(self) -> list[kms.CryptoKeyIAMMember]:
        grants = []
        for service in _AGENTS:
            short = service.partition(".")[0]
            agent = projects.ServiceIdentity(
                self.named(f"{short}-agent"), project=self._gcp.account, service=service, opts=self.child()
            )
            grants.append(self._grant(short, Output.concat("serviceAccount:", agent.email)))
        return grants

    def _grant(self, short: str, member: Output[str]) -> kms.CryptoKeyIAMMember:
        return kms.CryptoKeyIAMMember(
            self.named(f"{short}-use"), crypto_key_id=self.id, role=_ROLE, member=member, opts=self.child()
        )
