"""The platform in memory, its store, and processes that work on them one after the other."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from types import SimpleNamespace

from mlinfra.contract.capabilities import NATIVE, Capability, absent
from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import VersionObservation
from mlinfra.contract.states import VersionState
from mlinfra.engine.deploy import deploy
from mlinfra.engine.deployments import Served
from mlinfra.engine.folders import Folders
from mlinfra.engine.pacer import Pacer
from mlinfra.engine.session import Session
from mlinfra.environment import Environment
from mlinfra.spec import EndpointSpec

from .machine import FakeClock, Faults, QuickJournal
from .memory_adapter import FakeClient, Observer, Renderer
from .memory_platform import NAME, Platform, predictions

DEAD_PID = 2**22 + 1  # above the largest that Linux hands out


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
