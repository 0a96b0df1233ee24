"""CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint, UpdateEndpointWeightsAndCapacities, DeleteEndpoint.

A call is checked and answered at once; what follows is a procedure in a thread of its own. Names are compared without
their case, as CreateEndpoint's documentation says.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.endpoints import records
from mlinfra.emulator.aws.endpoints.attendant import EndpointAttendant
from mlinfra.emulator.aws.endpoints.containers import ServingImages
from mlinfra.emulator.aws.endpoints.deployments import Deployments
from mlinfra.emulator.aws.endpoints.describe import described
from mlinfra.emulator.aws.endpoints.fleets import Fleets
from mlinfra.emulator.aws.endpoints.plans import VariantPlan, instances
from mlinfra.emulator.aws.endpoints.procedures import DELAYS, Procedures
from mlinfra.emulator.aws.endpoints.strategy import Strategy, Unfit, strategy
from mlinfra.emulator.aws.operations import Operation, named
from mlinfra.emulator.aws.paging import Listing
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Call
from mlinfra.emulator.delays import Delays
from mlinfra.emulator.hosting.waiting import Stopped, Waiting
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.endpoints.configs import EndpointConfig
    from mlinfra.emulator.aws.endpoints.records import Endpoint, Generation
    from mlinfra.emulator.aws.operations import Request
    from mlinfra.emulator.calls import Refusal

_log = logging.getLogger(__name__)

KIND = "endpoint"
QUOTA = "{type} for endpoint usage"
PROVISIONING = "Endpoint:Provisioning"  # what a fault's rule calls the moment at which instances are launched
_LISTING = Listing(
    "Endpoints",
    "EndpointName",
    orders={"Name": "", "CreationTime": "CreationTime", "Status": "EndpointStatus"},
    equals={"StatusEquals": "EndpointStatus"},
)
_LOOK_AT_ALARMS = "cloudwatch:DescribeAlarms"
_INTERNAL = "Request to service failed. If failure persists after retry, contact customer support."
_STOPPING = 4.0  # real s in which procedures end when the emulator stops


class Endpoints:
    """The endpoints of the account, and the threads that move them."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self._stop = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._table: Table[Endpoint] = Table(emulator.clock, emulator.settings.list_lag)
        self.waiting = Waiting(emulator.clock, self._stop)
        self.delays = Delays(DELAYS, emulator.settings.delays_scale)
        self.images = ServingImages(emulator.registry)
        self.fleets = Fleets(emulator.folder / "endpoints", self.waiting, emulator.storage.read, self._objects_below)
        self._deployments = Deployments(emulator, self.images)
        self._procedures = Procedures(
            self.waiting, self.delays, self.fleets, emulator.cloudwatch.raised_since, self._has_capacity
        )
        self._attendant = EndpointAttendant(emulator, self, self._stop)
        self.fleets.before_end = self._attendant.carry_logs
        emulator.cloudwatch.before_reading.append(self.publish)

    # What other parts ask

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of that name in any case, None where there is none."""
        return self._table.get(name.lower())

    def get(self, name: str) -> Endpoint:
        """The same. Refusal where there is none."""
        found = self.find(name)
        if found is None:
            raise refusals.could_not_find(KIND, self._arn(name))
        return found

    def items(self) -> list[Endpoint]:
        """Every endpoint there is."""
        return self._table.values()

    def leftovers(self) -> list[str]:
        """The ARNs of every endpoint there is."""
        return [endpoint.arn for endpoint in self.items()]

    def publish(self) -> None:
        """Publish the metrics of the periods that have ended."""
        now = self._emulator.clock.now()
        for endpoint in self.items():
            endpoint.meter.publish(now)

    def stop(self) -> None:
        """End every procedure, thread and process. Blocks until they have."""
        self._stop.set()
        self._attendant.stop()
        for thread in list(self._threads):
            thread.join(_STOPPING)
        self._attendant.end_all()

    # Operations

    def create(self, request: Request) -> dict[str, Any]:
        """CreateEndpoint."""
        body, name = request.body, request.body["EndpointName"]
        config = self._config(request)
        endpoint = self._deployments.endpoint(name, config)
        generation = self._deployments.generation(endpoint, config)
        self._strategy(body.get("DeploymentConfig"), generation)
        self._emulator.tags.check(body.get("Tags", ()))
        with self._table.lock:
            if name.lower() in self._table:
                raise refusals.already_exists(KIND, self._arn(name))
            self._check_quota(_plans(generation))
            endpoint.pending = generation
            endpoint.last_deployment = body.get("DeploymentConfig")
            self._table.add(name.lower(), endpoint)
        self._emulator.tags.put(endpoint.arn, body.get("Tags", ()))
        self._run(endpoint, lambda: self._procedures.create(endpoint, generation))
        return {"EndpointArn": endpoint.arn}

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeEndpoint."""
        return described(self.get(request.body["EndpointName"]))

    def list_(self, request: Request) -> dict[str, Any]:
        """ListEndpoints."""
        entries = [
            {
                "EndpointName": each.name,
                "EndpointArn": each.arn,
                "CreationTime": each.created,
                "LastModifiedTime": each.modified,
                "EndpointStatus": each.status,
            }
            for each in self._table.listed()
        ]
        return _LISTING.answer(entries, request.body)

    def update(self, request: Request) -> dict[str, Any]:
        """UpdateEndpoint."""
        body = request.body
        endpoint = self.get(body["EndpointName"])
        config = self._config(request)
        with endpoint.lock:
            self._check_idle(endpoint)
            generation = self._deployments.generation(endpoint, config, retained=body)
            self._check_scaling(endpoint, generation)
            wanted = body.get("DeploymentConfig")
            if body.get("RetainDeploymentConfig") and wanted is None:
                wanted = endpoint.last_deployment
            plan = self._strategy(wanted, generation)
            if not plan.rolling:
                self._check_quota(_plans(generation))
            endpoint.pending = generation
            endpoint.last_deployment = wanted
            endpoint.become(records.UPDATING, self._emulator.clock.now())
        self._run(endpoint, lambda: self._procedures.update(endpoint, generation, plan))
        return {"EndpointArn": endpoint.arn}

    def resize(self, request: Request) -> dict[str, Any]:
        """UpdateEndpointWeightsAndCapacities."""
        endpoint = self.get(request.body["EndpointName"])
        self.adjust(endpoint, request.body["DesiredWeightsAndCapacities"])
        return {"EndpointArn": endpoint.arn}

    def adjust(self, endpoint: Endpoint, wishes: Sequence[Mapping[str, Any]]) -> None:
        """Change weights and numbers of instances, as the call or a scaling policy wants it.

        Raises:
            Refusal: something is under way, or there is no such variant.
        """
        with endpoint.lock:
            self._check_idle(endpoint)
            before = self._deployments.wish(endpoint, wishes, self._check_quota)
            endpoint.become(records.UPDATING, self._emulator.clock.now())
        self._run(endpoint, lambda: self._procedures.resize(endpoint, *before))

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteEndpoint."""
        endpoint = self.get(request.body["EndpointName"])
        with endpoint.lock:
            if endpoint.status in records.BUSY:
                raise self._in_progress(endpoint)
            endpoint.become(records.DELETING, self._emulator.clock.now())
        self._run(endpoint, lambda: self._delete(endpoint))
        return {}

    # The parts

    def _config(self, request: Request) -> EndpointConfig:
        """The configuration that a request names; the permission is asked on it as well as on the endpoint."""
        name = request.body["EndpointConfigName"]
        self._emulator.desk.allow(request.call, request.call.action, self._emulator.arn("endpoint-config", name))
        return self._emulator.endpoint_configs.get(name)

    def _delete(self, endpoint: Endpoint) -> None:
        self._procedures.delete(endpoint)
        endpoint.close()
        self.fleets.forget(endpoint)
        endpoint.meter.publish(self._emulator.clock.now(), everything=True)
        self._table.remove(endpoint.name.lower())
        self._emulator.tags.drop(endpoint.arn)

    def _run(self, endpoint: Endpoint, procedure: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(endpoint, procedure), name=f"endpoint {endpoint.name}")
        thread.daemon = True
        self._threads.add(thread)
        thread.start()

    def _guarded(self, endpoint: Endpoint, procedure: Callable[[], None]) -> None:
        try:
            procedure()
        except Stopped:
            pass
        except Exception:  # noqa: BLE001  a thread's fault must not look like an endpoint that is still at work
            _log.exception("the endpoint %s met a fault of the emulator", endpoint.name)
            endpoint.become(records.FAILED, self._emulator.clock.now(), _INTERNAL)
        finally:
            self._threads.discard(threading.current_thread())

    def _strategy(self, config: Mapping[str, Any] | None, generation: Generation) -> Strategy:
        """The steps of a deployment. Refusal where they do not suit the endpoint, or an alarm does not exist."""
        counts = {name: max(1, variant.plan.count) for name, variant in generation.variants.items()}
        try:
            plan = strategy(config, counts)
        except Unfit as exc:
            raise refusals.validation(str(exc)) from exc
        unknown = [alarm for alarm in plan.alarms if not self._emulator.cloudwatch.knows(alarm)]
        if unknown:
            raise refusals.validation(f"Could not find CloudWatch alarm(s): {', '.join(unknown)}.")
        role = next(iter(generation.variants.values())).container.role
        for alarm in plan.alarms:
            self._check_alarm(alarm, role)
        return plan

    def _check_alarm(self, alarm: str, role: str) -> None:
        """Refuse an alarm that the execution role may not look at, as the guide on deployment guardrails asks for."""
        arn = self._emulator.place.arn("cloudwatch", f"alarm:{alarm}")
        allowed = self._emulator.policy.decide(role, _LOOK_AT_ALARMS, arn).allowed
        if self._emulator.desk.enforce and not allowed:
            raise refusals.validation(refusals.denial(role, _LOOK_AT_ALARMS, arn))

    def _check_idle(self, endpoint: Endpoint) -> None:
        if endpoint.status in records.BUSY:
            raise self._in_progress(endpoint)
        if endpoint.status == records.FAILED:
            raise refusals.validation(f'Cannot update failed endpoint "{endpoint.arn}". Delete it instead.')

    def _check_scaling(self, endpoint: Endpoint, generation: Generation) -> None:
        """Refuse to remove a variant, or change its instance type, while it is a scalable target."""
        serving = endpoint.serving.variants if endpoint.serving else {}
        kept = {
            name
            for name, variant in generation.variants.items()
            if name in serving and serving[name].plan.instance_type == variant.plan.instance_type
        }
        targets = self._emulator.autoscaling.targets(endpoint.name)
        going = [name for name in serving if name not in kept and name in targets]
        if going:
            raise refusals.validation(
                f'The variant(s) "[{", ".join(going)}]" must be deregistered as scalable targets with AWS Auto Scaling '
                "before they can be removed or have their instance type updated."
            )

    def _check_quota(self, more: Sequence[VariantPlan]) -> None:
        """Refuse instances beyond the account's limits. Both fleets of an update count while they both run."""
        used = instances([variant.plan for endpoint in self.items() for variant in endpoint.fleets])
        for kind, count in instances(more).items():
            name = QUOTA.format(type=kind)
            if not self._emulator.quotas.fits(name, used.get(kind, 0), count):
                limit = self._emulator.quotas.ceiling_of(name) or 0
                raise refusals.limit_exceeded(name, limit, used.get(kind, 0), count)

    def _has_capacity(self, endpoint: Endpoint) -> bool:
        """Whether instances are to be had: a script of faults may say otherwise, by a rule for `PROVISIONING`."""
        if not any(rule.operation == PROVISIONING for rule, _ in self._emulator.faults.rules()):
            return True
        call = Call("sagemaker", PROVISIONING, body={"EndpointName": endpoint.name})
        return not any(fault.code == "capacity" for fault in self._emulator.faults.striking(call))

    def _in_progress(self, endpoint: Endpoint) -> Refusal:
        return refusals.validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')

    def _objects_below(self, uri: str, role: str) -> list[str]:
        bucket = uri.split("/")[2]
        return [found.uri(bucket) for found in self._emulator.storage.list(uri, role)]

    def _arn(self, name: str) -> str:
        return self._emulator.arn("endpoint", name)


