"""The operations on endpoints and deployments, as a client calls them. The work itself is done by each gateway."""

from __future__ import annotations

import base64
import http.client
import json
import sqlite3
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlinfra.errors import CapabilityError, Conflict, NotFound, Unavailable
from mlinfra.host import interpreters, isolation, logs, metering, processes, tags
from mlinfra.host.clock import stamp
from mlinfra.host.commands import inherited
from mlinfra.host.endpointtable import EndpointTable, State
from mlinfra.host.paging import Query
from mlinfra.host.plan import ServerPlan
from mlinfra.host.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.host import bodies
    from mlinfra.host.database import Database
    from mlinfra.host.interpreters import Image
    from mlinfra.host.layout import Layout

_MARGIN = 5.0  # seconds beyond the gateway's own time-out, which then tells more


class Endpoints:
    """Create, Describe, List, Update, DeleteEndpoint; Create, Update, DeleteDeployment; metrics, logs, invocation."""

    def __init__(self, database: Database, layout: Layout, images: Mapping[str, Image]) -> None:
        self._database = database
        self._layout = layout
        self._images = images
        self._table = EndpointTable(database, layout)

    def create(self, body: bodies.CreateEndpoint) -> dict[str, Any]:
        """Make an endpoint without deployments and see to it that a gateway starts. Returns at once.

        Raises:
            Conflict: there is an endpoint of that name.
            CapabilityError: what a gateway needs is not installed.
        """
        if find_spec("httptools") is None:
            raise CapabilityError(
                "endpoints need the package httptools, which is not installed",
                todo="pip install 'mlinfra-kit[serving]'",
            )
        settings = body.model_dump(include={"route", "max_body_bytes", "timeout", "drain_timeout"})
        try:
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO endpoints (name, state, settings, traffic, shadow, expires, etag, created, updated) "
                    "VALUES (?1, ?2, ?3, '{}', '{}', ?4, ?5, ?6, ?6)",
                    (body.endpoint, State.CREATING, json.dumps(settings), body.expires_at, _etag(), stamp()),
                )
                tags.put(connection, tags.ENDPOINT, body.endpoint, body.tags)
        except sqlite3.IntegrityError as exc:
            raise Conflict(
                "there is an endpoint of that name", given=body.endpoint, todo="describe it, or choose another name"
            ) from exc
        self._table.repair()
        return self._describe(body.endpoint)

    def describe(self, body: bodies.EndpointName) -> dict[str, Any]:
        """All that is known of an endpoint and its deployments.

        Raises:
            NotFound: there is no such endpoint.
        """
        self._table.repair()
        return self._describe(body.endpoint)

    def list(self, body: bodies.ListEndpoints) -> dict[str, Any]:
        """A page of endpoints, newest first, each as `describe` tells it."""
        self._table.repair()
        query = Query("endpoints")
        query.one_of("state", body.states)
        query.tagged(tags.ENDPOINT, "name", body.tags)
        if body.updated_after:
            query.where("updated > ?", body.updated_after)
        with self._database.read() as connection:
            rows, token = query.page(connection, body.page_size, body.page_token)
            documents = [self._document(connection, row) for row in rows]
        return {"endpoints": documents, "next_token": token}

    def update(self, body: bodies.UpdateEndpoint) -> dict[str, Any]:
        """Change traffic, shadow, expiry and tags, all at once or none; the gateway follows within a moment.

        Until it has, the endpoint's state is `updating`.

        Raises:
            NotFound: there is no such endpoint or deployment.
            Conflict: `etag` is stale, or traffic would go to a deployment that is not ready.
        """
        self._table.repair()
        with self._database.write() as connection:
            row = self._living(connection, body.endpoint, body.etag)
            self._check_traffic(connection, body)
            changes: dict[str, Any] = {"etag": _etag()}
            if body.traffic is not None:
                changes["traffic"] = json.dumps({name: share for name, share in body.traffic.items() if share})
            if body.shadow or body.remove_shadow:
                changes["shadow"] = json.dumps({body.shadow.deployment: body.shadow.percent} if body.shadow else {})
            if body.expires_at or body.remove_expiry:
                changes["expires"] = body.expires_at
            self._table.set(connection, row["name"], **changes)
            tags.put(connection, tags.ENDPOINT, body.endpoint, body.tags)
        return self._describe(body.endpoint)

    def delete(self, body: bodies.DeleteEndpoint) -> dict[str, Any]:
        """End an endpoint and its deployments, with what runs and all they left. Returns at once; safe to repeat.

        Raises:
            NotFound: there is no such endpoint.
            Conflict: `etag` is stale.
        """
        with self._database.write() as connection:
            row = self._table.find(connection, body.endpoint)
            if row["state"] != State.DELETING:
                _check_etag(row, body.etag)
                self._table.set(connection, body.endpoint, state=State.DELETING, spawned=0.0)
        self._table.repair()
        return {}

    def create_deployment(self, body: bodies.CreateDeployment) -> dict[str, Any]:
        """Put a deployment behind an endpoint, without traffic. Returns at once; the gateway starts its servers.

        Raises:
            NotFound: there is no such endpoint, model version or mounted path.
            Conflict: there is a deployment of that name, or the endpoint has ended.
            CapabilityError: no such Python or image is at hand.
        """
        plan = self._plan(body)
        self._table.repair()
        model = body.model
        try:
            with self._database.write() as connection:
                self._living(connection, body.endpoint, None)
                if model:
                    _check_model(connection, model)
                connection.execute(
                    "INSERT INTO deployments "
                    "(endpoint, name, state, plan, model, version, digest, replicas, created, updated) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
                    (
                        body.endpoint,
                        body.deployment,
                        State.CREATING,
                        json.dumps(plan.as_document()),
                        model.name if model else "",
                        model.version if model else None,
                        (model.digest or "") if model else "",
                        body.replicas,
                        stamp(),
                    ),
                )
                tags.put(connection, tags.DEPLOYMENT, f"{body.endpoint}/{body.deployment}", body.tags)
        except sqlite3.IntegrityError as exc:
            raise Conflict(
                "there is a deployment of that name behind the endpoint",
                given=f"{body.endpoint}/{body.deployment}",
                todo="describe the endpoint, or choose another name",
            ) from exc
        return self._describe(body.endpoint)

    def update_deployment(self, body: bodies.UpdateDeployment) -> dict[str, Any]:
        """Change a deployment's number of replicas and its tags.

        Raises:
            NotFound: there is no such deployment.
            Conflict: it is being deleted.
        """
        with self._database.write() as connection:
            self._living(connection, body.endpoint, None)
            row = self._table.find_deployment(connection, body.endpoint, body.deployment)
            if row["state"] == State.DELETING:
                raise Conflict("the deployment is being deleted", given=f"{body.endpoint}/{body.deployment}")
            replicas = body.replicas or row["replicas"]
            self._table.set_deployment(connection, body.endpoint, body.deployment, replicas=replicas)
            tags.put(connection, tags.DEPLOYMENT, f"{body.endpoint}/{body.deployment}", body.tags)
        self._table.repair()
        return self._describe(body.endpoint)

    def delete_deployment(self, body: bodies.DeploymentRef) -> dict[str, Any]:
        """Drain a deployment and end it. Returns at once; safe to repeat until it is gone.

        Raises:
            NotFound: there is no such deployment.
            Conflict: it has traffic, or is the shadow.
        """
        with self._database.write() as connection:
            endpoint = self._table.find(connection, body.endpoint)
            self._table.find_deployment(connection, body.endpoint, body.deployment)
            share = {**json.loads(endpoint["shadow"]), **json.loads(endpoint["traffic"])}.get(body.deployment)
            if share and endpoint["state"] != State.EXPIRED:
                raise Conflict(
                    "the deployment has traffic or is the endpoint's shadow",
                    given=f"{body.endpoint}/{body.deployment}, {share} percent",
                    todo="give its share to others first",
                )
            self._table.set_deployment(connection, body.endpoint, body.deployment, state=State.DELETING)
            if endpoint["state"] == State.EXPIRED:
                connection.execute(
                    "DELETE FROM deployments WHERE endpoint = ? AND name = ?", (body.endpoint, body.deployment)
                )
        self._table.repair()
        return {}

    def metrics(self, body: bodies.GetDeploymentMetrics) -> dict[str, Any]:
        """What a deployment has answered from a moment on: requests, errors, rejected, p50 and p99 in seconds, `as_of`.

        GET, HEAD and OPTIONS are not counted. A shadow's answers are counted like any other's.

        Raises:
            NotFound: there is no such deployment.
        """
        with self._database.read() as connection:
            self._table.find_deployment(connection, body.endpoint, body.deployment)
        return metering.read(self._layout.endpoint_metrics(body.endpoint), body.deployment, body.since)

    def logs(self, body: bodies.GetEndpointLogs) -> dict[str, Any]:
        """A page of the servers' lines, in the order of their times; the gateway's own without a deployment.

        Raises:
            NotFound: there is no such endpoint.
            UsageError: the token was not made here.
        """
        with self._database.read() as connection:
            self._table.find(connection, body.endpoint)
        wanted = f"{body.deployment}." if body.deployment else ""
        folder = self._layout.endpoint_logs(body.endpoint)
        page = logs.read(folder, body.token, body.limit, lambda source: source.startswith(wanted))
        return {"lines": [line._asdict() for line in page.lines], "token": page.token}

    def invoke(self, body: bodies.InvokeEndpoint) -> dict[str, Any]:
        """Send one prediction request. Answers with the server's status and body, whatever they are.

        Raises:
            NotFound: there is no such endpoint.
            Unavailable: its gateway does not answer.
        """
        self._table.repair()
        with self._database.read() as connection:
            row = self._table.find(connection, body.endpoint)
        settings = json.loads(row["settings"])
        headers = {"content-type": body.content_type, **body.headers}
        headers |= {"accept": body.accept} if body.accept else {}
        headers |= {"mlinfra-deployment": body.deployment} if body.deployment else {}
        gateway = http.client.HTTPConnection(LOOPBACK, row["port"], timeout=settings["timeout"] + _MARGIN)
        try:
            gateway.request("POST", body.route or settings["route"], base64.b64decode(body.body), headers)
            reply = gateway.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException) as exc:
            raise Unavailable(
                "the endpoint's gateway does not answer", given=f"{body.endpoint}, {row['state']}: {exc}"
            ) from exc
        finally:
            gateway.close()
        return {
            "status": reply.status,
            "body": base64.b64encode(content).decode(),
            "content_type": reply.getheader("content-type", ""),
            "deployment": reply.getheader("mlinfra-deployment", ""),
        }

    def _plan(self, body: bodies.CreateDeployment) -> ServerPlan:
        """Everything about the servers that can be settled, or refused, before the gateway sees them."""
        wanted = body.interpreter
        for path in body.mounts.values():
            if not Path(path).exists():
                raise NotFound("there is nothing at this path of the host", given=path)
        return ServerPlan(
            argv=list(body.argv),
            environment={**inherited(), **body.env},
            interpreter=interpreters.resolve(wanted.python, wanted.requirements_lock, wanted.image, self._images),
            isolation=isolation.choose(body.mounts),
            mounts=dict(body.mounts),
            health_route=body.health_route,
            health_period=body.health_period,
            start_timeout=body.start_timeout,
            stop_grace=body.stop_grace,
        )

    def _living(self, connection: sqlite3.Connection, name: str, etag: str | None) -> sqlite3.Row:
        """The row of an endpoint that can still be changed."""
        row = self._table.find(connection, name)
        if row["state"] in {State.DELETING, State.EXPIRED}:
            raise Conflict("the endpoint has ended", given=f"{name}, {row['state']}", todo="delete it and make another")
        _check_etag(row, etag)
        return row

    def _check_traffic(self, connection: sqlite3.Connection, body: bodies.UpdateEndpoint) -> None:
        wanted = {name for name, share in (body.traffic or {}).items() if share}
        wanted |= {body.shadow.deployment} if body.shadow else set()
        for name in sorted(wanted):
            row = self._table.find_deployment(connection, body.endpoint, name)
            if row["state"] != State.READY:
                raise Conflict(
                    "traffic goes to deployments that are ready",
                    given=f"{body.endpoint}/{name}, {row['state']}",
                    todo="wait until it is ready",
                )

    def _describe(self, name: str) -> dict[str, Any]:
        with self._database.read() as connection:
            return self._document(connection, self._table.find(connection, name))

    def _document(self, connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
        name, traffic = row["name"], json.loads(row["traffic"])
        shadow = [{"deployment": target, "percent": share} for target, share in json.loads(row["shadow"]).items()]
        alive = processes.is_alive(row["pid"], row["process"])
        deployments = self._table.deployments(connection, name)
        tagged = tags.of(connection, tags.DEPLOYMENT, (f"{name}/{part['name']}" for part in deployments))
        following = row["state"] == State.READY and row["applied"] != row["etag"]
        return {
            "endpoint": name,
            "state": State.UPDATING if following else row["state"],
            **{column: row[column] for column in ("reason", "etag", "created", "updated", "restarts")},
            "url": f"http://{LOOPBACK}:{row['port']}" if row["port"] else "",
            "gateway": {"alive": alive, "pid": row["pid"] if alive else None},
            "traffic": traffic,
            "shadow": shadow[0] if shadow else None,
            "expires_at": row["expires"],
            "settings": json.loads(row["settings"]),
            "tags": tags.of(connection, tags.ENDPOINT, [name])[name],
            "deployments": [
                _deployment(part, traffic.get(part["name"], 0), tagged[f"{name}/{part['name']}"])
                for part in deployments
            ],
        }


def _deployment(row: sqlite3.Row, traffic: int, tagged: Mapping[str, str]) -> dict[str, Any]:
    plan = json.loads(row["plan"])
    told = ("state", "reason", "replicas", "ready_replicas", "restarts", "created", "updated")
    return {
        "deployment": row["name"],
        **{column: row[column] for column in told},
        "traffic": traffic,
        "model": {"name": row["model"], "version": row["version"], "digest": row["digest"]} if row["model"] else None,
        "interpreter": {name: plan["interpreter"][name] for name in ("path", "version", "reason")},
        "isolation": {name: plan["isolation"][name] for name in ("kind", "reason")},
        "tags": dict(tagged),
    }


def _check_etag(row: sqlite3.Row, etag: str | None) -> None:
    if etag is not None and etag != row["etag"]:
        raise Conflict(
            "the endpoint has been changed by somebody else",
            given=f"{row['name']}, etag {etag}",
            allowed=f"etag {row['etag']}",
            todo="describe it again, and decide again",
        )


def _check_model(connection: sqlite3.Connection, model: bodies.ServedModel) -> None:
    found = connection.execute(
        "SELECT 1 FROM versions WHERE model = ?1 AND (version = ?2 OR ?2 IS NULL) AND (digest = ?3 OR ?3 IS NULL)",
        (model.name, model.version, model.digest),
    ).fetchone()
    if found is None:
        raise NotFound("there is no such model version in this registry", given=model.model_dump_json())


def _etag() -> str:
    return uuid4().hex
