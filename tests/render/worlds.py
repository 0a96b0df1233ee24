"""The engine's loop as a procedure of endpoints sees it, over a cloud's small pure model; wishes for one endpoint.

A cloud's own conftest supplies `cloud`: `platform` makes its model, `environment` an environment, `renderer` and
`observer` are its adapter's; `artefacts`, `native_model`, `shell`, `left_over`, `is_shown` and `names` are its own.
"""

from contextlib import suppress
from dataclasses import replace

from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired
from mlinfra.contract.jobs import ID_TAG, Artefact
from mlinfra.contract.requests import dig, found
from mlinfra.contract.steps import Done, Failed, Send, Wait
from mlinfra.errors import Conflict, NotFound, Throttled, Unavailable
from mlinfra.spec import EndpointSpec


class Killed(BaseException):
    """The process is gone."""


class Engine:
    """The engine's loop, as far as a procedure sees it; `faults` says what happens to the nth effect."""

    def __init__(self, cloud, platform, environment, faults=()):
        self.cloud, self.platform, self.environment = cloud, platform, environment
        self.faults = dict(faults)
        self.count = 0
        self.followed = []

    def look(self, name):
        replies = {}
        for request in self.cloud.renderer.observe(name, self.environment):
            known = {step: reply for step, reply in replies.items() if reply is not None}
            replies[request.step] = None
            if request.refs <= known.keys():
                with suppress(NotFound):
                    replies[request.step] = self.platform.send(request.resolve(known))
        return self.cloud.observer.endpoint(replies, self.environment)

    def step(self, desired):
        while self.followed:
            follow, request = self.followed[0]
            answer = self.platform.send(request)
            if "error" in answer:
                self.followed.clear()
                return Failed(dig(answer, follow.error))
            if not answer.get(follow.over):
                return Wait("it to end", follow.every)
            del self.followed[0]
        observed = self.look(desired.physical_name)
        step = self.cloud.renderer.next_step(desired, observed, self.environment)
        if isinstance(step, Done) and not self.cloud.is_shown(observed, desired):
            return Wait("it to show", 2.0)
        return step

    def reach(self, desired, rounds=900):
        """The last step: Done, or Failed."""
        self.platform.going = desired.absent  # by which a model judges what is lost on the way
        for _ in range(rounds):
            step = self.step(desired)
            if isinstance(step, Done | Failed):
                return step
            if isinstance(step, Wait):
                self.platform.advance(step.poll_after)
                continue
            assert isinstance(step, Send)
            try:
                replies = {}
                for request in step.requests:
                    replies[request.step] = self.effect(request.resolve(replies))
            except Killed:
                self.followed.clear()
                self.platform.advance(1.0)
            except (Conflict, Throttled, Unavailable):
                self.platform.advance(15.0)
        raise AssertionError(f"never there: {step}")

    def effect(self, request):
        self.count += 1
        fault = self.faults.get(self.count)
        self.platform.advance(0.01)
        if fault == "killed before":
            raise Killed
        if fault == "throttled":
            raise Throttled("slow down", sent=False)
        reply = self._sent(request)
        if fault == "killed after":
            raise Killed
        if fault == "lost":
            reply = self.look_up(request)
            if reply is None:
                raise Unavailable("no answer")
        if request.follow and request.follow.over in reply:
            self.followed.append((request.follow, request.follow.request.resolve({request.step: reply})))
        return reply

    def _sent(self, request):
        """The reply; where it is done already, what stands for it."""
        try:
            return self.platform.send(request)
        except NotFound:
            if not request.operation.startswith(("Delete", "Deregister")):
                raise
            return {}
        except Conflict:
            reply = self.look_up(request)
            if reply is None:
                raise
            return reply

    def look_up(self, request):
        if request.lookup is None:
            return None
        try:
            return found(request.lookup, self.platform.send(request.lookup.request))
        except NotFound:
            return None


class World:
    """One endpoint and the wishes for it."""

    def __init__(self, cloud, **fields):
        self.cloud = cloud
        self.platform = cloud.platform()
        self.environment = cloud.environment(**fields)
        self.name = cloud.renderer.physical_name("credit-risk", self.environment)

    def engine(self, faults=()):
        return Engine(self.cloud, self.platform, self.environment, faults)

    def deployment(self, version, traffic=100, **changes):
        digest = f"sha256:{version:064x}"
        name = f"main-{version:08x}"
        server = {"endpoint": "credit-risk", "deployment": name, "name": "credit-risk", "digest": digest}
        made = DeploymentDesired(
            name=name,
            variant="main",
            model="credit-risk",
            version=str(version),
            digest=digest,
            native_model=self.cloud.native_model(version),
            artefact=Artefact(f"{self.cloud.artefacts}/models/{digest[7:]}", digest, 1, is_folder=True),
            traffic=traffic,
            replicas=1,
            server=server,
            tags={ID_TAG: f"{version:040x}"},
        )
        return replace(made, **changes)

    def desired(self, shares=None, *, deployments=None, expires=None, shadow=None, guard=None, **spec):
        """Shares by version; nothing at all is an endpoint that should be gone."""
        chosen = deployments or tuple(self.deployment(version, share) for version, share in (shares or {}).items())
        return EndpointDesired(
            spec=EndpointSpec.from_document({"name": "credit-risk", "model": "credit-risk:1", **spec}),
            name="credit-risk",
            physical_name=self.name,
            deployments=tuple(chosen),
            shadow=shadow,
            guard=guard,
            expires=expires,
            tags={**self.environment.tags, ID_TAG: "0" * 40},
        )

    def reach(self, shares=None, *, faults=(), **fields):
        return self.engine(faults).reach(self.desired(shares, **fields))

    def look(self):
        return self.engine().look(self.name)

    def shell(self, *own_id):
        """A stack's endpoint, of that id where the environment names one."""
        self.platform.endpoint = self.cloud.shell(self.name, *own_id)

    @property
    def shares(self):
        """Version -> percent, as the adapter reads it back."""
        observed = self.look()
        return {int(each.version): each.traffic for each in observed.deployments} if observed else {}

    @property
    def left_over(self):
        """What was made and is not used: nothing, when all is well."""
        return self.cloud.left_over(self.platform)
