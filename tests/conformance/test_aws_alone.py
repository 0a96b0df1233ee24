"""What is SageMaker's alone, beside the suite: on the emulator, with its ledger, its policies and its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.states import JobState
from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.engine import doctor, jobs
from mlinfra.engine.models import register
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.environment import Network
from mlinfra.errors import CapabilityError, IntegrityError
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.models import package
from mlinfra.testing.projects import job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.engine.folders import Folders
    from mlinfra.environment import AwsEnvironment
    from mlinfra.spec import JobSpec

    Grant = Callable[[AwsEmulator, AwsEnvironment], None]

pytestmark = pytest.mark.thorough

DATA = {"inputs": {"data": "data.csv"}, "outputs": {"out": {}}}
COPY = ("duplicate.py", "${{inputs.data}}", "${{outputs.out}}")


class TestAlone(Suite):
    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AwsEmulator]:
        with AwsEmulator(tmp_path / "emulator", Settings(delays_scale=0.01)) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: AwsEmulator) -> AwsEnvironment:
        return emulator.environment()

    def finished(self, session: Session, spec: JobSpec, project: Path) -> JobObservation:
        submission = submit(session, prepared(session, spec, project))
        return jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)[0][-1]

    def test_a_fresh_submission_takes_three_calls_and_a_repeated_one(
        self, session: Session, emulator: AwsEmulator, project: Path
    ):
        ready = prepared(session, job("hello", "hello.py"), project)
        emulator.ledger.clear()
        submit(session, ready)
        assert operations(emulator) == ["Search", "GetCallerIdentity", "CreateTrainingJob"]
        emulator.ledger.clear()
        assert submit(session, ready).reused
        assert operations(emulator) == ["Search"]

    def test_an_isolated_job_reads_writes_and_reports(
        self, environment: AwsEnvironment, project: Path, tmp_path: Path, folders: Folders
    ):
        alone = environment.model_copy(update={"network": Network(isolated=True)})
        with open_session(alone, folders=folders, say=lambda _: None) as isolated:
            ended = self.finished(isolated, job("copy", *COPY, **DATA), project)
            assert ended.native["EnableNetworkIsolation"] is True
            jobs.download(isolated, ended, tmp_path / "fetched")
            assert (tmp_path / "fetched" / "out" / "copied.txt").read_text() == "x\n1\n2\n"
            with pytest.raises(CapabilityError, match="secrets"):
                submit(isolated, prepared(isolated, job("secret", "hello.py", secrets={"A": "b"}), project))

    @pytest.mark.slow
    def test_an_isolated_job_gets_its_packages_as_wheels(
        self, environment: AwsEnvironment, project: Path, folders: Folders
    ):
        (project / "requirements.txt").write_text("toolz==0.12.1\n")
        (project / "hello.py").write_text("import toolz\nprint(toolz.__version__, toolz.__file__)\n")
        spec = job("hello", "hello.py", python={"version": "3.11", "requirements": "requirements.txt"})
        alone = environment.model_copy(update={"network": Network(isolated=True)})
        with open_session(alone, folders=folders, say=lambda _: None) as isolated:
            ended = self.finished(isolated, spec, project)
            channels = [each["ChannelName"] for each in ended.native["InputDataConfig"]]
            assert (ended.state, channels) == (JobState.SUCCEEDED, ["code", "wheels"])
            printed = [line.text for line in jobs.logs(isolated, ended)]
            assert any(text.startswith("0.12.1") for text in printed)
            assert any("installing toolz" in text for text in printed)

    def test_an_output_that_was_changed_since_is_not_downloaded(self, session: Session, project: Path, tmp_path: Path):
        ended = self.finished(session, job("copy", *COPY, **DATA), project)
        store = session.client.store()
        store.put(f"{store.key(ended.outputs['out'].uri)}/copied.txt", b"x\n1\n3\n")
        with pytest.raises(IntegrityError):
            jobs.download(session, ended, tmp_path / "fetched")
        assert not (tmp_path / "fetched" / "out").exists()

    def test_the_doctor_names_the_right_that_is_missing_and_what_does_not_exist(
        self, emulator: AwsEmulator, environment: AwsEnvironment, folders: Folders
    ):
        gone = {**environment.identities, "server": f"arn:aws:iam::{environment.account}:role/nobody"}
        broken = environment.model_copy(update={"identities": gone})
        with emulator.policy.without(environment.identities["deployer"], "sagemaker:StopTrainingJob"):
            found = {check.name: check for check in doctor.examine(broken, folders)}
        assert found["rights: Jobs"].verdict is doctor.Verdict.ILL
        assert found["rights: Jobs"].permission == "sagemaker:StopTrainingJob"
        assert found["role server"].verdict is doctor.Verdict.ILL
        assert found["role trainer"].verdict is doctor.Verdict.WELL

    @pytest.mark.slow
    def test_the_vendors_own_objects(
        self, session: Session, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("AWS_DEFAULT_REGION", session.environment.region)
        ended = self.finished(session, job("hello", "hello.py"), project)
        theirs = session.client.native("job", ended.native_id)
        assert theirs.training_job_status == "Completed"
        version = register(session, "slopes", package(tmp_path))
        assert session.client.native("model", version.native_id).model_approval_status == "PendingManualApproval"


def operations(emulator: AwsEmulator) -> list[str]:
    """The control plane's calls so far."""
    return [entry.operation for entry in emulator.ledger.calls(control=True)]
