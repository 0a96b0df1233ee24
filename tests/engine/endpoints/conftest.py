"""A platform in memory with a clock of its own: endpoints that take time, lie, lag and fail as a script says.

It answers users all the time, so that a test can tell how many of them a rollout has hurt.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra.contract.adapter import Caller
from mlinfra.contract.capabilities import NATIVE, Capability, absent
from mlinfra.contract.endpoints import (
    Deferred,
    DeploymentObservation,
    EndpointObservation,
    EndpointPage,
    Invocation,
    Snippets,
)
from mlinfra.contract.health import Health
from mlinfra.contract.jobs import Artefact, Choice, LogLine, LogPage
from mlinfra.contract.models import VersionObservation
from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import EndpointState, VersionState
from mlinfra.contract.steps import Done, Failed, Send, Wait
from mlinfra.contract.store import ObjectInfo
from mlinfra.engine import deploy as deploy_module
from mlinfra.engine.deploy import deploy
from mlinfra.engine.deployments import Served
from mlinfra.engine.folders import Folders
from mlinfra.engine.journal import Journal
from mlinfra.engine.pacer import Pacer
from mlinfra.engine.session import Session
from mlinfra.environment import Environment
from mlinfra.errors import Conflict, NotFound, Unavailable
from mlinfra.spec import EndpointSpec

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
DEAD_PID = 2**22 + 1  # above the largest that Linux hands out
NAME = "credit-risk"


class Killed(BaseException):
    """The process is gone: nothing that it would still do happens."""


class FakeClock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return EPOCH + timedelta(seconds=self.time)

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        self.time += max(0.0, seconds)


class Faults:
    """What happens to one process's calls: killed at the nth, before or after its effect; answers get lost."""

    def __init__(self):
        self.calls = []
        self.kill_at = None
        self.after = False
        self.dead = False
        self.script = {}  # number of the call -> what happens to it: "lost", "refused"
        self.on_call = lambda _operation: None

    def call(self, operation, effect):
        if self.dead:
            raise Killed
        self.calls.append(operation)
        self.on_call(operation)
        number = len(self.calls)
        hit = number == self.kill_at
        self.dead = hit
        if hit and not self.after:
            raise Killed
        fault = self.script.get(number)
        if fault == "refused":
            raise Unavailable(f"{operation}: no connection", sent=False)
        result = effect()
        if hit:
            raise Killed
        if fault == "lost":
            raise Unavailable(f"{operation}: no answer")
        return result


class QuickJournal(Journal):
    """The journal without its waits for the disk, which no test here takes away."""

    @contextmanager
    def _transaction(self):
        db = sqlite3.connect(self._path)
        try:
            db.execute("PRAGMA synchronous = OFF")
            with db:
                yield db
        finally:
            db.close()


class MemoryStore:
    """Objects with compare-and-swap; one dictionary is shared by all clients."""

    def __init__(self, objects, faults, clock, deliver=lambda: None):
        self._objects = objects
        self._deliver = deliver
        self._faults = faults
        self._clock = clock
        self._versions = itertools.count()

    def uri(self, key):
        return f"memory://store/{key}"

    def key(self, uri):
        return uri.removeprefix("memory://store/")

    def put(self, key, content, *, if_absent=False, if_match=None, **_metadata):
        return self._faults.call("put", lambda: self._put(key, content, if_absent, if_match))

    def _put(self, key, content, if_absent, if_match):
        held = self._objects.get(key)
        if (if_absent and held) or (if_match is not None and (held is None or held[1] != if_match)):
            raise Conflict("somebody else was quicker", given=key)
        etag = hashlib.sha256(
            f"{key}{content!r}{self._clock.time}{id(self)}{next(self._versions)}".encode()
        ).hexdigest()
        self._objects[key] = (content, etag)
        return self._info(key)

    def get(self, key):
        return self._faults.call("get", lambda: self._get(key))

    def _get(self, key):
        if key not in self._objects:
            raise NotFound("no such object", given=key)
        return self._objects[key][0]

    def head(self, key):
        self._deliver()
        return self._faults.call("head", lambda: self._info(key) if key in self._objects else None)

    def list(self, prefix):
        return iter([self._info(key) for key in sorted(self._objects) if key.startswith(prefix)])

    def delete(self, key):
        self._faults.call("delete", lambda: self._objects.pop(key, None))

    def _info(self, key):
        content, etag = self._objects[key]
        return ObjectInfo(key, len(content), etag, self._clock.now())


