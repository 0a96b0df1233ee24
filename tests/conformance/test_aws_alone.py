"""What is SageMaker's alone, beside the suite: on the emulator, with its ledger, its policies and its faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.states import JobState
from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.settings import Settings
from mlinfra.engine import doctor, jobs
from mlinfra.engine.approval import approve, require_approved
from mlinfra.engine.deletion import delete_model
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete as delete_endpoint
from mlinfra.engine.endpoints import invoke
from mlinfra.engine.marks import alias, unalias
from mlinfra.engine.models import download, register
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.engine.track import attempts
from mlinfra.engine.versions import resolve
from mlinfra.environment import Network
from mlinfra.errors import CapabilityError, Denied, IntegrityError
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.models import package, registered
from mlinfra.testing.projects import job, training

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
EPOCHS = """
import os, pathlib, time
progress = pathlib.Path(os.environ["MLINFRA_CHECKPOINT"], "progress")
if progress.exists():
    print("go on", flush=True)
else:
    print("begin", flush=True)
    progress.write_text("1")
    time.sleep(30)
"""
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

    @pytest.mark.slow
    def test_nothing_is_left_when_all_is_deleted(
        self, session: Session, emulator: AwsEmulator, project: Path, tmp_path: Path
    ):
        ended = self.finished(session, training("train", 0.9), project)
        registered(session, tmp_path)
        assert len(emulator.leftovers()) > 2
        jobs.delete(session, ended)
        for model in ("model", "slopes"):
            delete_model(session, model)
        assert emulator.leftovers() == []
        kept = [info.key for info in session.client.store().list("")]
        assert [key for key in kept if key.startswith(("jobs/", "models/"))] == []

    @pytest.mark.slow
    def test_the_printed_policies_suffice(
        self, session: Session, emulator: AwsEmulator, project: Path, tmp_path: Path, grant: Grant
    ):
        grant(emulator, session.environment)
        ended = self.finished(session, training("train", 0.9), project)
        assert ended.state is JobState.SUCCEEDED, ended.reason
        assert "auc" in {point.name for point in jobs.metrics(session, ended)}
        assert list(jobs.logs(session, ended))
        alias(session, "model:1", "champion")
        download(session, "model@champion", tmp_path / "fetched")
        unalias(session, "model", "champion")
        delete_model(session, "model")
        jobs.delete(session, ended)

    @pytest.mark.slow
    def test_the_printed_policies_suffice_for_an_endpoint(
        self, session: Session, emulator: AwsEmulator, environment: AwsEnvironment, tmp_path: Path, grant: Grant
    ):
        grant(emulator, environment)
        version = registered(session, tmp_path)
        deploy(session, EndpointSpec(name="slopes", model=version.name, capture={"sample": "100%"}))
        reply = invoke(session, "slopes", rows=[{"x": 2.0}])
        assert json.loads(reply.body)["predictions"] == [4.0]
        delete_endpoint(session, "slopes")
        delete_model(session, "slopes")
        assert emulator.leftovers() == []

    def test_a_missing_permission_is_named_and_nothing_else_is_refused(
        self, session: Session, emulator: AwsEmulator, environment: AwsEnvironment, project: Path
    ):
        with emulator.policy.without(environment.identities["deployer"], "sagemaker:CreateTrainingJob"):
            with pytest.raises(Denied, match="sagemaker:CreateTrainingJob"):
                submit(session, prepared(session, job("hello", "hello.py"), project))
            assert jobs.list_jobs(session) == []
        assert not submit(session, prepared(session, job("hello", "hello.py"), project)).reused

    def test_only_an_approver_decides_and_his_word_counts(
        self, session: Session, emulator: AwsEmulator, environment: AwsEnvironment, folders: Folders, tmp_path: Path
    ):
        version = registered(session, tmp_path)
        with pytest.raises(Denied):
            approve(session, version.name)
        keys = emulator.credentials("approver")
        theirs = environment.model_copy(
            update={
                "stage": "prod",
                "native": {
                    "credentials": {"access_key_id": keys.access_key_id, "secret_access_key": keys.secret_access_key}
                },
            }
        )
        with open_session(theirs, folders=folders, say=lambda _: None) as approver:
            approve(approver, version.name)
            require_approved(approver, resolve(approver, version.name))

    def test_a_connection_cut_after_the_effect_leaves_one_job(
        self, session: Session, emulator: AwsEmulator, project: Path
    ):
        emulator.faults.script([Fault(operation="CreateTrainingJob", do="cut", when="after")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert len(attempts(session, submission.id)) == 1
        assert len(emulator.ledger.calls("sagemaker", "CreateTrainingJob")) == 1

    def test_throttling_is_waited_out(self, session: Session, emulator: AwsEmulator, project: Path):
        emulator.faults.script([Fault(operation="CreateTrainingJob", do="fail", code="throttled", times=2)])
        submit(session, prepared(session, job("hello", "hello.py"), project))
        outcomes = [entry.outcome for entry in emulator.ledger.calls("sagemaker", "CreateTrainingJob")]
        assert outcomes == ["ThrottlingException", "ThrottlingException", "ok"]

    def test_missing_capacity_is_tried_again_by_the_kit(self, session: Session, emulator: AwsEmulator, project: Path):
        emulator.faults.script([Fault(operation="TrainingJob:Launching", do="fail", code="capacity")])
        ended = self.finished(session, job("hello", "hello.py"), project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)

    def test_a_job_whose_spot_machine_is_taken_goes_on_from_its_checkpoint(
        self, session: Session, emulator: AwsEmulator, project: Path
    ):
        (project / "epochs.py").write_text(EPOCHS)
        emulator.faults.script([Fault(operation="TrainingJob:Training", do="fail", code="interruption", seconds=1.0)])
        spec = job("epochs", "epochs.py", resources={"spot": True}, checkpoint=True)
        ended = self.finished(session, spec, project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
        printed = [line.text for line in jobs.logs(session, ended)]
        assert [text for text in printed if not text.startswith("mlinfra")] == ["begin", "go on"]

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

    @pytest.mark.slow
    def test_the_doctor_has_nothing_to_complain_of_where_the_policies_are_as_printed(
        self, emulator: AwsEmulator, environment: AwsEnvironment, folders: Folders, grant: Grant
    ):
        grant(emulator, environment)
        found = {check.name: check for check in doctor.examine(environment, folders)}
        ill = {name: check.detail for name, check in found.items() if check.verdict is doctor.Verdict.ILL}
        assert ill == {}
        looked_at = {"credentials", "jobs", "models", "endpoints", "role trainer", "image base", "rights: Jobs"}
        assert looked_at <= found.keys()
        rights = {name: check.verdict for name, check in found.items() if name.startswith("rights: ")}
        assert set(rights.values()) == {doctor.Verdict.WELL}
        assert {"rights: ScalingRole", "rights: Identities"} <= rights.keys()

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
