"""Rights on AWS, on the emulator: with exactly the policies that `env permissions` prints, and no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.states import Approval, JobState
from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.settings import Settings
from mlinfra.engine import doctor, jobs
from mlinfra.engine.approval import approve
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete as delete_endpoint
from mlinfra.engine.endpoints import invoke
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.errors import CapabilityError, Denied
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.models import registered
from mlinfra.testing.projects import job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.engine.folders import Folders
    from mlinfra.environment import AwsEnvironment

    Grant = Callable[[AwsEmulator, AwsEnvironment], None]

pytestmark = pytest.mark.slow

SECRET = "correct horse battery staple"  # noqa: S105  planted, to be looked for
TELLS = """
import os
value = os.environ["DB_PASSWORD"]
print("the password is", value, "and has", len(value), "characters", flush=True)
"""


class OnTheEmulator(Suite):
    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AwsEmulator]:
        with AwsEmulator(tmp_path / "emulator", Settings(delays_scale=0.01)) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: AwsEmulator, grant: Grant) -> AwsEnvironment:
        environment = emulator.environment()
        grant(emulator, environment)
        return environment


class TestApproval(OnTheEmulator):
    @pytest.fixture
    def prod(self, session: Session, environment: AwsEnvironment) -> Session:
        """The deployer where a version must be approved."""
        object.__setattr__(session, "environment", environment.model_copy(update={"stage": "prod"}))
        return session

    @pytest.fixture
    def approver(
        self, emulator: AwsEmulator, environment: AwsEnvironment, folders: Folders, prod: Session
    ) -> Iterator[Session]:
        keys = emulator.credentials("approver").as_document()
        theirs = prod.environment.model_copy(update={"native": {**environment.native, "credentials": keys}})
        with open_session(theirs, folders=folders, say=lambda _: None) as session:
            yield session

    def test_the_printed_policies_let_the_one_decide_and_the_other_deploy(
        self, prod: Session, approver: Session, tmp_path: Path
    ) -> None:
        version = registered(prod, tmp_path)
        spec = EndpointSpec(name="slopes", model=version.name)
        with pytest.raises(Denied, match="approv"):
            deploy(prod, spec)
        approve(approver, version.name, decision=Approval.REJECTED, note="not yet")
        with pytest.raises(Denied):
            deploy(prod, spec)
        approve(approver, version.name)
        deploy(prod, spec)
        assert json.loads(invoke(prod, "slopes", rows=[{"x": 2.0}]).body)["predictions"] == [4.0]
        delete_endpoint(prod, "slopes")

    def test_the_deployer_can_neither_approve_nor_write_where_decisions_lie(
        self, prod: Session, approver: Session, tmp_path: Path
    ) -> None:
        version = registered(prod, tmp_path)
        with pytest.raises(Denied):
            approve(prod, version.name)
        approve(approver, version.name)
        decisions = approver.client.store("approvals")
        keys = [info.key for info in decisions.list("")]
        assert keys
        theirs = prod.client.store("approvals")
        for act in (lambda: theirs.put(keys[0], b"{}"), lambda: theirs.delete(keys[0])):
            with pytest.raises(Denied):
                act()

    def test_an_approver_can_do_nothing_else(self, approver: Session, tmp_path: Path, prod: Session) -> None:
        version = registered(prod, tmp_path)
        with pytest.raises(Denied):
            deploy(approver, EndpointSpec(name="slopes", model=version.name))


class TestSecrets(OnTheEmulator):
    @pytest.fixture(autouse=True)
    def _stored(self, emulator: AwsEmulator, environment: AwsEnvironment) -> None:
        vault: Any = motoside.backend("secretsmanager", emulator.account, emulator.region)
        for name in (f"{environment.vaults['main']}risk-db", "of-somebody-else"):
            vault.create_secret(
                name=name,
                secret_string=SECRET,
                secret_binary=None,
                description=None,
                tags=[],
                kms_key_id=None,
                client_request_token=None,
                replica_regions=[],
                force_overwrite=False,
            )

    def ended(self, session: Session, project: Path, secret: str) -> Any:
        (project / "tells.py").write_text(TELLS)
        spec = job("tells", "tells.py", secrets={"DB_PASSWORD": secret}, retries={"infrastructure": 0})
        submission = submit(session, prepared(session, spec, project))
        return jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)[0][-1]

    def test_a_job_gets_its_secret_and_nobody_else_does(
        self, session: Session, project: Path, folders: Folders, emulator: AwsEmulator
    ) -> None:
        ended = self.ended(session, project, "risk-db")
        printed = [line.text for line in jobs.logs(session, ended)]
        assert ended.state is JobState.SUCCEEDED, (ended.reason, printed)
        assert f"the password is *** and has {len(SECRET)} characters" in printed
        assert SECRET not in json.dumps(ended.native)
        assert SECRET not in "\n".join(map(str, emulator.ledger.calls()))
        for folder in (folders.state, folders.project):
            for path in folder.rglob("*"):
                assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
        store = session.client.store()
        assert [info.key for info in store.list("") if SECRET.encode() in store.get(info.key)] == []

    def test_a_secret_that_is_not_there_is_named_in_the_reason(self, session: Session, project: Path) -> None:
        ended = self.ended(session, project, "nobody")
        assert ended.state is JobState.FAILED
        assert "secret DB_PASSWORD: Secrets Manager answers ResourceNotFoundException" in ended.reason

    def test_a_secret_outside_the_vault_is_refused_by_the_roles_own_policy(
        self, environment: AwsEnvironment, project: Path, folders: Folders
    ) -> None:
        elsewhere = environment.model_copy(update={"vaults": {"main": ""}})
        with open_session(elsewhere, folders=folders, say=lambda _: None) as session:
            ended = self.ended(session, project, "of-somebody-else")
        assert ended.state is JobState.FAILED
        assert "AccessDeniedException" in ended.reason

    def test_an_environment_without_a_vault_says_so(
        self, environment: AwsEnvironment, project: Path, folders: Folders
    ) -> None:
        without = environment.model_copy(update={"vaults": {}})
        with (
            open_session(without, folders=folders, say=lambda _: None) as session,
            pytest.raises(CapabilityError, match="names no vault"),
        ):
            self.ended(session, project, "risk-db")


class TestDoctor(OnTheEmulator):
    def test_the_role_that_scaling_makes_is_asked_after(
        self, emulator: AwsEmulator, environment: AwsEnvironment, folders: Folders
    ) -> None:
        with emulator.policy.without(environment.identities["deployer"], "iam:CreateServiceLinkedRole"):
            found = {check.name: check for check in doctor.examine(environment, folders)}
        refused = found["rights: ScalingRole"]
        assert (refused.verdict, refused.permission) == (doctor.Verdict.ILL, "iam:CreateServiceLinkedRole")