@dataclass
class Behaviour:
    """How the deployments of one model version turn out."""

    ready_after: float | None = 30.0  # None: never
    fails_after: float | None = None
    dies_at: float | None = None  # seconds after it was ready
    error_share: float = 0.0
    errors_from: float = 0.0  # seconds after it was ready
    p99: float = 0.05
    predictions: Any = None  # what it answers in place of the model's own predictions
    status: int = 200


@dataclass
class FakeDeployment:
    name: str
    version: str
    digest: str
    replicas: int
    made: float
    behaviour: Behaviour
    removed_at: float | None = None

    def state(self, now):
        age = now - self.made
        behaviour = self.behaviour
        if self.removed_at is not None:
            return EndpointState.DELETING
        if behaviour.fails_after is not None and age >= behaviour.fails_after:
            return EndpointState.FAILED
        if behaviour.ready_after is None or age < behaviour.ready_after:
            return EndpointState.CREATING
        if behaviour.dies_at is not None and age >= behaviour.ready_after + behaviour.dies_at:
            return EndpointState.FAILED
        return EndpointState.READY


@dataclass
class Served0:
    """Traffic as it really was: from when, and which share each deployment had."""

    start: float
    shares: dict[str, int]


@dataclass
class FakeEndpoint:
    physical_name: str
    made: float
    deployments: dict[str, FakeDeployment] = field(default_factory=dict)
    history: list[Served0] = field(default_factory=list)
    expires: str | None = None
    removed_at: float | None = None
    owned_by_stack: bool = False
    guard_failed: bool = False
    tags: dict[str, str] = field(default_factory=lambda: {"mlinfra_id": "0" * 40})

    @property
    def shares(self):
        return self.history[-1].shares if self.history else {}