def _plans(generation: Generation) -> list[VariantPlan]:
    return [variant.plan for variant in generation.fleets]


_RESOURCE = named("endpoint", "EndpointName")
OPERATIONS = (
    Operation(
        "CreateEndpoint",
        lambda emulator, request: emulator.endpoints.create(request),
        _RESOURCE,
        (
            "an instance is a process with a port of its own, named in SAGEMAKER_BIND_TO_PORT, instead of 8080",
            "an image stands for a program that was registered with it; every other image answers 'not emulated'",
            "DeployedImages repeats the image as it was specified; a tag is not resolved to a digest",
            "inference pipelines, multi-model containers and inference components answer 'not emulated'",
            "the role's keys are in AWS_* variables; EnableNetworkIsolation leaves them out, and the network open",
            "a container that ends three times before it is ready fails its variant without waiting for the time-out",
            "a variant is ready at its first health check of 200; one that stops answering is started again",
        ),
    ),
    Operation("DescribeEndpoint", lambda emulator, request: emulator.endpoints.describe(request), _RESOURCE),
    Operation("ListEndpoints", lambda emulator, request: emulator.endpoints.list_(request)),
    Operation(
        "UpdateEndpoint",
        lambda emulator, request: emulator.endpoints.update(request),
        _RESOURCE,
        (
            "a canary or linear share of the capacity is exactly that share of the requests, not whole instances'",
            "an update that fails or is rolled back ends InService with the old configuration and a FailureReason",
            "OutOfService and SystemUpdating are never entered",
        ),
    ),
    Operation(
        "UpdateEndpointWeightsAndCapacities",
        lambda emulator, request: emulator.endpoints.resize(request),
        _RESOURCE,
    ),
    Operation(
        "DeleteEndpoint",
        lambda emulator, request: emulator.endpoints.delete(request),
        _RESOURCE,
        ("refused while the endpoint is being created or updated, as an in-progress endpoint",),
    ),
)
