"""Azure in one process: one subscription, one workspace in one region, and a TLS port for all services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.http import http_date

from mlinfra.emulator.azure import catalogue, seed
from mlinfra.emulator.azure.discovery import Discovery
from mlinfra.emulator.azure.endpoints.endpoints import Endpoints
from mlinfra.emulator.azure.endpoints.scoring import Scoring
from mlinfra.emulator.azure.identity.assignments import Assignments
from mlinfra.emulator.azure.identity.principals import Credentials, Principals
from mlinfra.emulator.azure.identity.tokens import Login
from mlinfra.emulator.azure.images.images import Images
from mlinfra.emulator.azure.jobs.history import History
from mlinfra.emulator.azure.jobs.jobs import Jobs
from mlinfra.emulator.azure.jobs.msi import Msi
from mlinfra.emulator.azure.monitoring.monitoring import Monitoring
from mlinfra.emulator.azure.names import Place
from mlinfra.emulator.azure.provisioning.provisioner import AzureProvisioner
from mlinfra.emulator.azure.registry.assets import Assets
from mlinfra.emulator.azure.registry.registries import Registries
from mlinfra.emulator.azure.registry.workspaces import Workspaces
from mlinfra.emulator.azure.storage.storage import Storage
from mlinfra.emulator.azure.variables import variables
from mlinfra.emulator.azure.vault.vault import Vault
from mlinfra.emulator.azure.wire import plain
from mlinfra.emulator.azure.wire.arm import Arm
from mlinfra.emulator.azure.wire.longrunning import LongRunning
from mlinfra.emulator.azure.wire.wording import AzureWording
from mlinfra.emulator.certificates import certify
from mlinfra.emulator.delays import Delays
from mlinfra.emulator.emulator import Emulator
from mlinfra.emulator.seeding import of_here
from mlinfra.emulator.server import HttpServer
from mlinfra.environment import AzureEnvironment
from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.azure.operations import Request
    from mlinfra.emulator.operations import Fidelity
    from mlinfra.emulator.settings import Settings
    from mlinfra.environment import Environment

_SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
_TENANT = "00000000-0000-4000-8000-000000000002"
_GROUP, _WORKSPACE, _REGION = "mlinfra-emulated", "mlinfra", "westeurope"
_ACCOUNTS = "*.blob.localhost"  # hosts of storage accounts, for clients that know no other way to name them
_ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"


class AzureEmulator(Emulator):
    """One subscription in one region.

    `secure` is the TLS port's address, where every service is; `ca_file` is what to trust there. `url` is a plain port
    that answers the same, for what is asked over plain HTTP in the cloud too: the tokens of managed identities.
    """

    platform: ClassVar[str] = "azure"
    wording = AzureWording()

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        super().__init__(folder, settings)
        self.place = Place(
            (self.settings.account or _SUBSCRIPTION).lower(),
            _TENANT,
            _GROUP,
            _WORKSPACE,
            self.settings.region or _REGION,
        )
        self.delays = Delays(catalogue.delays(), self.settings.delays_scale)
        self._certificates = certify(self.folder / "tls", [_ACCOUNTS])
        self._secure = HttpServer(self._application, self._certificates.server_context())
        self.principals = Principals(self)
        self.assignments = Assignments(self.policy, self.place)
        self.longrunning = LongRunning(self)
        self.login = Login(self)
        self.discovery = Discovery(self)
        self.seeded = seed.Seeded(self)
        self.workspaces = Workspaces(self)
        self.registries = Registries(self)
        self.assets = Assets(self)
        self.storage: Storage = Storage(self)
        self.containers: Images = Images(self)
        self.vault: Vault = Vault(self)
        self.msi: Msi = Msi(self)
        self.monitoring: Monitoring = Monitoring(self)
        self.jobs: Jobs = Jobs(self)
        self.history: History = History(self)
        self.endpoints: Endpoints = Endpoints(self)
        self.scoring: Scoring = Scoring(self)
        self.arm = Arm(self, catalogue.operations())

    @classmethod
    def operations(cls) -> Iterable[Fidelity]:
        """Every operation of the services that it plays."""
        return catalogue.fidelity()

    @property
    def secure(self) -> str:
        """The TLS port's address: `https://localhost:PORT`. Only while it runs."""
        return self._secure.url

    @property
    def ca_file(self) -> Path:
        """The certificate authority to trust at the TLS port, as PEM."""
        return self._certificates.authority

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request of any service. Its Date is that of the clock by which metrics become complete."""

        def dated(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            told = [each for each in headers if each[0].lower() != "date"]
            return start_response(status, [*told, ("Date", http_date(self.clock.now()))], exc_info)

        family = plain.family_of(environ)
        found: Iterable[bytes] = getattr(self, family).respond(environ, dated)
        return found

    def start(self) -> AzureEmulator:
        """Open both ports. OSError where the plain one is taken."""
        super().start()
        self._secure.start()
        return self

    def closed(self) -> None:
        """Close the TLS port and end what the families run."""
        self._secure.stop()
        self.longrunning.stop()
        for family in (self.scoring, self.endpoints, self.history, self.jobs, *self._services()):
            family.stop()

    def provisioner(self) -> tuple[str, AzureProvisioner]:
        """What makes a stack's resources in this subscription."""
        return "azure-native", AzureProvisioner(self)

    def variables(self) -> dict[str, str]:
        """What points the vendor's clients here."""
        return variables(self)

    def seed(self, environment: Environment) -> AzureEnvironment:
        """Create the workspace, storage, identities, roles and images that a stack would have.

        Raises:
            SpecError: it is of another platform, subscription, workspace or region.
        """
        ours = of_here(
            environment,
            AzureEnvironment,
            account=self.place.subscription,
            region=self.place.region,
            noun="subscription",
        )
        return self.seeded.create(ours)

    def environment(self, name: str = "", **changes: Any) -> AzureEnvironment:
        """A made-up environment, seeded, with credentials of its deployer."""
        return self.seed(seed.made_up(self.place, name or "azure-emulated", changes))

    def credentials(self, identity: str = "deployer") -> Credentials:
        """What one of the seeded identities shows, by its name in the environment, or by any of its ids.

        Raises:
            NotFound: nobody of that name has been seeded.
        """
        found = self.seeded.credentials(identity)
        if found is None:
            raise NotFound("no such identity", given=identity, allowed=", ".join(sorted(self.seeded.identities)))
        return found

    def assign(self, request: Request, resource_id: str) -> str:
        """Look at a user-assigned identity that a request names, for a job or a server to run as; its object id.

        Raises:
            Refusal: the caller may not assign it, or there is none.
        """
        return self.principals.assigned(request, self.arm.routes.resource_id(resource_id), _ASSIGN)

    def leftovers(self) -> list[str]:
        """Ids of everything in the workspace that is still there, and of what the other families find."""
        parts = (self.assets, self.jobs, self.endpoints, *self._services())
        return sorted(name for family in parts for name in family.leftovers())

    def admin(self, request: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the endpoints answer: `endpoints/traffic_lag`."""
        return self.endpoints.admin(request, body)

    def _services(self) -> tuple[Monitoring | Msi | Vault | Images | Storage, ...]:
        """What lies beneath the jobs and endpoints, which end first."""
        return (self.monitoring, self.msi, self.vault, self.containers, self.storage)