class Platform:
    """The truth. Answers `rate` requests a second of users, split by the traffic as it is at each moment."""

    METRIC_PERIOD = 60.0
    METRIC_DELAY = 30.0

    def __init__(self, clock):
        self.clock = clock
        self.endpoints = {}
        self.behaviours = {}
        self.rate = 10.0
        self.lag = 0.0
        self.create_delay = 5.0
        self.delete_delay = 3.0
        self.metrics_fail = False
        self.metrics_silent = False
        self.guard_fails = False
        self.tells_digests = True
        self.printed = [f"line {index}" for index in range(5)]
        self.asked_of = []
        self.queue = None  # answers on their way, where endpoints are asynchronous: when, key, content
        self.objects = {}
        self.answers_after = 3.0
        self.time_limits = []
        self.created = []
        self.wrongs = []
        self.sent = []

    def answer(self, request):
        self._sweep()
        self.deliver()
        if request.effect:
            self.sent.append(request.operation)
        return OPERATIONS[request.operation](self, **request.body)

    def _sweep(self):
        now = self.clock.time
        for key, endpoint in list(self.endpoints.items()):
            for name, each in list(endpoint.deployments.items()):
                if each.removed_at is not None and now >= each.removed_at:
                    del endpoint.deployments[name]
            if endpoint.removed_at is not None and now >= endpoint.removed_at:
                del self.endpoints[key]

    def _endpoint(self, name):
        if name not in self.endpoints:
            raise NotFound("no such endpoint", given=name)
        return self.endpoints[name]

    def describe(self, name):
        now, endpoint = self.clock.time, self._endpoint(name)
        ended = bool(endpoint.expires) and datetime.fromisoformat(endpoint.expires) <= self.clock.now()
        shown = next((each.shares for each in reversed(endpoint.history) if each.start + self.lag <= now), {})
        return {
            "name": name,
            "state": "deleting" if endpoint.removed_at is not None else self._state(endpoint),
            "expires": endpoint.expires,
            "owned_by_stack": endpoint.owned_by_stack,
            "etag": str(now),
            "tags": endpoint.tags,
            "guard_failed": endpoint.guard_failed,
            "asynchronous": self.queue is not None,
            "deployments": [
                {
                    "name": each.name,
                    "state": "unknown" if ended else each.state(now).value,
                    "traffic": shown.get(each.name, 0),
                    "replicas": each.replicas,
                    "digest": each.digest if self.tells_digests else "",
                    "model": NAME,
                    "version": each.version,
                    "reason": "exit code 1" if each.state(now) is EndpointState.FAILED else "",
                }
                for each in endpoint.deployments.values()
            ],
        }

    def _state(self, endpoint):
        return "creating" if self.clock.time < endpoint.made + self.create_delay else "ready"

    def describe_deployment(self, name, deployment):
        endpoint = self._endpoint(name)
        if deployment not in endpoint.deployments:
            raise NotFound("no such deployment", given=deployment)
        return {"name": deployment}

    def create_endpoint(self, name, expires):
        if name in self.endpoints:
            raise Conflict("the endpoint exists", given=name)
        self.endpoints[name] = FakeEndpoint(name, self.clock.time, expires=expires)
        return {"name": name}

    def update_endpoint(self, name, expires):
        self._endpoint(name).expires = expires
        return {"name": name}

    def create_deployment(self, name, deployment, version, digest, replicas):
        endpoint = self._endpoint(name)
        if deployment in endpoint.deployments:
            raise Conflict("the deployment exists", given=deployment)
        self.created.append(deployment)
        behaviour = self.behaviours.get(version, Behaviour())
        endpoint.deployments[deployment] = FakeDeployment(
            deployment, version, digest, replicas, self.clock.time, behaviour
        )
        return {"name": deployment}

    def set_traffic(self, name, traffic, etag=""):  # noqa: ARG002  nobody else writes here
        endpoint, now = self._endpoint(name), self.clock.time
        if sum(traffic.values()) != 100:
            self.wrongs.append(f"traffic sums to {sum(traffic.values())}")
        for deployment, share in traffic.items():
            found = endpoint.deployments.get(deployment)
            if share and (found is None or found.state(now) is not EndpointState.READY):
                self.wrongs.append(f"{share} % to {deployment}, which is not ready")
        endpoint.history.append(Served0(now, {key: share for key, share in traffic.items() if share}))
        return {"name": name}

    def delete_deployment(self, name, deployment):
        endpoint = self._endpoint(name)
        if deployment not in endpoint.deployments:
            raise NotFound("no such deployment", given=deployment)
        if endpoint.shares.get(deployment):
            self.wrongs.append(f"{deployment} was removed with {endpoint.shares[deployment]} % of the traffic")
        endpoint.deployments[deployment].removed_at = self.clock.time + self.delete_delay
        return {}

    def delete_endpoint(self, name):
        self._endpoint(name).removed_at = self.clock.time + self.delete_delay
        return {}

    def guarded_update(self, name, deployment, version, digest, replicas):
        """The platform's own blue/green: it makes the new one, shifts, watches, and goes back by itself."""
        endpoint = self._endpoint(name)
        if self.guard_fails:
            endpoint.guard_failed = True
            return {}
        self.created.append(deployment)
        behaviour = self.behaviours.get(version, Behaviour())
        made = FakeDeployment(deployment, version, digest, replicas, self.clock.time - 1000, behaviour)
        endpoint.deployments = {deployment: made}
        endpoint.history.append(Served0(self.clock.time, {deployment: 100}))
        return {}

    def health(self, name, deployment, since):
        if self.metrics_fail:
            raise Unavailable("metrics do not answer")
        start = datetime.fromisoformat(since).timestamp() - EPOCH.timestamp()
        whole = (self.clock.time - self.METRIC_DELAY) // self.METRIC_PERIOD * self.METRIC_PERIOD
        end = max(start, whole)
        counts = self.counts(self._endpoint(name), deployment, start, end)
        if self.metrics_silent:
            counts, end = (0, 0), start
        return {"as_of": end, "requests": counts[0], "errors": counts[1], "p99": self._p99(name, deployment)}

    def _p99(self, name, deployment):
        found = self.endpoints[name].deployments.get(deployment)
        return found.behaviour.p99 if found else None

    def counts(self, endpoint, deployment, start, end):
        """Requests and errors of a deployment between two moments."""
        requests = errors = 0.0
        found = endpoint.deployments.get(deployment)
        moments = [*(each.start for each in endpoint.history[1:]), float("inf")]
        for each, until in zip(endpoint.history, moments, strict=True):
            first, last = max(each.start, start), min(until, end)
            if last <= first or deployment not in each.shares:
                continue
            requests += self.rate * (last - first) * each.shares[deployment] / 100
            if found and found.behaviour.error_share:
                broken = found.made + (found.behaviour.ready_after or 0) + found.behaviour.errors_from
                bad = max(0.0, last - max(first, broken))
                errors += self.rate * bad * each.shares[deployment] / 100 * found.behaviour.error_share
        return int(requests + 1e-6), int(errors + 1e-6)

    def invoke(self, name, deployment, body):
        endpoint, now = self._endpoint(name), self.clock.time
        target = deployment or max(endpoint.shares, key=lambda key: endpoint.shares[key])
        if target not in endpoint.deployments:
            raise NotFound("no such deployment", given=target)
        found = endpoint.deployments[target]
        if found.state(now) is not EndpointState.READY:
            return {"status": 503, "body": json.dumps({"error": {"message": "not ready"}}), "deployment": target}
        if found.behaviour.status != 200:
            return {"status": found.behaviour.status, "body": '{"error": {"message": "boom"}}', "deployment": target}
        rows = json.loads(base64.b64decode(body))["instances"]
        bad = [
            {"row": index, "column": "age", "value": row["age"], "allowed": "18 to 120"}
            for index, row in enumerate(rows)
            if row["age"] > 120
        ]
        if bad:
            return {
                "status": 400,
                "body": json.dumps({"error": {"message": "refused", "rows": bad}}),
                "deployment": target,
            }
        own = found.behaviour.predictions
        answers = predictions(rows, found.digest) if own is None else own
        return {"status": 200, "body": json.dumps({"predictions": answers}), "deployment": target}

    def invoke_later(self, name, source, time_limit):
        self.time_limits.append(time_limit)
        key = source.removeprefix("memory://store/")
        told = self.invoke(name, None, base64.b64encode(self.objects[key][0]).decode())
        place = key.replace("questions", "answers" if told["status"] == 200 else "failures")
        self.queue.append((self.clock.time + self.answers_after, place, told["body"].encode()))
        return {kind: f"memory://store/{key.replace('questions', kind)}" for kind in ("answers", "failures")}

    def deliver(self):
        for each in [each for each in self.queue or () if each[0] <= self.clock.time]:
            self.queue.remove(each)
            self.objects[each[1]] = (each[2], "etag")

    def logs(self, name, deployment, token):
        self._endpoint(name)
        at = int(token or 0)
        texts = self.printed[at : at + 2]
        self.asked_of.append(deployment)
        return {"lines": texts, "token": str(at + len(texts))}

    def list_all(self, token):
        names = sorted(self.endpoints)
        at = int(token or 0)
        return {
            "endpoints": [self.describe(name) for name in names[at : at + 2]],
            "token": str(at + 2) if at + 2 < len(names) else None,
        }


