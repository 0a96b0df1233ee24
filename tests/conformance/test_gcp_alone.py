"""What is Vertex AI's alone, beside the suite: on the emulator, with its ledger, its policies and its faults."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.catalog.gcp.permissions import policy
from mlinfra.contract.states import JobState
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.gcp import GcpEmulator
from mlinfra.emulator.gcp.identity.bindings import Binding
from mlinfra.emulator.settings import Settings
from mlinfra.engine import claims, doctor, jobs
from mlinfra.engine.approval import approve, require_approved
from mlinfra.engine.deletion import delete, delete_model
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete as delete_endpoint
from mlinfra.engine.endpoints import invoke
from mlinfra.engine.folders import Folders
from mlinfra.engine.marks import alias, stage, unalias
from mlinfra.engine.models import download, register
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.engine.track import attempts
from mlinfra.engine.versions import resolve, versions
from mlinfra.environment import Network
from mlinfra.errors import Denied, WrongAccount
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.models import package, registered
from mlinfra.testing.projects import job, training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.environment import GcpEnvironment
    from mlinfra.spec import JobSpec

pytestmark = pytest.mark.slow

DATA = {"inputs": {"data": "data.csv"}, "outputs": {"out": {}}}
COPY = ("duplicate.py", "${{inputs.data}}", "${{outputs.out}}")
EPOCHS = """
import os, pathlib, time
progress = pathlib.Path(os.environ["MLINFRA_CHECKPOINT"], "progress")
if progress.exists():
    print("go on", flush=True)
else:
    print("begin", flush=True)
    progress.write_text("1")
    time.sleep(60)
