"""MLflow's tracking REST interface, version 2.0, as far as jobs log: metrics, parameters and tags of their own run.

By MLflow's "REST API" documentation. Every run is a job's; experiments are those that jobs named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.jobs.variables import experiment_id
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.jobs.job import Job

_STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED", "Running": "RUNNING"}
_SCHEDULED = "SCHEDULED"


@dataclass
class _Kept:
    """What was logged to one run."""

    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


class Metrics:
    """What was logged, by the id of the job. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs: dict[str, _Kept] = {}

    def log(self, job: str, metrics: list[dict[str, Any]], params: list[dict[str, Any]]) -> None:
        """Take values, all or none.

        Raises:
            Refusal: INVALID_PARAMETER_VALUE, a parameter would change, or a value is none.
        """
        try:
            measured = [_measured(each) for each in metrics]
            named = {str(each["key"]): str(each["value"]) for each in params}
        except (KeyError, TypeError, ValueError) as exc:
            raise refusals.refusal("INVALID_PARAMETER_VALUE", f"A value is missing, or is none: {exc}") from None
        with self._lock:
            kept = self._runs.setdefault(job, _Kept())
            changed = [name for name, value in named.items() if kept.params.get(name, value) != value]
            if changed:
                told = f"Changing param values is not allowed: '{changed[0]}'."
                raise refusals.refusal("INVALID_PARAMETER_VALUE", told)
            kept.params.update(named)
            for each in measured:
                kept.metrics.setdefault(each["key"], []).append(each)

    def history(self, job: str, key: str) -> list[dict[str, Any]]:
        """Every value of a metric, in the order in which they came."""
        with self._lock:
            return list(self._runs.get(job, _Kept()).metrics.get(key, ()))

    def told(self, job: str) -> dict[str, Any]:
        """The newest values and the parameters."""
        with self._lock:
            kept = self._runs.get(job, _Kept())
            newest = [
                max(values, key=lambda each: (each["step"], each["timestamp"])) for values in kept.metrics.values()
            ]
            return {"metrics": newest, "params": [{"key": key, "value": value} for key, value in kept.params.items()]}


def _measured(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": str(value["key"]),
        "value": float(value["value"]),
        "timestamp": int(value.get("timestamp") or 0),
        "step": int(value.get("step") or 0),
    }


@dataclass(frozen=True)
class Call:
    """One call."""

    name: str
    verb: str
    handle: Callable[[AzureEmulator, dict[str, str], Any], Any]
    writes: bool = True


def _found(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> Job:
    name = str(body.get("run_id") or body.get("run_uuid") or "")
    job = emulator.jobs.records.get(f"{parts['workspace']}/jobs/{name}")
    if job is None:
        raise refusals.refusal("RESOURCE_DOES_NOT_EXIST", f"Run '{name}' not found", 404)
    return job


def _log_metric(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    emulator.history.metrics.log(_found(emulator, parts, body).id, [body], [])
    return {}


def _log_parameter(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    emulator.history.metrics.log(_found(emulator, parts, body).id, [], [body])
    return {}


def _log_batch(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    job = _found(emulator, parts, body)
    emulator.history.metrics.log(job.id, body.get("metrics") or [], body.get("params") or [])
    _tag(job, body.get("tags") or [])
    return {}


def _set_tag(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    _tag(_found(emulator, parts, body), [body])
    return {}


def _get(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    return {"run": _told(emulator, _found(emulator, parts, body))}


def _update(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    """A job's state is the service's: what a client says of it is taken and changes nothing."""
    return {"run_info": _told(emulator, _found(emulator, parts, body))["info"]}


def _history(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    job = _found(emulator, parts, body)
    return {"metrics": emulator.history.metrics.history(job.id, str(body.get("metric_key") or ""))}


def _experiment(emulator: AzureEmulator, parts: dict[str, str], body: Any) -> dict[str, Any]:
    names = {job.experiment for job in emulator.jobs.records.values() if job.id.startswith(f"{parts['workspace']}/")}
    wanted = {str(body.get("experiment_name") or ""), str(body.get("experiment_id") or "")}
    for name in sorted(names):
        if wanted & {name, experiment_id(name)}:
            told = {"experiment_id": experiment_id(name), "name": name, "lifecycle_stage": "active"}
            return {"experiment": {**told, "artifact_location": ""}}
    raise refusals.refusal("RESOURCE_DOES_NOT_EXIST", f"Could not find experiment {max(wanted)}", 404)


def _tag(job: Job, tags: list[dict[str, Any]]) -> None:
    with job.lock:
        changed = {str(each.get("key")): str(each.get("value")) for each in tags}
        job.asked = {**job.asked, "tags": {**(job.asked.get("tags") or {}), **changed}}


def _told(emulator: AzureEmulator, job: Job) -> dict[str, Any]:
    info = {
        "run_id": job.name,
        "run_uuid": job.name,
        "run_name": job.asked["displayName"],
        "experiment_id": experiment_id(job.experiment),
        "user_id": job.by,
        "status": _STATUS.get(job.state, _SCHEDULED),
        "start_time": int((job.started or job.created).timestamp() * 1000),
        "artifact_uri": f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{job.name}",
        "lifecycle_stage": "active",
    }
    if job.ended:
        info["end_time"] = int(job.ended.timestamp() * 1000)
    tags = [{"key": key, "value": value} for key, value in (job.asked.get("tags") or {}).items()]
    return {"info": info, "data": {**emulator.history.metrics.told(job.id), "tags": tags}}


CALLS = (
    Call("runs/log-metric", "POST", _log_metric),
    Call("runs/log-parameter", "POST", _log_parameter),
    Call("runs/log-batch", "POST", _log_batch),
    Call("runs/set-tag", "POST", _set_tag),
    Call("runs/update", "POST", _update),
    Call("runs/get", "GET", _get, writes=False),
    Call("metrics/get-history", "GET", _history, writes=False),
    Call("experiments/get-by-name", "GET", _experiment, writes=False),
    Call("experiments/get", "GET", _experiment, writes=False),
)