OPERATIONS = {
    "Describe": Platform.describe,
    "DescribeDeployment": Platform.describe_deployment,
    "CreateEndpoint": Platform.create_endpoint,
    "UpdateEndpoint": Platform.update_endpoint,
    "CreateDeployment": Platform.create_deployment,
    "SetTraffic": Platform.set_traffic,
    "DeleteDeployment": Platform.delete_deployment,
    "DeleteEndpoint": Platform.delete_endpoint,
    "GuardedUpdate": Platform.guarded_update,
    "Health": Platform.health,
    "Invoke": Platform.invoke,
    "InvokeLater": Platform.invoke_later,
    "Logs": lambda platform, **body: platform.logs(**body),
    "List": lambda platform, **body: platform.list_all(**body),
}


def predictions(rows, digest):
    """What the model of that digest predicts."""
    factor = int(digest[-1], 16) + 1
    return [row["age"] / 7 * factor for row in rows]


def _expires(endpoint):
    return endpoint.expires.isoformat() if endpoint.expires else None


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


class World:
    """The platform, its store, and processes that work on them one after the other."""

    def __init__(self, folder, stage="dev"):
        self.clock = FakeClock()
        self.platform = Platform(self.clock)
        self.objects = self.platform.objects
        self.renderer = Renderer()
        self.capabilities = dict.fromkeys(Capability, NATIVE) | {Capability.ROLLOUT_NATIVE: absent("it has no guard")}
        self.folders = Folders(project=folder / "project", state=folder / "state").ensure()
        self.environment = Environment.model_validate(
            {
                "name": "fake-dev",
                "platform": "fake",
                "account": "here",
                "stage": stage,
                "images": {"serving": {"uri": "serving:1"}},
                "observability": {
                    "alarms": {
                        "error_rate above 1%": "errors-high",
                        "p99 above 500ms": "answers-slow",
                        "pager": "somebody-called",
                    }
                },
            }
        )
        self.said = []
        self.faults = Faults()
        self.approved = set()

    def session(self, principal="ada"):
        """A new process. Its predecessor's calls are its own affair."""
        self.faults = Faults()
        adapter = SimpleNamespace(
            platform="fake",
            capabilities=self.capabilities,
            endpoints=self.renderer,
            observe=Observer(),
            config=SimpleNamespace(QUOTAS={}, check_overrides=lambda _overrides, _environment: None),
        )
        return Session(
            environment=self.environment,
            adapter=adapter,
            client=FakeClient(self, self.faults, principal),
            folders=self.folders,
            journal=QuickJournal(self.folders.journal),
            pacer=Pacer(self.folders.pace("fake"), {}, self.clock),
            clock=self.clock,
            say=self.said.append,
        )

    def bury(self):
        """What the operating system does after a kill: the process id is nobody's any more."""
        with closing(sqlite3.connect(self.folders.journal)) as db, db:
            db.execute("UPDATE effects SET owner = ?", (DEAD_PID,))
        for key, (content, etag) in list(self.objects.items()):
            if key.startswith(("kit/leases/", "kit/claims/")):
                self.objects[key] = (json.dumps({**json.loads(content), "pid": DEAD_PID}).encode(), etag)

    def spec(self, version="1", **fields):
        model = {} if "deployments" in fields else {"model": f"{NAME}:{version}"}
        return EndpointSpec.from_document({"name": NAME, **model, **fields})

    def deploy(self, version="1", *, session=None, time_limit=None, **fields):
        return deploy(session or self.session(), self.spec(version, **fields), time_limit=time_limit)

    @property
    def endpoint(self):
        found = list(self.platform.endpoints.values())
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def shares(self):
        """Model version -> percent, as it really is."""
        endpoint = self.endpoint
        return (
            {endpoint.deployments[name].version: share for name, share in endpoint.shares.items()} if endpoint else {}
        )

    @property
    def versions(self):
        """The model versions that have a deployment."""
        self.platform._sweep()
        return sorted(each.version for each in self.endpoint.deployments.values()) if self.endpoint else []

    @property
    def record(self):
        return json.loads(self.objects[f"kit/rollouts/{NAME}.json"][0])

    def audit(self):
        """The verbs written down, in order."""
        keys = sorted(key for key in self.objects if key.startswith("kit/log/"))
        return [json.loads(self.objects[key][0])["verb"] for key in keys]


