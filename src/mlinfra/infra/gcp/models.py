"""What Vertex AI's registry of models and everything else needs first: the project's services, switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_gcp import projects

from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import ResourceOptions

    from mlinfra.infra.gcp.configuration import GcpConfiguration

SERVICES = (
    "aiplatform",
    "artifactregistry",
    "cloudkms",
    "cloudresourcemanager",
    "compute",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "secretmanager",
    "storage",
    "sts",
)


class Services(Component):
    """The services that an environment uses. They stay on when it goes, since others may live by them."""

    def __init__(self, name: str, configuration: GcpConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them."""
        super().__init__("gcp:Services", name, configuration, options)
        made = self.profile.private_network and not configuration.adopt.network
        wanted = [
            *SERVICES,
            *(["billingbudgets"] if configuration.billing_account else []),
            *(["networkconnectivity"] if made else []),
        ]
        self.services = [
            projects.Service(
                self.named(service),
                project=configuration.account,
                service=f"{service}.googleapis.com",
                disable_on_destroy=False,
                opts=self.child(),
            )
            for service in wanted
        ]
        self.finish(services=wanted)
