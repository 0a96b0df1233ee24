"""What is Azure ML's alone, beside the suite: on the emulator, with its ledger, its policies and its faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.requests import Request
from mlinfra.contract.states import JobState
from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.engine import doctor, jobs
from mlinfra.engine.deletion import delete_model
from mlinfra.engine.folders import Folders
from mlinfra.engine.marks import alias, stage, unalias
from mlinfra.engine.models import download, register
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.engine.versions import versions
from mlinfra.errors import WrongAccount
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.models import package, registered
from mlinfra.testing.projects import job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.environment import AzureEnvironment
    from mlinfra.spec import JobSpec

    Grant = Callable[..., None]

pytestmark = pytest.mark.slow

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

    def test_the_doctor_names_the_right_that_is_missing(
        self, emulator: AzureEmulator, environment: AzureEnvironment, folders: Folders, grant: Grant
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
        self, session: Session, emulator: AzureEmulator, environment: AzureEnvironment, tmp_path: Path, grant: Grant
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


def operations(emulator: AzureEmulator) -> list[str]:
    """The control plane's calls so far."""
    return [entry.operation for entry in emulator.ledger.calls(control=True)]