def version_of(reference):
    """A registered version: `credit-risk:3`."""
    model, _, number = str(reference).partition(":")
    digest = f"sha256:{int(number):064x}"
    return VersionObservation(
        native_id=f"registry/{model}/{number}",
        model=model,
        version=number,
        state=VersionState.READY,
        digest=digest,
        artefact=Artefact(f"memory://store/models/{digest[7:]}", digest, 1, is_folder=True),
    )


def served(reference, *, example=True):
    version = version_of(reference)
    rows = [{"age": 30}, {"age": 50}]
    stored = {"rows": rows, "predictions": predictions(rows, version.digest)}
    return Served(version, {"digest": version.digest, "example": stored if example else None})


@pytest.fixture
def registry(monkeypatch):
    """Every version is there, ready and approved."""
    calls = []

    def fake(session, spec):
        calls.append(spec.name)
        return {variant: served(each.model) for variant, each in spec.deployments.items()}

    monkeypatch.setattr(deploy_module, "served", fake)
    return calls


@pytest.fixture
def world(tmp_path, registry):
    return World(tmp_path)


@pytest.fixture
def new_world(tmp_path, registry):
    """Worlds, one after the other, for loops and properties."""
    numbers = itertools.count()
    return lambda **fields: World(tmp_path / str(next(numbers)), **fields)


@pytest.fixture
def kit():
    """Names for tests, which cannot import this file."""
    return SimpleNamespace(Behaviour=Behaviour, Killed=Killed, NAME=NAME, EPOCH=EPOCH, served=served, replace=replace)
