"""What is Vertex AI's alone, beside the suite: on the emulator, with its ledger, its policies and its faults."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.gcp import GcpEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.engine import doctor, jobs
from mlinfra.engine.deletion import delete
from mlinfra.engine.models import register
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.engine.versions import versions
from mlinfra.errors import WrongAccount
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.models import package, registered
from mlinfra.testing.projects import job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.engine.folders import Folders
    from mlinfra.environment import GcpEnvironment
    from mlinfra.spec import JobSpec

pytestmark = pytest.mark.slow

VARIABLES = """
import json, os
print(json.dumps({name: os.environ.get(name) for name in ("AIP_MODEL_DIR", "CLOUD_ML_JOB_ID", "CLUSTER_SPEC")}))
"""


class TestAlone(Suite):
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

    def test_credentials_without_rights_in_the_project_send_nothing(
        self, emulator: GcpEmulator, environment: GcpEnvironment, folders: Folders, project: Path
    ):
        emulator.principals.create("mara@elsewhere.iam.gserviceaccount.com")
        theirs = as_principal(emulator, environment, "mara@elsewhere.iam.gserviceaccount.com")
        with open_session(theirs, folders=folders, say=lambda _: None) as stranger, pytest.raises(WrongAccount):
            register(stranger, "slopes", package(project))
        assert [entry.operation for entry in emulator.ledger.calls("storage") if "insert" in entry.operation] == []

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


def operations(emulator: GcpEmulator) -> list[str]:
    """The control plane's calls so far."""
    return [entry.operation for entry in emulator.ledger.calls(control=True)]


def as_principal(emulator: GcpEmulator, environment: GcpEnvironment, identity: str) -> GcpEnvironment:
    """The same environment for somebody else."""
    credentials = {"credentials": {"token": emulator.credentials(identity).token}}
    return environment.model_copy(update={"native": {**environment.native, **credentials}})
