"""The operations of the host by name, each with the model of its body. The one place that checks bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mlinfra.errors import Problem, SpecError, UsageError
from mlinfra.host import bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.host.host import Host


@dataclass(frozen=True)
class Operation:
    """What an operation takes, and what does it."""

    request: type[bodies.Body]
    handle: Callable[[Host, Any], dict[str, Any]]


OPERATIONS: Mapping[str, Operation] = {
    "GetCallerIdentity": Operation(bodies.Empty, lambda host, _body: host.identity()),
    "CreateJob": Operation(bodies.CreateJob, lambda host, body: host.jobs.create(body)),
    "DescribeJob": Operation(bodies.JobName, lambda host, body: host.jobs.describe(body)),
    "ListJobs": Operation(bodies.ListJobs, lambda host, body: host.jobs.list(body)),
    "StopJob": Operation(bodies.JobName, lambda host, body: host.jobs.stop(body)),
    "DeleteJob": Operation(bodies.JobName, lambda host, body: host.jobs.delete(body)),
    "GetJobLogs": Operation(bodies.GetJobLogs, lambda host, body: host.jobs.logs(body)),
    "GetJobMetrics": Operation(bodies.GetJobMetrics, lambda host, body: host.jobs.metrics(body)),
    "CreateModelVersion": Operation(bodies.CreateModelVersion, lambda host, body: host.registry.create(body)),
    "DescribeModelVersion": Operation(bodies.ModelVersion, lambda host, body: host.registry.describe(body)),
    "ListModels": Operation(bodies.ListModels, lambda host, body: host.registry.list_models(body)),
    "ListModelVersions": Operation(bodies.ListModelVersions, lambda host, body: host.registry.list_versions(body)),
    "UpdateModelVersion": Operation(bodies.UpdateModelVersion, lambda host, body: host.registry.update(body)),
    "DeleteModelVersion": Operation(bodies.NumberedVersion, lambda host, body: host.registry.delete_version(body)),
    "DeleteModel": Operation(bodies.ModelName, lambda host, body: host.registry.delete_model(body)),
    "CreateEndpoint": Operation(bodies.CreateEndpoint, lambda host, body: host.endpoints.create(body)),
    "DescribeEndpoint": Operation(bodies.EndpointName, lambda host, body: host.endpoints.describe(body)),
    "ListEndpoints": Operation(bodies.ListEndpoints, lambda host, body: host.endpoints.list(body)),
    "UpdateEndpoint": Operation(bodies.UpdateEndpoint, lambda host, body: host.endpoints.update(body)),
    "DeleteEndpoint": Operation(bodies.DeleteEndpoint, lambda host, body: host.endpoints.delete(body)),
    "CreateDeployment": Operation(bodies.CreateDeployment, lambda host, body: host.endpoints.create_deployment(body)),
    "UpdateDeployment": Operation(bodies.UpdateDeployment, lambda host, body: host.endpoints.update_deployment(body)),
    "DeleteDeployment": Operation(bodies.DeploymentRef, lambda host, body: host.endpoints.delete_deployment(body)),
    "GetDeploymentMetrics": Operation(bodies.GetDeploymentMetrics, lambda host, body: host.endpoints.metrics(body)),
    "GetEndpointLogs": Operation(bodies.GetEndpointLogs, lambda host, body: host.endpoints.logs(body)),
    "InvokeEndpoint": Operation(bodies.InvokeEndpoint, lambda host, body: host.endpoints.invoke(body)),
}


def call(host: Host, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Check a body and run the operation.

    Raises:
        UsageError: there is no such operation.
        SpecError: the body is not what the operation takes; holds every problem.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        raise UsageError("the host has no such operation", given=name, allowed=", ".join(sorted(OPERATIONS)))
    try:
        request = operation.request.model_validate(dict(body))
    except ValidationError as exc:
        raise _refusal(name, operation.request, exc) from exc
    return operation.handle(host, request)


def _refusal(name: str, model: type[bodies.Body], exc: ValidationError) -> SpecError:
    problems = [
        Problem(
            what=error["msg"].removeprefix("Value error, "),
            path=".".join(map(str, error["loc"])),
            given="" if error["type"] == "missing" else repr(error["input"])[:200],
            allowed="fields: " + ", ".join(model.model_fields) if error["type"] == "extra_forbidden" else "",
        )
        for error in exc.errors(include_url=False)
    ]
    return SpecError(f"{name} does not take this body", problems=problems)
