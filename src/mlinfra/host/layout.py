"""Where everything lies in the host's folder. The only file that spells a path below the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = 0o700  # jobs' settings and captured inputs are their owner's business


class Layout:
    """The paths below one root. Computing them touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "host.db"
        self.jobs = root / "jobs"
        self.endpoints = root / "endpoints"
        self.buckets = root / "buckets"
        self.objects_database = root / "objects.db"
        self.staging = self.buckets / ".staging"
        self.interpreters = root / "interpreters"
        self.trash = root / "trash"

    def job(self, name: str) -> Path:
        """The folder of one job: its logs, its work folder, its results."""
        return self.jobs / name

    def job_logs(self, name: str) -> Path:
        """Where a job's log segments lie."""
        return self.job(name) / "logs"

    def job_result(self, name: str) -> Path:
        """Where the runner leaves its result files unless the request says otherwise."""
        return self.job(name) / "result"

    def endpoint(self, name: str) -> Path:
        """The folder of one endpoint: its logs and its metrics."""
        return self.endpoints / name

    def endpoint_logs(self, name: str) -> Path:
        """Where the log segments of an endpoint's gateway and servers lie."""
        return self.endpoint(name) / "logs"

    def server(self, endpoint: str, deployment: str) -> Path:
        """The folder of a deployment's servers; its path is the word by which their processes are known."""
        return self.endpoint(endpoint) / "servers" / deployment

    def endpoint_metrics(self, name: str) -> Path:
        """The database of an endpoint's request counts, apart so that counting never waits for other work."""
        return self.endpoint(name) / "metrics.db"

    def bucket(self, name: str) -> Path:
        """The folder under which a bucket's objects lie by key."""
        return self.buckets / name
