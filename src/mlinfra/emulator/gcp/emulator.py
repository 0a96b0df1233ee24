"""Google Cloud in one process: one project in one region, a plain HTTP port, and a TLS port for Vertex AI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.http import http_date
from werkzeug.wrappers import Request as HttpRequest

from mlinfra.emulator.certificates import certify
from mlinfra.emulator.delays import Delays
from mlinfra.emulator.emulator import Emulator
from mlinfra.emulator.gcp import catalogue, seed
from mlinfra.emulator.gcp.artifacts.artifacts import Artifacts
from mlinfra.emulator.gcp.endpoints.address import Addresses
from mlinfra.emulator.gcp.endpoints.endpoints import Endpoints
from mlinfra.emulator.gcp.endpoints.predictions import Predictions
from mlinfra.emulator.gcp.identity.endpoints import Identity
from mlinfra.emulator.gcp.identity.principals import Credentials, Principals
from mlinfra.emulator.gcp.jobs.jobs import Jobs
from mlinfra.emulator.gcp.logging.logs import Logs
from mlinfra.emulator.gcp.metadata.metadata import Metadata
from mlinfra.emulator.gcp.monitoring.monitoring import Monitoring
from mlinfra.emulator.gcp.names import Place
from mlinfra.emulator.gcp.provisioning.provisioner import GcpProvisioner
from mlinfra.emulator.gcp.registry.models import Models
from mlinfra.emulator.gcp.secrets.secrets import Secrets
from mlinfra.emulator.gcp.storage.storage import Storage
from mlinfra.emulator.gcp.variables import variables
from mlinfra.emulator.gcp.wire import plain, refusals
from mlinfra.emulator.gcp.wire.front import QUOTA, Front
from mlinfra.emulator.gcp.wire.grpcport import GrpcPort
from mlinfra.emulator.gcp.wire.longrunning import Operations
from mlinfra.emulator.gcp.wire.rest import Rest
from mlinfra.emulator.gcp.wire.secureport import SecurePort
from mlinfra.emulator.gcp.wire.wording import GcpWording
from mlinfra.emulator.seeding import of_here
from mlinfra.environment import GcpEnvironment
from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.gcp.operations import Request
    from mlinfra.emulator.operations import Fidelity
    from mlinfra.emulator.settings import Settings
    from mlinfra.environment import Environment

_PROJECT = "mlinfra-emulated"
_NUMBER = "111122223333"
_REGION = "europe-west4"

_ACT_AS = "iam.serviceAccounts.actAs"

# Vertex AI's published quotas of a project in a region, a minute: all submissions of jobs and long-running operations
# together, and all other calls on resources together.
_A_MINUTE = {"submit": 60, "read": 600}


class GcpEmulator(Emulator):
    """One project in one region.

    `url` is the plain port: Cloud Storage, Cloud Logging, Cloud Monitoring, tokens, the metadata server. `secure` is
    the TLS port, as clients name it in `api_endpoint`: Vertex AI over gRPC and REST. `ca_file` is what to trust there.
    """

    platform: ClassVar[str] = "gcp"
    wording = GcpWording()

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        super().__init__(folder, settings)
        self.project = self.settings.account or _PROJECT
        self.project_number = _NUMBER
        self.region = self.settings.region or _REGION
        self.place = Place(self.project, self.project_number, self.region)
        self.delays = Delays(catalogue.delays(), self.settings.delays_scale)
        self.principals = Principals(self)
        self.identity = Identity(self)
        self._grant_agents()
        self.longrunning = Operations(self)
        self.seeded = seed.Seeded(self)
        self.storage: Storage = Storage(self)
        self.logs: Logs = Logs(self)
        self.metadata: Metadata = Metadata(self)
        self.secrets: Secrets = Secrets(self)
        self.artifacts: Artifacts = Artifacts(self)
        self.monitoring: Monitoring = Monitoring(self)
        self.models: Models = Models(self)
        self.jobs: Jobs = Jobs(self)
        self.endpoints: Endpoints = Endpoints(self)
        self.predictions: Predictions = Predictions(self)
        for kind, count in _A_MINUTE.items():
            self.quotas.limit(QUOTA, kind, count / 60, burst=count)
        front = Front(self, catalogue.table())
        self.addresses = Addresses(self._secure_port)
        self.vertex = Rest(front, self.addresses.owner)
        self._certificates = certify(self.folder / "tls")
        self._grpc = GrpcPort(front, self._cut, self.addresses.owner)
        self._secure = self._secure_port()

    @classmethod
    def operations(cls) -> Iterable[Fidelity]:
        """Every RPC of the services of Vertex AI that it plays."""
        return catalogue.fidelity()

    @property
    def secure(self) -> str:
        """The TLS port as clients name it: `localhost:PORT`. Only while it runs."""
        return f"localhost:{self._secure.port}"

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
        if family == plain.VERTEX:
            return self.vertex.respond(HttpRequest(environ))(environ, dated)
        found: Iterable[bytes] = getattr(self, family).respond(environ, dated)
        return found

    def start(self) -> GcpEmulator:
        """Open both ports. OSError where the plain one is taken."""
        super().start()
        self._grpc.start()
        self._secure.start()
        return self

    def closed(self) -> None:
        """Close the TLS port and end what the families run."""
        self._secure.stop()
        self._grpc.stop()
        self.longrunning.stop()
        for family in (self.predictions, self.endpoints, self.jobs, *self._services()):
            family.stop()

    def variables(self) -> dict[str, str]:
        """What points the vendor's clients here."""
        return variables(self)

    def provisioner(self) -> tuple[str, GcpProvisioner]:
        """What makes a stack's resources in this project."""
        return "gcp", GcpProvisioner(self)

    def seed(self, environment: Environment) -> GcpEnvironment:
        """Create the buckets, service accounts, log buckets and images that a stack would have.

        Raises:
            SpecError: it is of another platform, project or region.
        """
        ours = of_here(environment, GcpEnvironment, account=self.project, region=self.region, noun="project")
        return self.seeded.create(ours)

    def environment(self, name: str = "", **changes: Any) -> GcpEnvironment:
        """A made-up environment, seeded, with credentials of its deployer."""
        return self.seed(seed.made_up(self.place, name or "gcp-emulated", changes))

    def credentials(self, identity: str = "deployer") -> Credentials:
        """A token and a key file of one of the seeded identities, by its name in the environment or by its e-mail.

        Raises:
            NotFound: nobody of that name has been seeded.
        """
        found = self.seeded.credentials(identity)
        if found is None:
            raise NotFound("no such identity", given=identity, allowed=", ".join(sorted(self.seeded.identities)))
        return found

    def act_as(self, request: Request, email: str) -> None:
        """Look at a service account that a request names, for a job or a server to run as.

        Raises:
            Refusal: the caller may not act as it, or there is none.
        """
        resource = f"projects/{self.project}/serviceAccounts/{email}"
        self.desk.allow(request.call, _ACT_AS, resource)
        if not self.principals.exists(email):
            raise refusals.invalid_argument(f"Service account {email} does not exist.", "service_account")

    def leftovers(self) -> list[str]:
        """Names of everything in Vertex AI that is still there, and of what the other families find."""
        parts = (self.models, self.jobs, self.endpoints, self.monitoring, self.artifacts)
        return sorted(name for family in parts for name in family.leftovers())

    def _services(self) -> tuple[Monitoring | Artifacts | Metadata | Secrets | Logs | Storage, ...]:
        """What lies beneath the jobs and endpoints, which end first."""
        return (self.monitoring, self.artifacts, self.metadata, self.secrets, self.logs, self.storage)

    def admin(self, request: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """`endpoints/requestlog`, with an endpoint's `name`: the rows that its request-response logging has written."""
        return self.endpoints.admin(request, body)

    def _grant_agents(self) -> None:
        """Give Vertex AI's own service accounts the roles that they have in every project."""
        for email, role in {
            self.principals.agent: "roles/aiplatform.serviceAgent",
            self.principals.code_agent: "roles/aiplatform.customCodeServiceAgent",
        }.items():
            self.identity.bindings.grant(f"projects/{self.project}", role, f"serviceAccount:{email}")

    def _secure_port(self) -> SecurePort:
        """A TLS port, not yet open, for both protocols."""
        return SecurePort(
            self._certificates.server_context(), http=lambda: self.server.port, grpc=lambda: self._grpc.port
        )

    def _cut(self, port: int) -> None:
        self._secure.cut(port)
        self.addresses.cut(port)
