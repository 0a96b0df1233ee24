"""Amazon Web Services in one process: one address for every service, one account, one region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from mlinfra.emulator.aws import catalogue, seed
from mlinfra.emulator.aws.cloudwatch.cloudwatch import CloudWatch
from mlinfra.emulator.aws.endpoints.autoscaling import Autoscaling
from mlinfra.emulator.aws.endpoints.configs import EndpointConfigs
from mlinfra.emulator.aws.endpoints.endpoints import Endpoints
from mlinfra.emulator.aws.endpoints.runtime import Runtime
from mlinfra.emulator.aws.identity.authorize import Place
from mlinfra.emulator.aws.identity.metadata import ContainerCredentials
from mlinfra.emulator.aws.identity.principals import Credentials, Principals
from mlinfra.emulator.aws.logsink import Logs
from mlinfra.emulator.aws.provisioning.provisioner import AwsProvisioner
from mlinfra.emulator.aws.registry.images import Images
from mlinfra.emulator.aws.registry.models import Models
from mlinfra.emulator.aws.registry.packages import Packages
from mlinfra.emulator.aws.storage import Storage
from mlinfra.emulator.aws.tags import Tags
from mlinfra.emulator.aws.training.jobs import Training
from mlinfra.emulator.aws.variables import variables
from mlinfra.emulator.aws.wire import motoside, refusals
from mlinfra.emulator.aws.wire.front import Front
from mlinfra.emulator.aws.wire.wording import AwsWording
from mlinfra.emulator.emulator import Emulator
from mlinfra.emulator.seeding import of_here
from mlinfra.environment import AwsEnvironment
from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.aws.operations import Request
    from mlinfra.emulator.operations import Fidelity
    from mlinfra.emulator.settings import Settings
    from mlinfra.environment import Environment

_ACCOUNT = "111122223333"
_REGION = "eu-west-1"
_TRUSTED = "sagemaker.amazonaws.com"

# Calls a second of an account. The service publishes no others; where no rate is known, none is enforced.
_RATES: dict[str, float] = {"CreateTrainingJob": 1.0, "ListTrainingJobs": 2.0}


class AwsEmulator(Emulator):
    """One account in one region.

    One at a time in a process: S3, IAM, STS and the other services that moto plays keep their state in it.
    """

    platform: ClassVar[str] = "aws"
    wording = AwsWording()

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        super().__init__(folder, settings)
        self.account = self.settings.account or _ACCOUNT
        self.region = self.settings.region or _REGION
        self.place = Place(self.account, self.region)
        self.desk.wording = AwsWording(self.policy)
        self.principals = Principals(self.account, self.policy)
        self.container_credentials = ContainerCredentials(self)
        self.storage = Storage(self)
        self.logs = Logs(self)
        self.seeded = seed.Seeded(self)
        self.registry = Images(self.account, self.region, self.policy, enforce=self.settings.enforce_policy)
        self.tags = Tags(self)
        self.cloudwatch = CloudWatch(self.clock, self.metrics, self.region, self.account)
        self.models: Models = Models(self)
        self.packages: Packages = Packages(self)
        self.training: Training = Training(self)
        self.endpoint_configs: EndpointConfigs = EndpointConfigs(self)
        self.endpoints: Endpoints = Endpoints(self)
        self.runtime: Runtime = Runtime(self)
        self.autoscaling: Autoscaling = Autoscaling(self)
        self._open = False
        for name, rate in _RATES.items():
            self.quotas.limit("sagemaker", name, rate)
        tables = catalogue.tables()
        self.table = tables["sagemaker"]
        self._front = Front(self, tables)

    @classmethod
    def operations(cls) -> Iterable[Fidelity]:
        """Every operation of SageMaker, SageMaker Runtime and CloudWatch, emulated or not; moto plays the rest."""
        return catalogue.fidelity()

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request of any service."""
        told = self.container_credentials.answer(environ.get("PATH_INFO", ""))
        return told(environ, start_response) if told else self._front.respond(environ, start_response)

    def opened(self) -> None:
        """Take moto for this emulator alone, with nothing in it. UsageError where another one has it."""
        motoside.claim()
        self._open = True

    def closed(self) -> None:
        """End what the families run, and give moto back."""
        for family in (self.runtime, self.endpoints, self.training):
            family.stop()
        if self._open:
            self._open = False
            motoside.release()

    def provisioner(self) -> tuple[str, AwsProvisioner]:
        """What makes a stack's resources in this account, by AWS's own calls."""
        return "aws", AwsProvisioner(self)

    def variables(self) -> dict[str, str]:
        """What points boto3, its command line and the `sagemaker` package here."""
        return variables(self)

    def seed(self, environment: Environment) -> AwsEnvironment:
        """Create the buckets, roles, keys, log groups and images that a stack would have.

        Raises:
            SpecError: it is of another platform, account or region.
        """
        ours = of_here(environment, AwsEnvironment, account=self.account, region=self.region, noun="account")
        return self.seeded.create(ours)

    def environment(self, name: str = "", **changes: Any) -> AwsEnvironment:
        """A made-up environment, seeded, with credentials of its deployer."""
        return self.seed(seed.made_up(self.place, name or "aws-emulated", changes))

    def credentials(self, identity: str = "deployer") -> Credentials:
        """Keys of one of the seeded identities, by its name in the environment or by its ARN.

        Raises:
            NotFound: nobody of that name has been seeded.
        """
        found = self.seeded.credentials(identity)
        if found is None:
            raise NotFound("no such identity", given=identity, allowed=", ".join(sorted(self.seeded.identities)))
        return found

    def leftovers(self) -> list[str]:
        """ARNs of everything in SageMaker that is still there, of scalable targets, and of alarms with our tags."""
        families = (self.models, self.packages, self.training, self.endpoint_configs, self.endpoints, self.autoscaling)
        alarms = (arn for arn, tags in self.cloudwatch.tagged() if any(key.startswith("mlinfra") for key in tags))
        return sorted([*alarms, *(arn for family in families for arn in family.leftovers())])

    def admin(self, request: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """`training/interrupt` and `training/break`, with a job's `name`: its spot instances go, or the service fails.

        Raises:
            MlinfraError: there is no such job, or it is none that this can befall.
        """
        befall = {"training/interrupt": self.training.interrupt, "training/break": self.training.break_down}.get(
            request
        )
        if befall is None:
            return None
        befall(str(body.get("name", "")))
        return {}

    def arn(self, kind: str, name: str) -> str:
        """The ARN of something in SageMaker: `arn("model", "credit")`."""
        return self.place.arn("sagemaker", f"{kind}/{name}")

    def pass_role(self, request: Request, role: str) -> None:
        """Look at a role that a request hands to SageMaker.

        Raises:
            Refusal: the caller may not pass it, or it does not exist or does not trust SageMaker.
        """
        self.desk.allow(request.call, "iam:PassRole", role, {"iam:PassedToService": _TRUSTED})
        if not self.principals.trusted(role, "Service", _TRUSTED):
            raise refusals.validation(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                f"'{_TRUSTED}' to assume the role."
            )
