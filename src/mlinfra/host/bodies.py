"""What each operation takes: closed models, so that a misspelt field is an error and not a surprise."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mlinfra.host.clock import canonical
from mlinfra.host.paging import LARGEST_PAGE

_PLAIN = r"^[^\x00]*$"


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/"):
        raise ValueError("must be an absolute path without '..'")
    return path


def _utf8(text: str) -> str:
    text.encode()  # a lone surrogate cannot be written anywhere
    return text


Text = Annotated[str, Field(pattern=_PLAIN), AfterValidator(_utf8)]
AbsolutePath = Annotated[Text, AfterValidator(_absolute)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$")]
DeploymentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$")]
Alias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,127}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
TagKey = Annotated[Text, Field(min_length=1, max_length=256)]
TagValue = Annotated[Text, Field(max_length=1024)]
Tags = dict[TagKey, TagValue]
TagChanges = dict[TagKey, TagValue | None]
VariableName = Annotated[str, Field(pattern=r"^[^\x00=]+$"), AfterValidator(_utf8)]
Variables = dict[VariableName, Text]
Mounts = dict[AbsolutePath, AbsolutePath]
Moment = Annotated[str, AfterValidator(canonical)]
Seconds = Annotated[float, Field(gt=0, le=10**8, allow_inf_nan=False)]
Grace = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Version = Annotated[int, Field(ge=1, lt=2**63)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Body(BaseModel):
    """A request: closed, frozen, and without guesses at types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Empty(Body):
    """Nothing to say."""


class Page(Body):
    """What every list takes."""

    tags: Tags = {}
    updated_after: Moment | None = None
    page_size: int = Field(100, ge=1, le=LARGEST_PAGE)
    page_token: str | None = None


class Logs(Body):
    """Where to go on in a log."""

    token: str | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class InterpreterRequest(Body):
    """Which Python; all empty is the kit's own."""

    python: Annotated[str, Field(pattern=r"^3\.\d{1,2}$")] | None = None
    requirements_lock: Text | None = None
    image: Text | None = None


class Retries(Body):
    """How often to try again, after a fault of the host's and after one of the job's own."""

    infrastructure: int = Field(0, ge=0, le=100)
    user: int = Field(0, ge=0, le=100)


class NodeRequest(Body):
    """What one node gets beside what all get."""

    env: Variables = {}
    mounts: Mounts = {}


class Collected(Body):
    """A folder of the host whose files become objects, moved, when the job's command has ended."""

    folder: AbsolutePath
    bucket: str
    prefix: str


class JobName(Body):
    """One job."""

    name: Name


class CreateJob(JobName):
    """A job. Times are in seconds, `memory` in bytes.

    `{python}` as an element of a command stands for the interpreter, which runs the bundle where there is one.
    `max_runtime` counts from the first attempt's start over all attempts. `memory` is for all nodes together, and
    looked at four times a second. `cpu` is a hint to numeric libraries. `before` and `after` are commands of the
    caller's own around the job's, outside its container paths, in every attempt and once at the end. With `per_node`
    each node has environment and mounts of its own beside the common ones.
    """

    argv: list[Text] = []
    bundle: AbsolutePath | None = None
    env: Variables = {}
    tags: Tags = {}
    interpreter: InterpreterRequest = InterpreterRequest()
    mounts: Mounts = {}
    nodes: int = Field(1, ge=1, le=64)
    per_node: list[NodeRequest] = []
    working_folder: AbsolutePath | None = None
    failure_file: AbsolutePath | None = None
    checkpoint: AbsolutePath | None = None
    before: list[Annotated[list[Text], Field(min_length=1)]] = []
    after: list[Annotated[list[Text], Field(min_length=1)]] = []
    collect: list[Collected] = []
    max_runtime: Seconds | None = None
    memory: Annotated[int, Field(ge=1)] | None = None
    cpu: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    stop_grace: Grace = 30.0
    retries: Retries = Retries()

    @model_validator(mode="after")
    def _whole(self) -> CreateJob:
        if not self.argv and not self.bundle:
            raise ValueError("neither `argv` nor `bundle` says what to run")
        if self.per_node and len(self.per_node) != self.nodes:
            raise ValueError("`per_node` needs one element for each of `nodes`")
        return self


class ListJobs(Page):
    """A page of jobs, newest first."""

    states: list[
        Literal["queued", "starting", "running", "stopping", "succeeded", "failed", "stopped", "timed_out"]
    ] = []


class GetJobLogs(Logs, JobName):
    """A page of a job's log."""


class GetJobMetrics(Logs, JobName):
    """A page of the values that a job has logged."""


class ModelName(Body):
    """One model."""

    model: Name


class CreateModelVersion(ModelName):
    """A version to be. `artifact` says where the package lies; the registry never reads it."""

    digest: Digest
    artifact: dict[str, Any]
    manifest: dict[str, Any] = {}
    lineage: dict[str, Any] = {}
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}
    tags: Tags = {}
    stage: Text = ""
    approval_status: Literal["pending", "approved", "rejected"] = "pending"


