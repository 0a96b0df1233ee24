"""The run history's REST interface, as `MLClient.jobs` uses it, and beside it MLflow's tracking and the dataset plane.

Paths and documents are those of azure-ai-ml's generated clients `runhistory` and `dataset_dataplane`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.jobs import mlflow, runs
from mlinfra.emulator.azure.wire import httpcalls, refusals
from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.jobs.job import Job

SERVICE = "history"
_WORKSPACE = r"(?P<workspace>/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/workspaces/[^/]+)"
_RUN = rf"/history/v1\.0{_WORKSPACE}(?:/experiment(?:s|ids)/[^/]+)?/runs/(?P<run>[^/]+)"
_READ = "Microsoft.MachineLearningServices/workspaces/experiments/runs/read"
_WRITE = "Microsoft.MachineLearningServices/workspaces/experiments/runs/write"
_DATA = "Microsoft.MachineLearningServices/workspaces/data/versions/read"
_AUDIENCES = ("ml", "management")


@dataclass(frozen=True)
class Route:
    """One operation on one kind of path."""

    name: str
    verb: str
    path: re.Pattern[str]
    action: str
    handle: Callable[[AzureEmulator, dict[str, str], Any], Any]


class History:
    """Answers `/history/…`, `/mlflow/…` and `/data/…`."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self.metrics = mlflow.Metrics()

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def stop(self) -> None:
        """Nothing of it runs."""

    def leftovers(self) -> list[str]:
        """Runs are told as jobs."""
        return []

    def _answer(self, request: Request) -> Response:
        route, parts = _route(request)
        principal = self._caller(request)
        workspace = self._emulator.arm.routes.resource_id(parts["workspace"])
        body = dict(request.args) if request.method == "GET" else httpcalls.document(request) or {}
        if not isinstance(body, dict):
            raise refusals.refusal("UserError", "The body of the request is no JSON object.")
        call = Call(
            SERVICE,
            route.name,
            action=route.action,
            principal=principal,
            resources=(workspace,),
            body=body,
            control=False,
        )

        def act() -> Any:
            self._emulator.workspaces.get(workspace)
            return route.handle(self._emulator, {**parts, "workspace": workspace}, body)

        return httpcalls.replied(self._emulator.desk.admit(call, act))

    def _caller(self, request: Request) -> str:
        """Who calls: tokens of ARM and of the service itself count."""
        try:
            return httpcalls.caller(self._emulator, request, _AUDIENCES[0])
        except Refusal:
            return httpcalls.caller(self._emulator, request, _AUDIENCES[1])


def _route(request: Request) -> tuple[Route, dict[str, str]]:
    for route in _ROUTES:
        match = route.path.fullmatch(request.path)
        if match and route.verb == request.method:
            return route, match.groupdict()
    raise refusals.not_emulated(f"{request.method} {request.path} of the run history")


def _job(emulator: AzureEmulator, parts: dict[str, str]) -> Job:
    found = emulator.jobs.records.get(f"{parts['workspace']}/jobs/{parts['run']}")
    if found is None:
        raise refusals.refusal("UserError", f"RunId {parts['run']} was not found", 404)
    return found


def _run(emulator: AzureEmulator, parts: dict[str, str], _body: Any) -> dict[str, Any]:
    return runs.run(emulator, _job(emulator, parts))


def _details(emulator: AzureEmulator, parts: dict[str, str], _body: Any) -> dict[str, Any]:
    return runs.details(emulator, _job(emulator, parts))


def _run_data(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    job = _job(emulator, {**parts, "run": str(body.get("runId") or "")})
    found: dict[str, Any] = {}
    if body.get("selectRunMetadata"):
        found["runMetadata"] = runs.run(emulator, job)
    if body.get("selectRunDefinition"):
        found["runDefinition"] = {"command": job.asked["command"]}
    if body.get("selectJobSpecification"):
        found["jobSpecification"] = job.told()["properties"]
    return found


def _children(emulator: AzureEmulator, parts: dict[str, str], _body: Any) -> dict[str, Any]:
    _job(emulator, parts)
    return {"value": []}


def _patch(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    """Change what is said of a run; what is not named stays."""
    job = _job(emulator, parts)
    with job.lock:
        changes: dict[str, Any] = {
            name: {**(job.asked.get(name) or {}), **body[name]} for name in ("tags", "properties") if body.get(name)
        }
        for member, name in (("displayName", "displayName"), ("description", "description"), ("hidden", "isArchived")):
            if body.get(member) is not None:
                changes[name] = body[member]
        job.asked = {**job.asked, **changes}
        job.modified = emulator.clock.now()
    return runs.run(emulator, job)


def _resolved(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    found = {each: runs.resolved(emulator, parts["workspace"], str(each)) for each in body.get("values") or ()}
    return {"values": {name: each for name, each in found.items() if each}}


def _routes() -> tuple[Route, ...]:
    def route(name: str, verb: str, path: str, action: str, handle: Callable[..., Any]) -> Route:
        return Route(name, verb, re.compile(path, re.IGNORECASE), action, handle)

    data = rf"/data/v1\.0{_WORKSPACE}/dataversion/batchGetResolvedUris"
    tracked = rf"/mlflow/v[12]\.0{_WORKSPACE}/api/2\.0/mlflow/"
    return (
        route("Runs_Get", "GET", _RUN, _READ, _run),
        route("Runs_GetDetails", "GET", f"{_RUN}/details", _READ, _details),
        route("Runs_GetChild", "GET", f"{_RUN}/children", _READ, _children),
        route("Runs_AddOrModify", "PATCH", _RUN, _WRITE, _patch),
        route("Runs_GetRunData", "POST", rf"/history/v1\.0{_WORKSPACE}/rundata", _READ, _run_data),
        route("DataVersion_BatchGetResolvedUris", "POST", data, _DATA, _resolved),
        *(
            route(f"mlflow_{each.name}", each.verb, tracked + each.name, _WRITE if each.writes else _READ, each.handle)
            for each in mlflow.CALLS
        ),
    )


_ROUTES = _routes()
OPERATIONS = tuple(
    Fidelity(
        SERVICE,
        route.name,
        validated="the run's id",
        differences=("runs are those of jobs; metrics and parameters are kept, artefacts are not",)
        if route.name.startswith("mlflow")
        else (),
    )
    for route in _ROUTES
)
