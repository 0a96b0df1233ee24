"""The operations on jobs, as a client calls them. The work itself is done by each job's supervisor."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mlinfra.contract.states import JobState
from mlinfra.errors import Conflict, NotFound
from mlinfra.host import interpreters, isolation, logs, metriclog, processes, tags, trash
from mlinfra.host.clock import stamp
from mlinfra.host.commands import inherited, threads
from mlinfra.host.jobtable import BUSY, ENDED, JobTable
from mlinfra.host.keys import check_bucket, check_key
from mlinfra.host.paging import Query
from mlinfra.host.plan import PYTHON, JobPlan, NodePlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.host import bodies
    from mlinfra.host.database import Database
    from mlinfra.host.interpreters import Image
    from mlinfra.host.layout import Layout


class Jobs:
    """CreateJob, DescribeJob, ListJobs, StopJob, DeleteJob, GetJobLogs, GetJobMetrics."""

    def __init__(self, database: Database, layout: Layout, images: Mapping[str, Image]) -> None:
        self._database = database
        self._layout = layout
        self._images = images
        self._table = JobTable(database, layout)

    def create(self, body: bodies.CreateJob) -> dict[str, Any]:
        """Queue a job and see to it that a supervisor takes it up. Returns at once.

        Raises:
            Conflict: there is a job of that name.
            CapabilityError: no such Python or image is at hand.
            NotFound: the bundle or a mounted path is not there.
        """
        plan = self._plan(body)
        now = stamp()
        try:
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO jobs (name, state, plan, created, updated) VALUES (?, ?, ?, ?, ?)",
                    (body.name, JobState.QUEUED, json.dumps(plan.as_document()), now, now),
                )
                tags.put(connection, tags.JOB, body.name, body.tags)
                self._table.move(connection, self._table.find(connection, body.name), JobState.QUEUED)
        except sqlite3.IntegrityError as exc:
            raise Conflict(
                "there is a job of that name",
                given=body.name,
                todo="describe it, or choose another name",
            ) from exc
        self._table.repair()
        return self._describe(body.name)

    def describe(self, body: bodies.JobName) -> dict[str, Any]:
        """All that is known of a job.

        Raises:
            NotFound: there is no such job.
        """
        self._table.repair()
        return self._describe(body.name)

    def list(self, body: bodies.ListJobs) -> dict[str, Any]:
        """A page of jobs, newest first, without their transitions."""
        self._table.repair()
        query = Query("jobs")
        query.one_of("state", body.states)
        if body.updated_after:
            query.where("updated > ?", body.updated_after)
        query.tagged(tags.JOB, "name", body.tags)
        with self._database.read() as connection:
            rows, token = query.page(connection, body.page_size, body.page_token)
            tagged = tags.of(connection, tags.JOB, (row["name"] for row in rows))
        return {"jobs": [self._document(row, tagged[row["name"]]) for row in rows], "next_token": token}

    def stop(self, body: bodies.JobName) -> dict[str, Any]:
        """Ask a job to stop. Safe to repeat; an ended job stays as it is.

        Raises:
            NotFound: there is no such job.
        """
        self._table.repair()
        with self._database.write() as connection:
            row = self._table.find(connection, body.name)
            if row["state"] == JobState.QUEUED:
                self._table.move(connection, row, JobState.STOPPED, reason="stopped before it started")
            elif row["state"] in BUSY and not row["stop_requested"]:
                self._table.move(connection, row, JobState.STOPPING, stop_requested=1)
        if row["state"] in BUSY and processes.is_alive(row["pid"], row["process"]):
            processes.kill([row["pid"]], signal.SIGTERM)
        return self._describe(body.name)

    def delete(self, body: bodies.JobName) -> dict[str, Any]:
        """Remove an ended job with its logs and its folder.

        Raises:
            NotFound: there is no such job.
            Conflict: it has not ended.
        """
        self._table.repair()
        with self._database.write() as connection:
            row = self._table.find(connection, body.name)
            if row["state"] not in ENDED:
                raise Conflict(
                    "a job that has not ended cannot be deleted",
                    given=f"{body.name}, {row['state']}",
                    todo="stop it first",
                )
            connection.execute("DELETE FROM jobs WHERE seq = ?", (row["seq"],))
            tags.drop(connection, tags.JOB, body.name)
            trash.take(self._layout, self._layout.job(body.name))
        trash.empty(self._layout)
        return {}

    def logs(self, body: bodies.GetJobLogs) -> dict[str, Any]:
        """A page of a job's lines, in the order of their times.

        Raises:
            NotFound: there is no such job.
            UsageError: the token was not made here.
        """
        self._table.repair()
        self._table.row(body.name)
        page = logs.read(self._layout.job_logs(body.name), body.token, body.limit)
        return {"lines": [line._asdict() for line in page.lines], "token": page.token}

    def metrics(self, body: bodies.GetJobMetrics) -> dict[str, Any]:
        """A page of the values that the job has logged so far, in their order.

        Raises:
            NotFound: there is no such job.
            UsageError: the token was not made here.
        """
        plan = json.loads(self._table.row(body.name)["plan"])
        return metriclog.read(Path(plan["result_folder"]), body.token, body.limit)

    def _plan(self, body: bodies.CreateJob) -> JobPlan:
        """Everything about the job that can be settled, or refused, before it is queued."""
        folder = self._layout.job(body.name)
        wanted = body.interpreter
        nodes = [NodePlan(dict(node.env), {**body.mounts, **node.mounts}) for node in body.per_node] or [
            NodePlan({}, dict(body.mounts)) for _ in range(body.nodes)
        ]
        mounts = {target: source for node in nodes for target, source in node.mounts.items()}
        for path in (*mounts.values(), *filter(None, [body.bundle, body.working_folder])):
            if not Path(path).exists():
                raise NotFound("there is nothing at this path of the host", given=path)
        checkpoint = {"MLINFRA_CHECKPOINT": body.checkpoint} if body.checkpoint else {}
        environment = {**inherited(), **threads(body.cpu), **checkpoint, **body.env}
        told = environment.get("MLINFRA_RESULT")
        result = _on_host(told, nodes[0].mounts) if told else str(self._layout.job_result(body.name))
        return JobPlan(
            argv=[PYTHON, body.bundle, *body.argv] if body.bundle else list(body.argv),
            environment=environment,
            interpreter=interpreters.resolve(wanted.python, wanted.requirements_lock, wanted.image, self._images),
            isolation=isolation.choose(mounts),
            nodes=nodes,
            working_folder=body.working_folder or str(folder / "work"),
            result_folder=result,
            failure_file=body.failure_file or str(Path(result) / "failure"),
            checkpoint=body.checkpoint or "",
            before=[list(argv) for argv in body.before],
            after=[list(argv) for argv in body.after],
            collect=[_collected(part) for part in body.collect],
            max_runtime=body.max_runtime,
            memory=body.memory,
            stop_grace=body.stop_grace,
            infrastructure_retries=body.retries.infrastructure,
            user_retries=body.retries.user,
        )

    def _describe(self, name: str) -> dict[str, Any]:
        with self._database.read() as connection:
            row = self._table.find(connection, name)
            transitions = connection.execute(
                "SELECT at, state, detail FROM transitions WHERE job = ? ORDER BY rowid", (row["seq"],)
            ).fetchall()
            tagged = tags.of(connection, tags.JOB, [name])[name]
        return {**self._document(row, tagged), "transitions": [dict(transition) for transition in transitions]}

    def _document(self, row: sqlite3.Row, tagged: Mapping[str, str]) -> dict[str, Any]:
        plan = json.loads(row["plan"])
        told = ("name", "state", "detail", "reason", "exit_code", "created", "updated", "started", "ended", "attempt")
        return {
            **{column: row[column] for column in told},
            "failures": {"infrastructure": row["infrastructure_failures"], "user": row["user_failures"]},
            "tags": dict(tagged),
            "nodes": len(plan["nodes"]),
            "interpreter": {name: plan["interpreter"][name] for name in ("path", "version", "reason")},
            "isolation": {name: plan["isolation"][name] for name in ("kind", "reason")},
            "folder": str(self._layout.job(row["name"])),
            "result_folder": plan["result_folder"],
            "result": json.loads(row["result"]),
        }


def _collected(part: bodies.Collected) -> dict[str, str]:
    """The names are checked now, since nobody hears of them later."""
    check_bucket(part.bucket)
    return {"folder": part.folder, "bucket": part.bucket, "prefix": check_key(part.prefix)}


def _on_host(path: str, mounts: Mapping[str, str]) -> str:
    """Where a path that the job sees lies outside its sandbox."""
    inner = PurePosixPath(path)
    for target in sorted(mounts, key=len, reverse=True):
        if inner.is_relative_to(target):
            return str(Path(mounts[target]) / inner.relative_to(target))
    return path
