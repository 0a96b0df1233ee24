"""The adapter of the platform in memory: what it renders and reads, and its client."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta

from mlinfra.contract.adapter import Caller
from mlinfra.contract.endpoints import (
    Deferred,
    DeploymentObservation,
    EndpointObservation,
    EndpointPage,
    Invocation,
    Snippets,
)
from mlinfra.contract.health import Health
from mlinfra.contract.jobs import Choice, LogLine, LogPage
from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import EndpointState
from mlinfra.contract.steps import Done, Failed, Send, Wait

from .machine import EPOCH
from .memory_platform import Platform
from .memory_store import MemoryStore


class Renderer:
    """The adapter's pure part: deployments first, then traffic, then what is left over."""

    METRIC_PERIOD = Platform.METRIC_PERIOD
    METRIC_DELAY = Platform.METRIC_DELAY

    def __init__(self):
        self.guards = []  # what the platform was told to watch

    def physical_name(self, name, environment):
        return f"{name}-{environment.suffix}"

    def choices(self, spec, environment):
        return [
            Choice("machine", f"cpu-{spec.resources.cpu}", "the cheapest"),
            Choice("image", environment.images["serving"].uri, ""),
        ]

    def observe(self, physical_name, _environment):
        return (Request("endpoint", "fake", "Describe", {"name": physical_name}, effect=False),)

    def next_step(self, desired, observed, _environment):
        if desired.absent:
            return self._towards_nothing(desired, observed)
        if observed is None:
            body = {"name": desired.physical_name}
            lookup = Lookup(Request("look", "fake", "Describe", body, effect=False))
            return Send(
                (self._request("create-endpoint", "CreateEndpoint", lookup, **body, expires=_expires(desired)),)
            )
        if observed.state.busy:
            return Wait("the endpoint", 2.0)
        phases = (self._expiring, self._guarded, self._deployed, self._ready, self._routed, self._tidied)
        return next((step for step in (phase(desired, observed) for phase in phases) if step is not None), Done())

    def _towards_nothing(self, desired, observed):
        if observed is None:
            return Done()
        if observed.state is EndpointState.DELETING:
            return Wait("the endpoint to go", 2.0)
        return Send((self._request("delete-endpoint", "DeleteEndpoint", name=desired.physical_name),))

    def _expiring(self, desired, observed):
        if _expires(observed) == _expires(desired):
            return None
        body = {"name": desired.physical_name, "expires": _expires(desired)}
        return Send((self._request("update-endpoint", "UpdateEndpoint", **body),))

    def _guarded(self, desired, observed):
        serving = {key for key, share in observed.traffic.items() if share}
        replaced = desired.guard is not None or desired.spec.replaced_whole
        if not replaced or not serving or serving & set(desired.traffic):
            return None
        self.guards.append(desired.guard)
        if observed.native["guard_failed"]:
            return Failed("alarm errors-high went off")
        return Send((self._create(desired.deployments[0], desired.physical_name, "GuardedUpdate"),))

    def _deployed(self, desired, observed):
        missing = [each for each in desired.deployments if observed.deployment(each.name) is None]
        if missing:
            return Send(tuple(self._create(each, desired.physical_name) for each in missing))
        wanted = [observed.deployment(each.name) for each in desired.deployments]
        failed = [each for each in wanted if each.state is EndpointState.FAILED]
        return Failed(f"{failed[0].name} failed: {failed[0].reason}") if failed else None

    def _ready(self, desired, observed):
        wanted = [observed.deployment(each.name) for each in desired.deployments]
        waited_for = [each.name for each in wanted if each.state is not EndpointState.READY]
        return Wait(f"{waited_for[0]} to become ready", 10.0) if waited_for else None

    def _routed(self, desired, observed):
        shares = {key: share for key, share in desired.traffic.items() if share}
        if shares == {key: share for key, share in observed.traffic.items() if share}:
            return None
        change = {"name": desired.physical_name, "traffic": shares, "etag": observed.etag}
        return Send((self._request("traffic", "SetTraffic", **change),))

    def _tidied(self, desired, observed):
        left = [each for each in observed.deployments if each.name not in desired.traffic]
        for each in left:
            if each.state is not EndpointState.DELETING:
                body = {"name": desired.physical_name, "deployment": each.name}
                return Send((self._request(f"delete-{each.name}", "DeleteDeployment", **body),))
        return Wait(f"{left[0].name} to go", 2.0) if left else None

    def _create(self, each, name, operation="CreateDeployment"):
        body = {"name": name, "deployment": each.name}
        lookup = Lookup(Request("look", "fake", "DescribeDeployment", body, effect=False))
        return self._request(
            f"create-{each.name}",
            operation,
            lookup,
            **body,
            version=each.version,
            digest=each.digest,
            replicas=each.replicas,
        )

    def _request(self, step, operation, lookup=None, **body):
        return Request(step, "fake", operation, body, lookup=lookup, repeatable=True)

    def list_endpoints(self, _environment, token):
        return Request("list", "fake", "List", {"token": token}, effect=False)

    def health(self, endpoint, deployment, since, _environment):
        body = {"name": endpoint.physical_name, "deployment": deployment, "since": since.isoformat()}
        return (Request("health", "fake", "Health", body, effect=False),)

    def invoke(self, endpoint, deployment, body, _content_type, _environment):
        content = base64.b64encode(body).decode()
        body = {"name": endpoint.physical_name, "deployment": deployment, "body": content}
        return Request("invoke", "fake", "Invoke", body, effect=False)

    def invoke_later(self, endpoint, source, _content_type, _environment, *, time_limit):
        body = {"name": endpoint.physical_name, "source": source, "time_limit": time_limit}
        return Request("invoke", "fake", "InvokeLater", body, effect=False)

    def logs(self, endpoint, deployment, _environment, token):
        body = {"name": endpoint.physical_name, "deployment": deployment, "token": token}
        return Request("logs", "fake", "Logs", body, effect=False)

    def snippets(self, _endpoint, example, _environment):
        return Snippets(curl=f"curl -d '{json.dumps(example)}'", python="")

    def console_url(self, endpoint, _environment):
        return f"https://console.example/{endpoint.physical_name}"


