"""What is Azure ML's alone, beside the suite: on the emulator, with its ledger, its policies and its faults."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mlinfra.catalog.azure.permissions import policy
from mlinfra.contract.requests import Request
from mlinfra.contract.states import JobState
from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.azure.identity.roles import Role
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.settings import Settings
from mlinfra.engine import doctor, jobs
from mlinfra.engine.approval import approve, require_approved
from mlinfra.engine.deletion import delete_model
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
    from mlinfra.environment import AzureEnvironment
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
names = ("AZUREML_RUN_ID", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "AZURE_ML_INPUT_data")
print(json.dumps({name: os.environ.get(name) for name in names}))
"""
SUBMISSION = ["EnvironmentVersions_CreateOrUpdate", "CodeVersions_CreateOrUpdate", "Jobs_CreateOrUpdate"]


class Alone(Suite):
    settings = Settings(delays_scale=0.01)

    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AzureEmulator]:
        with AzureEmulator(tmp_path / "emulator", self.settings) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: AzureEmulator) -> AzureEnvironment:
        return emulator.environment()

    def finished(self, session: Session, spec: JobSpec, project: Path) -> JobObservation:
        submission = submit(session, prepared(session, spec, project))
        return jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)[0][-1]


class TestAlone(Alone):
    def test_a_fresh_submission_takes_three_calls_a_known_one_one_and_a_repeated_one(
        self, session: Session, emulator: AzureEmulator, project: Path
    ):
        ready = prepared(session, job("hello", "hello.py"), project)
        emulator.ledger.clear()
        submit(session, ready)
        assert operations(emulator) == SUBMISSION
        emulator.ledger.clear()
        submit(session, prepared(session, job("hello", "hello.py", "again"), project))
        assert operations(emulator) == SUBMISSION[2:]
        emulator.ledger.clear()
        assert submit(session, ready).reused
        assert operations(emulator) == ["Jobs_List"]

    def test_from_another_machine_the_same_work_is_the_same_job(
        self, session: Session, environment: AzureEnvironment, emulator: AzureEmulator, project: Path, tmp_path: Path
    ):
        here = self.finished(session, job("hello", "hello.py"), project)
        folders = Folders(project=tmp_path / "other" / ".mlinfra", state=tmp_path / "other-state").ensure()
        emulator.ledger.clear()
        with open_session(environment, folders=folders, say=lambda _: None) as other:
            there = submit(other, prepared(other, job("hello", "hello.py"), project))
        assert (there.job.native_id, there.reused) == (here.native_id, True)
        assert operations(emulator) == SUBMISSION

    def test_what_somebody_deleted_meanwhile_is_registered_again(
        self, session: Session, emulator: AzureEmulator, project: Path
    ):
        first = submit(session, prepared(session, job("hello", "hello.py"), project))
        jobs.wait(session, [first.job], max_runtime=MAX_RUNTIME)
        for member, operation in (("environmentId", "EnvironmentVersions_Delete"), ("codeId", "CodeVersions_Delete")):
            parts = first.job.native["properties"][member].split("/")
            gone = Request("gone", "ml", operation, {"name": parts[-3], "version": parts[-1]}, repeatable=True)
            session.client.send(gone)
        emulator.ledger.clear()
        again = self.finished(session, job("hello", "hello.py", "again"), project)
        assert again.state is JobState.SUCCEEDED, again.reason
        assert [each for each in operations(emulator) if "CreateOrUpdate" in each] == [SUBMISSION[2], *SUBMISSION]

    @pytest.mark.slow
    def test_nothing_is_left_when_all_is_deleted(
        self, session: Session, emulator: AzureEmulator, project: Path, tmp_path: Path
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
        assert not submit(session, prepared(session, job("hello", "hello.py"), project)).reused

    def test_the_printed_policies_suffice(
        self, session: Session, emulator: AzureEmulator, environment: AzureEnvironment, project: Path, tmp_path: Path
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
        self, session: Session, emulator: AzureEmulator, environment: AzureEnvironment, tmp_path: Path
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
        "permission",
        [
            "Microsoft.MachineLearningServices/workspaces/jobs/write",
            "Microsoft.MachineLearningServices/workspaces/codes/versions/write",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        ],
    )
    def test_a_missing_permission_is_named_and_nothing_else_is_refused(
        self, permission: str, session: Session, emulator: AzureEmulator, project: Path
    ):
        ready = prepared(session, job("hello", "hello.py"), project)
        with emulator.policy.without(session.caller.principal, permission):
            with pytest.raises(Denied) as refusal:
                submit(session, ready)
            assert permission in str(refusal.value) or "Storage" in permission
        assert jobs.list_jobs(session) == []
        assert not submit(session, ready).reused

    def test_whoever_may_not_assign_the_trainers_identity_starts_no_job(
        self, session: Session, emulator: AzureEmulator, project: Path
    ):
        missing = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
        with emulator.policy.without(session.caller.principal, missing), pytest.raises(Denied, match="assign/action"):
            submit(session, prepared(session, job("hello", "hello.py"), project))
        assert jobs.list_jobs(session) == []

    def test_credentials_of_another_tenant_send_nothing(
        self, emulator: AzureEmulator, environment: AzureEnvironment, folders: Folders, project: Path
    ):
        elsewhere = environment.model_copy(update={"native": {**environment.native, "tenant": "11111111-1111"}})
        emulator.ledger.clear()
        with open_session(elsewhere, folders=folders, say=lambda _: None) as stranger, pytest.raises(WrongAccount):
            register(stranger, "slopes", package(project))
        assert emulator.ledger.calls() == []

    def test_where_no_tenant_is_told_the_subscription_itself_is_asked_for(
        self, emulator: AzureEmulator, environment: AzureEnvironment, folders: Folders
    ):
        native = {name: value for name, value in environment.native.items() if name != "tenant"}
        untold = environment.model_copy(update={"native": native})
        with open_session(untold, folders=folders, say=lambda _: None) as session:
            assert session.caller.account == environment.account
        assert operations(emulator)[-1] == "Subscriptions_Get"

    def test_only_an_approver_decides_and_his_word_counts(
        self,
        session: Session,
        emulator: AzureEmulator,
        environment: AzureEnvironment,
        folders: Folders,
        tmp_path: Path,
    ):
        grant(emulator, environment)
        version = registered(session, tmp_path)
        with pytest.raises(Denied):
            approve(session, version.name)
        theirs = as_principal(emulator, environment, "approver").model_copy(update={"stage": "prod"})
        with open_session(theirs, folders=folders, say=lambda _: None) as approver:
            decision = approve(approver, version.name)
            assert decision.approver == emulator.credentials("approver").principal.object_id
            require_approved(approver, resolve(approver, version.name))

    def test_a_connection_cut_after_the_effect_leaves_one_job(
        self, session: Session, emulator: AzureEmulator, project: Path
    ):
        emulator.faults.script([Fault(operation="Jobs_CreateOrUpdate", do="cut", when="after")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert len(attempts(session, submission.id)) == 1
        assert len(emulator.ledger.calls(operation="Jobs_CreateOrUpdate")) == 1

    @pytest.mark.slow
    def test_a_connection_cut_before_the_effect_is_tried_again(
        self, session: Session, emulator: AzureEmulator, project: Path
    ):
        emulator.faults.script([Fault(operation="Jobs_CreateOrUpdate", do="cut", when="before")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert len(attempts(session, submission.id)) == 1

    def test_throttling_is_waited_out(self, session: Session, emulator: AzureEmulator, project: Path):
        emulator.faults.script(
            [Fault(operation="Jobs_CreateOrUpdate", do="fail", code="throttled", times=2, seconds=1.0)]
        )
        submit(session, prepared(session, job("hello", "hello.py"), project))
        outcomes = [entry.outcome for entry in emulator.ledger.calls(operation="Jobs_CreateOrUpdate")]
        assert len(outcomes) == 3
        assert outcomes[-1] == "ok"

    @pytest.mark.slow
    def test_missing_capacity_is_tried_again_by_the_kit(self, session: Session, emulator: AzureEmulator, project: Path):
        emulator.faults.script([Fault(operation="Job:Provisioning", do="fail", code="capacity")])
        ended = self.finished(session, job("hello", "hello.py"), project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)

    @pytest.mark.slow
    def test_a_job_whose_spot_machine_is_taken_goes_on_from_its_checkpoint(
        self, session: Session, emulator: AzureEmulator, project: Path
    ):
        (project / "epochs.py").write_text(EPOCHS)
        emulator.faults.script([Fault(operation="Job:Running", do="fail", code="interruption", seconds=9.0)])
        spec = job("epochs", "epochs.py", resources={"spot": True}, checkpoint=True)
        ended = self.finished(session, spec, project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1), ended.reason
        printed = [line.text for line in jobs.logs(session, ended)]
        assert [text for text in printed if text in {"begin", "go on"}][-1] == "go on"

    def test_a_secret_is_read_by_the_jobs_own_identity_and_shown_nowhere(
        self, session: Session, emulator: AzureEmulator, environment: AzureEnvironment, project: Path
    ):
        name = environment.vaults["default"].removeprefix("https://").partition(".")[0]
        emulator.vault.put(name, "risk-db", PASSWORD)
        (project / "secret.py").write_text(SECRET)
        spec = job("secret", "secret.py", secrets={"PASSWORD": "risk-db"})
        ended = self.finished(session, spec, project)
        assert ended.state is JobState.SUCCEEDED, ended.reason
        assert "the password is ***" in [line.text for line in jobs.logs(session, ended)]
        assert PASSWORD not in json.dumps(ended.native)
        trainer = emulator.credentials("trainer").principal.object_id
        with emulator.policy.without(trainer, "Microsoft.KeyVault/vaults/secrets/getSecret/action"):
            refused = self.finished(
                session, job("secret", "secret.py", "again", secrets={"PASSWORD": "risk-db"}), project
            )
        assert refused.state is JobState.FAILED
        assert "secret PASSWORD cannot be read" in refused.reason

    def test_a_script_finds_azures_own_variables_and_its_run_in_mlflow(self, session: Session, project: Path):
        (project / "variables.py").write_text(VARIABLES)
        spec = job("variables", "variables.py", inputs={"data": "data.csv"})
        ended = self.finished(session, spec, project)
        printed = [line.text for line in jobs.logs(session, ended) if line.text.startswith("{")]
        found = json.loads(printed[0])
        assert found["AZUREML_RUN_ID"] == found["MLFLOW_RUN_ID"] == ended.native_id
        assert found["MLFLOW_EXPERIMENT_NAME"] == "variables"
        assert found["AZURE_ML_INPUT_data"].endswith("data.csv")

    def test_an_environments_cluster_runs_the_job(self, environment: AzureEnvironment, folders: Folders, project: Path):
        clusters = {"clusters": {"cpu": {"machine": "Standard_DS3_v2"}}}
        known = environment.model_copy(update={"native": {**environment.native, **clusters}})
        with open_session(known, folders=folders, say=lambda _: None) as session:
            ended = self.finished(session, job("hello", "hello.py"), project)
        assert (ended.state, ended.machine) == (JobState.SUCCEEDED, environment.compute["cpu"]), ended.reason

    @pytest.mark.slow
    def test_a_job_without_the_internet_gets_its_packages_as_wheels(
        self, environment: AzureEnvironment, project: Path, folders: Folders
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
        self, emulator: AzureEmulator, environment: AzureEnvironment, folders: Folders
    ):
        grant(emulator, environment)
        found = {check.name: check for check in doctor.examine(environment, folders)}
        ill = {name: check.detail for name, check in found.items() if check.verdict is doctor.Verdict.ILL}
        assert ill == {}
        looked_at = {"credentials", "jobs", "models", "endpoints", "workspace", "identity trainer", "cluster cpu"}
        assert looked_at <= found.keys()
        rights = {name: check.verdict for name, check in found.items() if name.startswith("rights: ")}
        assert set(rights.values()) == {doctor.Verdict.WELL}
        assert "rights: identities on mlinfra-trainer" in rights

    def test_the_doctor_names_the_right_that_is_missing(
        self, emulator: AzureEmulator, environment: AzureEnvironment, folders: Folders
    ):
        missing = "Microsoft.MachineLearningServices/workspaces/jobs/cancel/action"
        grant(emulator, environment, without=missing)
        found = {check.name: check for check in doctor.examine(environment, folders)}
        assert found["rights: jobs on mlinfra"].verdict is doctor.Verdict.ILL
        assert found["rights: jobs on mlinfra"].permission == missing
        assert found["rights: assets on mlinfra"].verdict is doctor.Verdict.WELL

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the vendor's package imports
    def test_the_vendors_own_objects(
        self, session: Session, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "")  # which the vendor's client sets for the whole process
        monkeypatch.delenv("AZUREML_CURRENT_CLOUD")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", session.environment.native["emulator"]["ca_file"])
        ended = self.finished(session, job("hello", "hello.py"), project)
        theirs = session.client.native("job", ended.native_id)
        assert theirs.status == "Completed"
        version = register(session, "slopes", package(tmp_path))
        model = session.client.native("model", version.native_id)
        assert (model.name, model.version) == (f"slopes-{session.environment.suffix}", "1")


class TestSharedRegistry(Alone):
    """An environment whose models lie in a registry that several workspaces share."""

    @pytest.fixture
    def environment(self, emulator: AzureEmulator) -> AzureEnvironment:
        return emulator.environment(registry="shared")

    def test_a_version_is_published_marked_and_deleted_there(
        self, session: Session, emulator: AzureEmulator, environment: AzureEnvironment, tmp_path: Path
    ):
        grant(emulator, environment)
        first, second = registered(session, tmp_path), registered(session, tmp_path, slope=3.0)
        assert (first.version, second.version) == ("1", "2")
        assert "/registries/shared/" in first.native_id
        alias(session, "slopes:1", "champion")
        alias(session, "slopes:2", "champion")
        stage(session, "slopes:2", "staging")
        assert [(each.version, each.aliases, each.stage) for each in versions(session, "slopes")] == [
            ("2", ("champion",), "staging"),
            ("1", (), ""),
        ]
        assert download(session, "slopes@champion", tmp_path / "fetched").version == "2"
        unalias(session, "slopes", "champion")
        delete_model(session, "slopes")
        assert list(versions(session, "slopes")) == []
        assert emulator.leftovers() == []


class TestWhereListsLag(Alone):
    """Ten seconds pass until a list shows what was made."""

    settings = Settings(delays_scale=0.01, list_lag=10.0)

    def test_a_reply_that_is_lost_leaves_one_job(self, session: Session, emulator: AzureEmulator, project: Path):
        emulator.faults.script([Fault(operation="Jobs_CreateOrUpdate", do="cut", when="after")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert submission.job.native_id
        assert len(emulator.ledger.calls(operation="Jobs_CreateOrUpdate")) == 1

    def test_two_machines_at_once_make_one_job(
        self, environment: AzureEnvironment, emulator: AzureEmulator, project: Path, tmp_path: Path
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
        listed = emulator.jobs.leftovers()  # type: ignore[attr-defined]  # a family of the emulator
        assert len(listed) == 1


def operations(emulator: AzureEmulator) -> list[str]:
    """The control plane's calls so far."""
    return [entry.operation for entry in emulator.ledger.calls(control=True)]


def as_principal(emulator: AzureEmulator, environment: AzureEnvironment, identity: str) -> AzureEnvironment:
    """The same environment for somebody else."""
    credentials = {"credentials": emulator.credentials(identity).as_document()}
    return environment.model_copy(update={"native": {**environment.native, **credentials}})


def grant(emulator: AzureEmulator, environment: AzureEnvironment, *, without: str = "") -> None:
    """Let every identity do what `env permissions` prints for it, and nothing else."""
    objects = {each: emulator.credentials(each).principal.object_id for each in environment.identities.values()}
    for each in emulator.assignments.all():
        if each.principal in objects.values():
            emulator.assignments.revoke(each.name)
    document = policy(environment)
    for own, role in document["roles"].items():
        actions = tuple(action for action in role["Actions"] if action != without)
        emulator.assignments.define(guid(own), Role(own, actions, data_actions=tuple(role["DataActions"]), custom=True))
    for each in document["assignments"]:
        emulator.assignments.assign(objects[each["assignee"]], guid(each["role"]), each["scope"])


def guid(name: str) -> str:
    """The GUID of a role of ours."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
