"""Updates under load on each cloud, in real time: an emulator in a process of its own and 200 requests a second.

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
from typing import TYPE_CHECKING, Any, NamedTuple
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
from mlinfra.errors import DeploymentFailed, MlinfraError, RolledBack
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import ROLLOUT, champion, endpoint, register_broken, register_stillborn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.engine.folders import Folders
    from mlinfra.engine.rollout import Rollout
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

pytestmark = pytest.mark.slow

RATE = 200.0  # requests a second
THREADS = 8
ENOUGH = 50
FAILS_ON = {"x": 7.0}  # what the broken version cannot answer


@dataclass
class Load:
    """How requests went, by status; 0 is no answer at all."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return sum(self.statuses.values()) / self.seconds


class Cloud(NamedTuple):
    """What differs: the status of a server's own error, and how many seconds a look and a change of traffic may take.

    `tells_the_gone`: its metrics still tell of a deployment that was taken away. `by_address`: whoever has the
    endpoint's address and a token may ask it.
    """

    error: int = 500
    control: float = 30.0
    tells_the_gone: bool = False
    by_address: bool = True


CLOUDS = {
    "aws": Cloud(control=15.0, tells_the_gone=True, by_address=False),
    "azure": Cloud(error=424),
    "gcp": Cloud(),
}


@contextmanager
def under_load(session: Session, row: dict[str, Any]) -> Iterator[Load]:
    """Ask at a fixed rate, whatever the answers take, until the block ends."""
    load, ended, lock = Load(), threading.Event(), threading.Lock()
    began = time.monotonic()
    slots = iter(range(1 << 60))
    body = json.dumps({"instances": [row]}).encode()
    client = by_address if CLOUDS[session.environment.platform].by_address else by_the_kit

    def ask() -> None:
        with client(session, body) as status_of_one:
            while not ended.is_set():
                with lock:
                    due = began + next(slots) / RATE
                ended.wait(max(0.0, due - time.monotonic()))
                status = status_of_one()
                with lock:
                    load.statuses[status] += 1

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


@contextmanager
def by_address(session: Session, body: bytes) -> Iterator[Callable[[], int]]:
    """As users do, with Python's smallest client: the machine's two processors are for the emulator and the servers."""
    native = session.environment.native
    address = urlsplit(find(session, "slopes").url)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {native['credentials']['token']}"}
    trusted = ssl.create_default_context(cafile=native["emulator"]["ca_file"])
    connection = HTTPSConnection(address.hostname or "", address.port, timeout=60, context=trusted)

    def ask() -> int:
        try:
            connection.request("POST", address.path, body, headers)
            reply = connection.getresponse()
            reply.read()
        except (OSError, HTTPException):  # the request was not answered
            connection.close()
            return 0
        return reply.status

    yield ask
    connection.close()


@contextmanager
def by_the_kit(session: Session, body: bytes) -> Iterator[Callable[[], int]]:
    """By the kit's own client, which signs."""
    adapter, environment = session.adapter, session.environment
    request = adapter.endpoints.invoke(find(session, "slopes"), None, body, "application/json", environment)

    def ask() -> int:
        try:
            return adapter.observe.invocation(session.client.send(request), environment).status
        except MlinfraError:  # whatever it is, the request was not answered
            return 0

    yield ask


class TestUnderLoad(Suite):
    @pytest.fixture(params=CLOUDS)
    def environment(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
        running = manage.start(request.param, tmp_path / "emulator", Settings())
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
        cloud, served = CLOUDS[session.environment.platform], health(session, observed, old, began)
        reached, back = _moment(record, "reached"), _moment(record, "traffic is back")
        print(  # noqa: T201  see above
            f"answers errors: {load.rate:.0f} requests/s for {load.seconds:.0f} s, {dict(load.statuses)}; "
            f"10 % reached {reached:%H:%M:%S}, back {back:%H:%M:%S}; old {served}"
        )
        assert load.statuses.keys() == {200, cloud.error}
        assert served.errors == 0
        assert load.statuses[200] <= served.requests
        if cloud.tells_the_gone:
            (new,) = record.newcomers
            failed = health(session, observed, new, began)
            assert load.statuses[cloud.error] <= failed.errors <= failed.requests
        assert load.statuses[cloud.error] / load.statuses.total() < 0.12
        assert back <= self.first_period_with_enough(session, reached, load.rate) + self.delay(session)

    @staticmethod
    def first_period_with_enough(session: Session, reached: Any, rate: float) -> Any:
        """The end of the first metric period by which the new version had 50 requests at its tenth."""
        period = session.adapter.endpoints.METRIC_PERIOD
        enough = reached + timedelta(seconds=ENOUGH / (rate / 10))
        return enough + timedelta(seconds=period - enough.timestamp() % period)

    @staticmethod
    def delay(session: Session) -> timedelta:
        control = CLOUDS[session.environment.platform].control
        return timedelta(seconds=session.adapter.endpoints.METRIC_DELAY + control)


def _moment(record: Rollout, verb: str) -> Any:
    return next(each.time for each in record.decisions if each.verb == verb)