class Observer:
    """The adapter's reading part."""

    def endpoint(self, replies, environment):
        reply = replies["endpoint"]
        return None if reply is None else self._endpoint(reply, environment)

    def _endpoint(self, reply, environment):
        return EndpointObservation(
            native_id=reply["name"],
            name=reply["name"].removesuffix(f"-{environment.suffix}"),
            physical_name=reply["name"],
            state=EndpointState(reply["state"]),
            deployments=tuple(
                DeploymentObservation(**{**each, "state": EndpointState(each["state"])})
                for each in reply["deployments"]
            ),
            expires=datetime.fromisoformat(reply["expires"]) if reply["expires"] else None,
            owned_by_stack=reply["owned_by_stack"],
            etag=reply.get("etag", ""),
            tags=reply["tags"],
            asynchronous=reply["asynchronous"],
            native={"guard_failed": reply.get("guard_failed", False)},
        )

    def endpoints(self, reply, environment):
        return EndpointPage(tuple(self._endpoint(each, environment) for each in reply["endpoints"]), reply["token"])

    def health(self, replies, since, _environment):
        reply = replies["health"]
        as_of = EPOCH + timedelta(seconds=reply["as_of"])
        latency = reply["p99"] if reply["requests"] else None
        return Health(since, as_of, reply["requests"], reply["errors"], p50=latency, p99=latency)

    def deferred(self, reply, _environment):
        return Deferred(reply["answers"], reply["failures"])

    def failure(self, content, _environment):
        return Invocation(400 if b"rows" in content else 500, content)

    def invocation(self, reply, _environment):
        return Invocation(reply["status"], reply["body"].encode(), deployment=reply["deployment"])

    def capture(self, record, key):
        return record | {"read_from": key} if "strange" in record else record

    def endpoint_logs(self, reply, _environment):
        return LogPage(tuple(LogLine(EPOCH, "replica-0", text) for text in reply["lines"]), reply["token"])


class FakeClient:
    """One process's connection to the platform."""

    def __init__(self, world, faults, principal):
        self._world = world
        self._faults = faults
        self._principal = principal

    def caller(self):
        return Caller(account="here", principal=self._principal)

    def send(self, request):
        return self._faults.call(request.operation, lambda: self._world.platform.answer(request))

    def store(self, _name="artefacts"):
        world = self._world
        return MemoryStore(world.objects, self._faults, world.clock, world.platform.deliver)


def _expires(endpoint):
    return endpoint.expires.isoformat() if endpoint.expires else None