"""
PASSWORD = "correct-horse-battery"  # noqa: S105  a test's
SECRET = f"""
import os
assert os.environ["PASSWORD"] == "{PASSWORD}"
print("the password is", os.environ["PASSWORD"])
"""
VARIABLES = """
import json, os
print(json.dumps({name: os.environ.get(name) for name in ("AIP_MODEL_DIR", "CLOUD_ML_JOB_ID", "CLUSTER_SPEC")}))
"""


class Alone(Suite):
    settings = Settings(delays_scale=0.01)

    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[GcpEmulator]:
        with GcpEmulator(tmp_path / "emulator", self.settings) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: GcpEmulator) -> GcpEnvironment:
        return emulator.environment()

    def finished(self, session: Session, spec: JobSpec, project: Path) -> JobObservation:
        submission = submit(session, prepared(session, spec, project))
        return jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)[0][-1]


class TestAlone(Alone):
    def test_a_fresh_submission_takes_four_calls_and_a_repeated_one(
        self, session: Session, emulator: GcpEmulator, project: Path
    ):
        ready = prepared(session, job("hello", "hello.py"), project)
        emulator.ledger.clear()
        submit(session, ready)
        assert operations(emulator) == ["ListCustomJobs", "tokeninfo", "TestIamPermissions", "CreateCustomJob"]
        emulator.ledger.clear()
        assert submit(session, ready).reused
        assert operations(emulator) == ["ListCustomJobs"]

    @pytest.mark.slow
    def test_nothing_is_left_when_all_is_deleted(
        self, session: Session, emulator: GcpEmulator, project: Path, tmp_path: Path
    ):
        ended = self.finished(session, training("train", 0.9), project)
        registered(session, tmp_path)
        assert len(emulator.leftovers()) > 2
        jobs.delete(session, ended)
        for model in ("model", "slopes"):
            delete_model(session, model)
        assert emulator.leftovers() == []
        kept = [info.key for info in session.client.store().list("")]
        assert [key for key in kept if key.startswith(("jobs/", "models/", "kit/claims/"))] == []

    def test_a_deleted_job_may_be_submitted_again_at_once(self, session: Session, project: Path):
        ended = self.finished(session, job("hello", "hello.py"), project)
        jobs.delete(session, ended)
        before = time.monotonic()
        again = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert not again.reused
        assert time.monotonic() - before < claims.LIFETIME / 2

    def test_the_printed_policies_suffice(
        self, session: Session, emulator: GcpEmulator, environment: GcpEnvironment, project: Path, tmp_path: Path
    ):
        grant(emulator, environment)
        ended = self.finished(session, training("train", 0.9), project)
        assert ended.state is JobState.SUCCEEDED, ended.reason
        assert "auc" in {point.name for point in jobs.metrics(session, ended)}
        assert list(jobs.logs(session, ended))
        alias(session, "model:1", "champion")
        stage(session, "model:1", "staging")
        download(session, "model@champion", tmp_path / "fetched")
        unalias(session, "model", "champion")
        delete_model(session, "model")
        jobs.delete(session, ended)

    @pytest.mark.slow
    def test_the_printed_policies_suffice_for_an_endpoint(
        self, session: Session, emulator: GcpEmulator, environment: GcpEnvironment, tmp_path: Path
    ):
        grant(emulator, environment)
        version = registered(session, tmp_path)
        deploy(session, EndpointSpec(name="slopes", model=version.name, capture={"sample": "100%"}))
        reply = invoke(session, "slopes", rows=[{"x": 2.0}])
        assert json.loads(reply.body)["predictions"] == [4.0]
        delete_endpoint(session, "slopes")
        delete_model(session, "slopes")
        assert emulator.leftovers() == []

    @pytest.mark.parametrize(
        "permission", ["aiplatform.customJobs.create", "aiplatform.customJobs.list", "storage.objects.create"]
    )
    def test_a_missing_permission_is_named_and_nothing_else_is_refused(
        self, permission: str, session: Session, emulator: GcpEmulator, environment: GcpEnvironment, project: Path
    ):
        ready = prepared(session, job("hello", "hello.py"), project)
        with emulator.policy.without(environment.identities["deployer"], permission):
            with pytest.raises(Denied) as refusal:
                submit(session, ready)
            assert permission in str(refusal.value) or permission.startswith("storage")
        assert jobs.list_jobs(session) == []
        assert not submit(session, ready).reused

    def test_whoever_may_not_act_as_the_trainer_starts_no_job(
        self, session: Session, emulator: GcpEmulator, environment: GcpEnvironment, project: Path
    ):
        with (
            emulator.policy.without(environment.identities["deployer"], "iam.serviceAccounts.actAs"),
            pytest.raises(Denied, match=r"iam\.serviceAccounts\.actAs"),
        ):
            submit(session, prepared(session, job("hello", "hello.py"), project))
        assert jobs.list_jobs(session) == []

    def test_credentials_without_rights_in_the_project_send_nothing(
        self, emulator: GcpEmulator, environment: GcpEnvironment, folders: Folders, project: Path
    ):
        emulator.principals.create("mara@elsewhere.iam.gserviceaccount.com")
        theirs = as_principal(emulator, environment, "mara@elsewhere.iam.gserviceaccount.com")
        with open_session(theirs, folders=folders, say=lambda _: None) as stranger, pytest.raises(WrongAccount):
            register(stranger, "slopes", package(project))
        assert [entry.operation for entry in emulator.ledger.calls("storage") if "insert" in entry.operation] == []

    def test_only_an_approver_decides_and_his_word_counts(
        self, session: Session, emulator: GcpEmulator, environment: GcpEnvironment, folders: Folders, tmp_path: Path
    ):
        grant(emulator, environment)
        version = registered(session, tmp_path)
        with pytest.raises(Denied):
            approve(session, version.name)
        theirs = as_principal(emulator, environment, "approver").model_copy(update={"stage": "prod"})
        with open_session(theirs, folders=folders, say=lambda _: None) as approver:
            decision = approve(approver, version.name)
            assert decision.approver == environment.identities["approver"]
            require_approved(approver, resolve(approver, version.name))

    def test_a_connection_cut_after_the_effect_leaves_one_job(
        self, session: Session, emulator: GcpEmulator, project: Path
    ):
        emulator.faults.script([Fault(operation="CreateCustomJob", do="cut", when="after")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert len(attempts(session, submission.id)) == 1
        assert len(emulator.ledger.calls(operation="CreateCustomJob")) == 1

    @pytest.mark.slow
    def test_a_connection_cut_before_the_effect_is_tried_again(
        self, session: Session, emulator: GcpEmulator, project: Path
    ):
        emulator.faults.script([Fault(operation="CreateCustomJob", do="cut", when="before")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert len(attempts(session, submission.id)) == 1

    def test_throttling_is_waited_out(self, session: Session, emulator: GcpEmulator, project: Path):
        emulator.faults.script([Fault(operation="CreateCustomJob", do="fail", code="throttled", times=2)])
        submit(session, prepared(session, job("hello", "hello.py"), project))
        outcomes = [entry.outcome for entry in emulator.ledger.calls(operation="CreateCustomJob")]
        assert outcomes == ["RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "ok"]

    @pytest.mark.slow
    def test_missing_capacity_is_tried_again_by_the_kit(self, session: Session, emulator: GcpEmulator, project: Path):
        emulator.faults.script([Fault(operation="CustomJob:Provisioning", do="fail", code="capacity")])
        ended = self.finished(session, job("hello", "hello.py"), project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)

    @pytest.mark.slow
    def test_a_job_whose_spot_machine_is_taken_goes_on_from_its_checkpoint(
        self, session: Session, emulator: GcpEmulator, project: Path
    ):
        (project / "epochs.py").write_text(EPOCHS)
        emulator.faults.script([Fault(operation="CustomJob:Running", do="fail", code="interruption", seconds=9.0)])
        spec = job("epochs", "epochs.py", resources={"spot": True}, checkpoint=True)
        ended = self.finished(session, spec, project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1), ended.reason
        printed = [line.text for line in jobs.logs(session, ended)]
        assert [text for text in printed if text in {"begin", "go on"}] == ["begin", "go on"]

    def test_a_secret_is_read_by_the_jobs_own_identity_and_shown_nowhere(
        self, session: Session, emulator: GcpEmulator, environment: GcpEnvironment, project: Path
    ):
        emulator.secrets.put("risk-db", PASSWORD)
        (project / "secret.py").write_text(SECRET)
        spec = job("secret", "secret.py", secrets={"PASSWORD": "risk-db"})
        ended = self.finished(session, spec, project)
        assert ended.state is JobState.SUCCEEDED, ended.reason
        assert "the password is ***" in [line.text for line in jobs.logs(session, ended)]
        assert PASSWORD not in json.dumps(ended.native)
        with emulator.policy.without(environment.identities["trainer"], "secretmanager.versions.access"):
            refused = self.finished(
                session, job("secret", "secret.py", "again", secrets={"PASSWORD": "risk-db"}), project
            )
        assert refused.state is JobState.FAILED
        assert "secret PASSWORD cannot be read" in refused.reason

    def test_a_script_finds_vertexs_own_variables(self, session: Session, project: Path):
        (project / "variables.py").write_text(VARIABLES)
        ended = self.finished(session, job("variables", "variables.py", outputs={"model": {"type": "folder"}}), project)
        printed = [line.text for line in jobs.logs(session, ended) if line.text.startswith("{")]
        found = json.loads(printed[0])
        assert found["AIP_MODEL_DIR"] == f"{ended.outputs['model'].uri}/"
        assert found["CLOUD_ML_JOB_ID"] == ended.native_id
        assert json.loads(found["CLUSTER_SPEC"])["task"]["type"] == "workerpool0"

    def test_a_failed_upload_says_why_and_leaves_no_version(
        self, session: Session, environment: GcpEnvironment, tmp_path: Path
    ):
        elsewhere = {**environment.images, "serving": environment.images["serving"].model_copy(update={"uri": "nginx"})}
        bad = replace(session, environment=environment.model_copy(update={"images": elsewhere}))
        with pytest.raises(Exception, match="Artifact Registry"):
            registered(bad, tmp_path)
        assert list(versions(session, "slopes")) == []

    def test_the_default_version_can_be_deleted_like_every_other(self, session: Session, tmp_path: Path):
        first, second = registered(session, tmp_path), registered(session, tmp_path, slope=3.0)
        delete(session, first.name)
        assert [each.version for each in versions(session, "slopes")] == [second.version]
        delete(session, second.name)
        assert list(versions(session, "slopes")) == []

    @pytest.mark.slow
    def test_a_job_without_the_internet_gets_its_packages_as_wheels(
        self, environment: GcpEnvironment, project: Path, folders: Folders
    ):
        (project / "requirements.txt").write_text("toolz==0.12.1\n")
        (project / "hello.py").write_text("import toolz\nprint(toolz.__version__, toolz.__file__)\n")
        spec = job("hello", "hello.py", python={"version": "3.11", "requirements": "requirements.txt"})
        alone = environment.model_copy(update={"network": Network(id="risk", isolated=True)})
        with open_session(alone, folders=folders, say=lambda _: None) as isolated:
            ended = self.finished(isolated, spec, project)
            assert ended.state is JobState.SUCCEEDED, ended.reason
            printed = [line.text for line in jobs.logs(isolated, ended)]
            assert any(text.startswith("0.12.1") for text in printed)
            assert any("installing toolz" in text for text in printed)

    def test_the_doctor_has_nothing_to_complain_of_where_the_policies_are_as_printed(
        self, emulator: GcpEmulator, environment: GcpEnvironment, folders: Folders
    ):
        grant(emulator, environment)
        found = {check.name: check for check in doctor.examine(environment, folders)}
        ill = {name: check.detail for name, check in found.items() if check.verdict is doctor.Verdict.ILL}
        assert ill == {}
        looked_at = {"credentials", "jobs", "models", "endpoints", "account trainer", "image base", "rights: jobs"}
        assert looked_at <= found.keys()
        rights = {name: check.verdict for name, check in found.items() if name.startswith("rights: ")}
        assert set(rights.values()) == {doctor.Verdict.WELL}
        assert "rights: act as mlinfra-trainer" in rights

    def test_the_doctor_names_the_right_that_is_missing(
        self, emulator: GcpEmulator, environment: GcpEnvironment, folders: Folders
    ):
        with emulator.policy.without(environment.identities["deployer"], "aiplatform.customJobs.cancel"):
            found = {check.name: check for check in doctor.examine(environment, folders)}
        assert found["rights: jobs"].verdict is doctor.Verdict.ILL
        assert found["rights: jobs"].permission == "aiplatform.customJobs.cancel"
        assert found["rights: models"].verdict is doctor.Verdict.WELL

    @pytest.mark.slow
    def test_the_vendors_own_objects(
        self, session: Session, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")  # which is put back as it was
        ended = self.finished(session, job("hello", "hello.py"), project)
        theirs = session.client.native("job", ended.native_id)
        assert theirs.state.name == "JOB_STATE_SUCCEEDED"
        version = register(session, "slopes", package(tmp_path))
        model = session.client.native("model", version.native_id)
        assert (model.display_name, model.version_id) == ("slopes", "1")


class TestWhereListsLag(Alone):
    """Ten seconds pass until a list shows what was made."""

    settings = Settings(delays_scale=0.01, list_lag=10.0)

    def test_a_reply_that_is_lost_leaves_one_job(self, session: Session, emulator: GcpEmulator, project: Path):
        emulator.faults.script([Fault(operation="CreateCustomJob", do="cut", when="after")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert submission.job.native_id
        assert len(emulator.ledger.calls(operation="CreateCustomJob")) == 1

    @pytest.mark.slow
    def test_two_machines_at_once_make_one_job(
        self, environment: GcpEnvironment, emulator: GcpEmulator, project: Path, tmp_path: Path
    ):
        meet = threading.Barrier(2)

        def submit_from(machine: str) -> str:
            folders = Folders(project=tmp_path / machine / ".mlinfra", state=tmp_path / f"{machine}-state").ensure()
            with open_session(environment, folders=folders, say=lambda _: None) as session:
                ready = prepared(session, job("hello", "hello.py"), project)
                meet.wait()
                return submit(session, ready).job.native_id

        with ThreadPoolExecutor(2) as pool:
            found = set(pool.map(submit_from, ("one", "other")))
        assert len(found) == 1
        assert len(emulator.ledger.calls(operation="CreateCustomJob")) == 1


def operations(emulator: GcpEmulator) -> list[str]:
    """The control plane's calls so far."""
    return [entry.operation for entry in emulator.ledger.calls(control=True)]


def as_principal(emulator: GcpEmulator, environment: GcpEnvironment, identity: str) -> GcpEnvironment:
    """The same environment for somebody else."""
    credentials = {"credentials": {"token": emulator.credentials(identity).token}}
    return environment.model_copy(update={"native": {**environment.native, **credentials}})


def grant(emulator: GcpEmulator, environment: GcpEnvironment) -> None:
    """Let every identity do what `env permissions` prints for it, and nothing else."""
    bindings: Any = emulator.identity.bindings
    ours = {f"serviceAccount:{email}" for email in environment.identities.values()}
    for resource in list(bindings._policies):
        kept = (
            Binding(each.role, tuple(member for member in each.members if member not in ours), each.condition)
            for each in bindings.of(resource)
        )
        bindings.set(resource, [each for each in kept if each.members])
    document = policy(environment)
    for own, role in document["roles"].items():
        bindings.define(f"projects/{environment.account}/roles/{own}", role["includedPermissions"])
    for each in document["bindings"]:
        condition = each.get("condition", {}).get("expression", "")
        bindings.grant(each["resource"], each["role"], each["member"], condition)
