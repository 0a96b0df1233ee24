"""A platform in memory: endpoints that take time, lie, lag and fail as a script says.

It answers users all the time, so that a test can tell how many of them a rollout has hurt.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlinfra.contract.states import EndpointState
from mlinfra.errors import Conflict, NotFound, Unavailable

from .machine import EPOCH

NAME = "credit-risk"


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
