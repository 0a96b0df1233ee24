"""Custom jobs as tests ask for them: a few lines of Python that run as a container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.cloud.aiplatform_v1 import CustomJob

GOING = {"JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_CANCELLING"}
MACHINE = "n1-standard-4"
PATIENCE = 60.0  # real seconds; the longest of these jobs takes a few


@pytest.fixture
def image(environment):
    return environment.images["base"].uri


@pytest.fixture
def base(environment):
    """Where a job writes its outputs."""
    return f"{environment.stores['artefacts'].uri}/run"


@pytest.fixture
def jobs(client):
    return client("JobService")


@pytest.fixture
def pool(image) -> Callable[..., dict[str, Any]]:
    """A worker pool that runs some lines of Python: `pool("print(1)")`; words behind them are its container's."""

    def make(code: str, replicas: int = 1, machine: str = MACHINE, **container: Any) -> dict[str, Any]:
        return {
            "machine_spec": {"machine_type": machine},
            "replica_count": replicas,
            "container_spec": {"image_uri": image, "command": ["python3", "-c", code], **container},
        }

    return make


@pytest.fixture
def described(account, base, pool) -> Callable[..., dict[str, Any]]:
    """A job's message: `described("print(1)", timeout=…)`; words behind the code are its specification's."""

    def make(code: str = "print('done')", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
        return {
            "display_name": "training",
            "labels": labels or {},
            "job_spec": {
                "worker_pool_specs": [pool(code)],
                "service_account": account,
                "base_output_directory": {"output_uri_prefix": base},
                **spec,
            },
        }

    return make


@pytest.fixture
def submit(jobs, parent, described) -> Callable[..., CustomJob]:
    """Create a job as described."""
    return lambda *args, **spec: jobs.create_custom_job(parent=parent, custom_job=described(*args, **spec))


@pytest.fixture
def run(jobs, parent, described) -> Callable[..., CustomJob]:
    """Create a job of these pools."""
    return lambda *pools, **spec: jobs.create_custom_job(
        parent=parent, custom_job=described(worker_pool_specs=list(pools), **spec)
    )


@pytest.fixture
def until(jobs) -> Callable[..., CustomJob]:
    """Wait until a job is in a state: `until(job, "RUNNING")`; without one until it has ended."""

    def wait(job: CustomJob, state: str = "") -> CustomJob:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = jobs.get_custom_job(name=job.name)
            name = found.state.name
            if name == f"JOB_STATE_{state}" if state else name not in GOING:
                return found
            assert name in GOING or not state, f"{name}: {found.error.message}"
            time.sleep(0.02)
        raise AssertionError(f"still {found.state.name}")

    return wait


@pytest.fixture
def lines(emulator) -> Callable[..., list[str]]:
    """What a replica wrote."""

    def read(job: CustomJob, task: str = "workerpool0-0") -> list[str]:
        chosen = f'resource.labels.job_id="{job.name.rpartition("/")[2]}" resource.labels.task_name="{task}"'
        found = emulator.logs.list_entries(
            {"resourceNames": [f"projects/{emulator.project}"], "filter": chosen, "pageSize": 1000}
        )
        return [each.get("textPayload") or each["jsonPayload"]["message"] for each in found.get("entries", ())]

    return read


@pytest.fixture
def written(lines) -> Callable[..., None]:
    """Wait until a replica has written a line."""

    def wait(job: CustomJob, text: str, task: str = "workerpool0-0") -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in lines(job, task):
            assert time.monotonic() < deadline, f"{task} never wrote {text!r}: {lines(job, task)}"
            time.sleep(0.02)

    return wait
