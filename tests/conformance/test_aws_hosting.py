"""SageMaker's other ways to serve, on the emulator: servers that sleep, and answers that lie in the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete, rollback
from mlinfra.engine.endpoints import find, invoke
from mlinfra.engine.session import open_session
from mlinfra.errors import CapabilityError, InputRejected, RolledBack
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import answer, champion, endpoint, register_stillborn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.engine.clock import Clock
    from mlinfra.engine.folders import Folders
    from mlinfra.engine.session import Session
    from mlinfra.environment import AwsEnvironment

    Grant = Callable[[AwsEmulator, AwsEnvironment], None]

pytestmark = pytest.mark.slow

SPEED = 25.0
WAYS: dict[str, dict[str, Any]] = {
    "serverless": {"serverless": {"memory": "1.5Gi", "concurrency": 4}},
    "asynchronous": {"asynchronous": {"concurrency": 2}},
}


class TestHosting(Suite):
    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AwsEmulator]:
        with AwsEmulator(tmp_path / "emulator", Settings(speed=SPEED)) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: AwsEmulator, grant: Grant) -> AwsEnvironment:
        """With the rights that the kit prints, and no more."""
        environment = emulator.environment()
        grant(emulator, environment)
        return environment

    @pytest.fixture
    def session(
        self,
        environment: AwsEnvironment,
        folders: Folders,
        emulator: AwsEmulator,
        emulated_time: Callable[[AwsEmulator], Clock],
    ) -> Iterator[Session]:
        clock = emulated_time(emulator)
        with open_session(environment, folders=folders, say=lambda _: None, clock=clock) as session:
            yield session

    @pytest.mark.parametrize("way", WAYS)
    def test_it_answers_is_replaced_whole_goes_back_and_leaves_nothing(
        self, session: Session, emulator: AwsEmulator, tmp_path: Path, way: str
    ) -> None:
        champion(session, tmp_path, 2.0)
        before = emulator.leftovers()
        deploy(session, endpoint(**WAYS[way]))
        assert answer(session, 1.0, 2.0) == [2.0, 4.0]
        assert find(session, "slopes").asynchronous is (way == "asynchronous")
        assert deploy(session, endpoint(**WAYS[way])).change.value == "unchanged"
        champion(session, tmp_path, 3.0)
        deploy(session, endpoint(**WAYS[way]))
        assert answer(session, 1.0) == [3.0]
        assert len(find(session, "slopes").deployments) == 1
        rollback(session, "slopes")
        assert answer(session, 1.0) == [2.0]
        with pytest.raises(InputRejected) as refusal:
            invoke(session, "slopes", rows=[{"x": "plenty"}])
        assert refusal.value.rows[0]["column"] == "x"
        delete(session, "slopes")
        assert [arn for arn in emulator.leftovers() if ":model-package" not in arn] == [
            arn for arn in before if ":model-package" not in arn
        ]
        assert not list(session.store().list("asynchronous/"))

    @pytest.mark.parametrize("way", WAYS)
    def test_a_version_that_never_becomes_ready_is_taken_back(self, session: Session, tmp_path: Path, way: str) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(**WAYS[way]))
        register_stillborn(session, tmp_path)
        with pytest.raises(RolledBack):
            deploy(session, endpoint(**WAYS[way]))
        assert answer(session, 1.0) == [2.0]
        delete(session, "slopes")

    def test_one_way_is_not_changed_into_another(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        with pytest.raises(Exception, match="by servers that stand by"):
            deploy(session, endpoint(**WAYS["serverless"]))
        assert answer(session, 1.0) == [2.0]
        delete(session, "slopes")

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"serverless": {"memory": "7Gi", "concurrency": 1}}, "6Gi at most"),
            ({"serverless": {"memory": "1Gi", "concurrency": 201}}, "200 at most"),
            ({**WAYS["serverless"], "capture": {}}, "captures nothing"),
            ({**WAYS["asynchronous"], "capture": {}}, "data capture"),
            ({**WAYS["asynchronous"], "scale": {"min": 1, "max": 3}}, "backlog"),
        ],
    )
    def test_what_does_not_go_together_is_named_before_anything_is_sent(
        self, session: Session, emulator: AwsEmulator, tmp_path: Path, fields: dict[str, Any], words: str
    ) -> None:
        champion(session, tmp_path, 2.0)
        emulator.ledger.clear()
        with pytest.raises(CapabilityError, match=words):
            deploy(session, endpoint(**fields))
        assert {entry.operation for entry in emulator.ledger.calls("sagemaker")} <= {"Search", "DescribeModelPackage"}

    def test_a_long_answer_may_be_awaited_as_text(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(**WAYS["asynchronous"]))
        reply = invoke(session, "slopes", body=b'{"x": 4.0}\n', content_type="application/jsonlines", time_limit=60.0)
        assert json.loads(reply.body)["predictions"] == [8.0]
        delete(session, "slopes")

    def test_columns_that_are_excluded_are_masked_by_the_server_itself(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(capture={"sample": "100%", "exclude": ["x"]}))
        for value in range(5):
            answer(session, float(value) + 12345.0)
        delete(session, "slopes")  # a server that is told to stop writes what waits
        store = session.store("captures")
        lines = [line for info in store.list("captures/slopes/") for line in store.get(info.key).splitlines()]
        assert len(lines) >= 5
        assert not any(b"1234" in json.dumps(json.loads(line)["input"]).encode() for line in lines)
        assert {json.loads(line)["endpoint"] for line in lines} == {"slopes"}
