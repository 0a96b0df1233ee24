"""Azure ML's updates under load, in real time: an emulator in a process of its own and 200 requests a second.

A version that never becomes ready costs nobody a request. One that answers errors costs those of its share alone, and
traffic is back by the end of the first metric period in which it had 50 requests, the platform's metric delay apart.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from mlinfra.emulator import manage
from mlinfra.emulator.settings import Settings
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete
from mlinfra.engine.endpoints import find
from mlinfra.engine.health import health
from mlinfra.engine.rollout_records import Ledger
from mlinfra.engine.session import open_session
from mlinfra.environment import parse
from mlinfra.errors import DeploymentFailed, RolledBack
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import ROLLOUT, champion, endpoint, register_broken, register_stillborn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.engine.folders import Folders
    from mlinfra.engine.rollout import Rollout
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

pytestmark = pytest.mark.slow

RATE = 200.0  # requests a second
THREADS = 8
ENOUGH = 50
MODEL_ERROR = 424  # what Azure ML makes of a server's own error
FAILS_ON = {"x": 7.0}  # what the broken version cannot answer
CONTROL = 30.0  # s for a look at the figures, and for traffic to move back


@dataclass
class Load:
    """How requests went, by status; 0 is no answer at all."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return sum(self.statuses.values()) / self.seconds


@contextmanager
def under_load(session: Session, row: dict[str, Any]) -> Iterator[Load]:
    """Ask at a fixed rate, whatever the answers take, until the block ends: as users do, at the endpoint's own address.

    Their clients are Python's smallest, so that the machine's two processors are left to the emulator and the servers.
    """
    load, ended, lock = Load(), threading.Event(), threading.Lock()
    native = session.environment.native
    address = urlsplit(find(session, "slopes").url)
    body = json.dumps({"instances": [row]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {native['credentials']['token']}"}
    trusted = ssl.create_default_context(cafile=native["emulator"]["ca_file"])
    began = time.monotonic()
    slots = iter(range(1 << 60))

    def ask() -> None:
        connection = HTTPSConnection(address.hostname or "", address.port, timeout=60, context=trusted)
        while not ended.is_set():
            with lock:
                due = began + next(slots) / RATE
            ended.wait(max(0.0, due - time.monotonic()))
            try:
                connection.request("POST", address.path, body, headers)
                reply = connection.getresponse()
                reply.read()
                status = reply.status
            except (OSError, HTTPException):  # the request was not answered
                connection.close()
                status = 0
            with lock:
                load.statuses[status] += 1
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        load.seconds = time.monotonic() - began


class TestUnderLoad(Suite):
    @pytest.fixture
    def environment(self, tmp_path: Path) -> Iterator[Environment]:
        running = manage.start("azure", tmp_path / "emulator", Settings())
        try:
            yield parse(running.ask("environment")["environment"])
        finally:
            manage.stop(running)

    @pytest.fixture
    def session(self, environment: Environment, folders: Folders) -> Iterator[Session]:
        with open_session(environment, folders=folders, say=print) as session:
            yield session
            delete(session, "slopes")

    def test_a_version_that_never_becomes_ready_costs_nobody_a_request(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        register_stillborn(session, tmp_path)
        with under_load(session, FAILS_ON) as load, pytest.raises(DeploymentFailed):
            deploy(session, endpoint(rollout=ROLLOUT))
        print(  # noqa: T201  the figures are what the run is for
            f"never ready: {load.rate:.0f} requests/s for {load.seconds:.0f} s, {dict(load.statuses)}"
        )
        assert load.statuses.keys() == {200}

    def test_a_version_that_answers_errors_costs_its_share_and_goes_back_in_time(
        self, session: Session, tmp_path: Path
    ) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        (old,) = find(session, "slopes").traffic
        began = session.clock.now()
        register_broken(session, tmp_path)
        rollout = {**ROLLOUT, "bake": "10m"}
        with under_load(session, FAILS_ON) as load, pytest.raises(RolledBack):
            deploy(session, endpoint(rollout=rollout))
        session.clock.sleep(session.adapter.endpoints.METRIC_PERIOD + session.adapter.endpoints.METRIC_DELAY)
        observed, record = find(session, "slopes"), Ledger.open(session, "slopes").book.rollout
        assert record is not None
        served = health(session, observed, old, began)
        reached, back = _moment(record, "reached"), _moment(record, "traffic is back")
        print(  # noqa: T201  see above
            f"answers errors: {load.rate:.0f} requests/s for {load.seconds:.0f} s, {dict(load.statuses)}; "
            f"10 % reached {reached:%H:%M:%S}, back {back:%H:%M:%S}; old {served}"
        )
        assert load.statuses.keys() == {200, MODEL_ERROR}
        assert served.errors == 0
        assert load.statuses[200] <= served.requests
        assert load.statuses[MODEL_ERROR] / load.statuses.total() < 0.12
        assert back <= self.first_period_with_enough(session, reached, load.rate) + self.delay(session)

    @staticmethod
    def first_period_with_enough(session: Session, reached: Any, rate: float) -> Any:
        """The end of the first metric period by which the new version had 50 requests at its tenth."""
        period = session.adapter.endpoints.METRIC_PERIOD
        enough = reached + timedelta(seconds=ENOUGH / (rate / 10))
        return enough + timedelta(seconds=period - enough.timestamp() % period)

    @staticmethod
    def delay(session: Session) -> timedelta:
        return timedelta(seconds=session.adapter.endpoints.METRIC_DELAY + CONTROL)


def _moment(record: Rollout, verb: str) -> Any:
    return next(each.time for each in record.decisions if each.verb == verb)