class ModelVersion(ModelName):
    """One version, by number, alias or digest."""

    version: Version | None = None
    alias: Alias | None = None
    digest: Digest | None = None

    @model_validator(mode="after")
    def _one(self) -> ModelVersion:
        if sum(part is not None for part in (self.version, self.alias, self.digest)) != 1:
            raise ValueError("name the version by exactly one of `version`, `alias`, `digest`")
        return self


class ListModels(Body):
    """A page of models, newest first."""

    page_size: int = Field(100, ge=1, le=LARGEST_PAGE)
    page_token: str | None = None


class ListModelVersions(ModelName, ListModels):
    """A page of a model's versions, newest first."""

    tags: Tags = {}
    updated_after: Moment | None = None
    digest: Digest | None = None
    stages: list[Text] = []
    approval_statuses: list[Literal["pending", "approved", "rejected"]] = []


class NumberedVersion(ModelName):
    """One version by its number."""

    version: Version


class UpdateModelVersion(NumberedVersion):
    """Changes of marks, all at once or none. A tag that is null is removed."""

    stage: Text | None = None
    approval_status: Literal["pending", "approved", "rejected"] | None = None
    add_aliases: list[Alias] = []
    remove_aliases: list[Alias] = []
    tags: TagChanges = {}


class EndpointName(Body):
    """One endpoint."""

    endpoint: Name


class Shadow(Body):
    """A deployment that gets copies of some of the requests; its answers are dropped."""

    deployment: DeploymentName
    percent: int = Field(100, ge=1, le=100)


class CreateEndpoint(EndpointName):
    """An endpoint without deployments. `route` is where `InvokeEndpoint` sends its requests."""

    tags: Tags = {}
    expires_at: Moment | None = None
    route: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/invocations"
    max_body_bytes: int = Field(6 << 20, ge=1, le=1 << 30)
    timeout: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0
    drain_timeout: Grace = 60.0


class ListEndpoints(Page):
    """A page of endpoints, newest first. Those that are `updating` are listed as ready."""

    states: list[Literal["creating", "ready", "failed", "deleting", "expired"]] = []


class UpdateEndpoint(EndpointName):
    """A read-modify-write: `etag` is that of the endpoint as it was read. What is not named stays.

    `traffic` is whole: deployments that it does not name get none. `remove_shadow` and `remove_expiry` empty what
    null leaves as it is.
    """

    etag: str | None = None
    traffic: dict[DeploymentName, Percent] | None = None
    shadow: Shadow | None = None
    remove_shadow: bool = False
    expires_at: Moment | None = None
    remove_expiry: bool = False
    tags: TagChanges = {}

    @model_validator(mode="after")
    def _sum(self) -> UpdateEndpoint:
        if self.traffic is not None and sum(self.traffic.values()) not in {0, 100}:
            raise ValueError("the percents of `traffic` must sum to 100, or all be 0")
        return self


class DeleteEndpoint(EndpointName):
    """The end of an endpoint and all its deployments."""

    etag: str | None = None


class DeploymentRef(EndpointName):
    """One deployment."""

    deployment: DeploymentName


class ServedModel(Body):
    """Which version a deployment serves; the registry refuses to delete it meanwhile."""

    name: Name
    version: Version | None = None
    digest: Digest | None = None


class CreateDeployment(DeploymentRef):
    """A deployment. `{python}` as an element of `argv` is the interpreter, `{port}` inside one or as a value the port.

    It is ready when GET `health_route` answers 200 in every replica; one that does not three times in a row later,
    asked every `health_period`, is started again.
    """

    argv: Annotated[list[Text], Field(min_length=1)]
    env: Variables = {}
    interpreter: InterpreterRequest = InterpreterRequest()
    mounts: Mounts = {}
    model: ServedModel | None = None
    replicas: int = Field(1, ge=1, le=64)
    health_route: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/ping"
    health_period: Seconds = 5.0
    start_timeout: Seconds = 60.0
    stop_grace: Grace = 10.0
    tags: Tags = {}


class UpdateDeployment(DeploymentRef):
    """Another number of replicas, other tags."""

    replicas: Annotated[int, Field(ge=1, le=64)] | None = None
    tags: TagChanges = {}


class GetDeploymentMetrics(DeploymentRef):
    """Counts from a moment on."""

    since: Moment


class GetEndpointLogs(Logs, EndpointName):
    """A page of the servers' logs, of one deployment where named."""

    deployment: DeploymentName | None = None


class InvokeEndpoint(EndpointName):
    """One prediction request. `body` is base64; without a deployment the traffic's shares decide."""

    body: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
    content_type: Annotated[str, Field(pattern=r"^[ -~]*$")] = "application/json"
    accept: Annotated[str, Field(pattern=r"^[ -~]*$")] | None = None
    deployment: DeploymentName | None = None
    route: Annotated[str, Field(pattern=r"^/[!-~]*$")] | None = None
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")], Annotated[str, Field(pattern=r"^[ -~]*$")]] = {}
