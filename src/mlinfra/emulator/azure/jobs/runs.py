"""What the run history tells of a job: its run, and its run's details with the addresses of its log files.

The documents are those of azure-ai-ml's generated client for the run history (`Run`, `RunDetails`, `ErrorResponse`).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.jobs.data import LITERAL
from mlinfra.emulator.azure.jobs.job import time
from mlinfra.emulator.azure.jobs.uris import Uris
from mlinfra.emulator.azure.jobs.variables import experiment_id
from mlinfra.emulator.azure.names import own

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.jobs.job import Job

_TYPE = "azureml.scriptrun"
_LOGS = ("user_logs/", "system_logs/", "logs/")


def run(emulator: AzureEmulator, job: Job) -> dict[str, Any]:
    """A run's document."""
    with job.lock:
        found = {
            "runNumber": job.number,
            "rootRunId": job.name,
            "createdUtc": time(job.created),
            "createdBy": {"userObjectId": job.by, "userTenantId": emulator.place.tenant, "userName": job.by},
            "userId": job.by,
            "error": _error(job),
            "warnings": [{"source": "service", "message": each} for each in job.warnings],
            "runUuid": _uuid(job),
            "rootRunUuid": _uuid(job),
            "lastModifiedUtc": time(job.modified),
            "runId": job.name,
            "experimentId": experiment_id(job.experiment),
            "status": job.state,
            "startTimeUtc": time(job.started) if job.started else None,
            "endTimeUtc": time(job.ended) if job.ended else None,
            "displayName": job.asked["displayName"],
            "name": job.asked["displayName"],
            "dataContainerId": f"dcid.{job.name}",
            "description": job.asked.get("description"),
            "hidden": bool(job.asked.get("isArchived")),
            "runType": _TYPE,
            "properties": {"_azureml.ComputeTargetType": "amlctrain", **(job.asked.get("properties") or {})},
            "target": own(str(job.asked.get("computeId") or "Serverless")),
            "tags": dict(job.asked.get("tags") or {}),
            "inputs": {},
            "outputs": _references(job),
        }
    return {name: value for name, value in found.items() if value is not None}


def details(emulator: AzureEmulator, job: Job) -> dict[str, Any]:
    """A run's details."""
    told = run(emulator, job)
    for before, after in (("createdUtc", "createdTimeUtc"),):
        told[after] = told.pop(before)
    return {
        **told,
        "runDefinition": {"script": None, "command": job.asked["command"], "target": told["target"]},
        "logFiles": log_files(emulator, job),
        "submittedBy": job.by,
    }


def log_files(emulator: AzureEmulator, job: Job) -> dict[str, str]:
    """The log files of a run by name, each an address that whoever has it may read for an hour."""
    folder = Uris(emulator, emulator.workspaces.get(job.id)).artifacts(job.name)
    at = folder._replace(name=f"{folder.name}/")
    names = [blob.name for blob in emulator.storage.list(str(at))]
    return {
        name[len(at.name) :]: emulator.storage.signed(str(at._replace(name=name)))
        for name in names
        if name[len(at.name) :].startswith(_LOGS)
    }


def resolved(emulator: AzureEmulator, workspace: str, reference: str) -> dict[str, str] | None:
    """What an asset that a run left points at, as the dataset plane tells it; None where it is none of ours."""
    job_id, _, output = reference.rpartition("/outputs/")
    job = emulator.jobs.records.get(f"{workspace}/jobs/{job_id}")
    found = (job.asked.get("outputs") or {}).get(output) if job else None
    return {"uri": str(found["uri"]), "type": _kind(found)} if found else None


def _references(job: Job) -> dict[str, dict[str, str]]:
    if not job.has_ended:
        return {}
    outputs = (job.asked.get("outputs") or {}).items()
    return {name: {"assetId": f"{job.name}/outputs/{name}", "type": _kind(each)} for name, each in outputs}


def _kind(output: dict[str, Any]) -> str:
    """An output's type, as the dataset plane tells it."""
    kind = str(output.get("jobOutputType") or LITERAL)
    return {"uri_file": "uri_file", "mltable": "mltable"}.get(kind, "uri_folder")


def _error(job: Job) -> dict[str, Any] | None:
    if job.end is None:
        return None
    inner = {"code": job.end.kind, "innerError": None} if job.end.kind else None
    root: dict[str, Any] = {
        "code": job.end.code,
        "severity": None,
        "message": job.end.message,
        "messageParameters": {},
        "innerError": inner,
        "details": [],
    }
    return {"error": root, "componentName": "CommonRuntime", "time": time(job.modified)}


def _uuid(job: Job) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job.id} {job.number}"))
