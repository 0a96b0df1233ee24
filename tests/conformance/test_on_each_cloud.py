"""What every emulated cloud can show beside the suite: with its ledger, its policies and its faults.

What is one cloud's alone lies in a file of its own, `test_<cloud>_alone.py`.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mlinfra.contract.states import JobState
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.platforms import load
from mlinfra.emulator.settings import Settings
from mlinfra.engine import claims, doctor, jobs
from mlinfra.engine.approval import approve, require_approved
from mlinfra.engine.deletion import delete_model
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete as delete_endpoint
from mlinfra.engine.endpoints import invoke
from mlinfra.engine.folders import Folders
from mlinfra.engine.marks import alias, stage, unalias
from mlinfra.engine.models import download
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.engine.track import attempts
from mlinfra.engine.versions import resolve
from mlinfra.environment import Network
from mlinfra.errors import Denied
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.models import registered
from mlinfra.testing.projects import job, training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.emulator.emulator import Emulator
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

    Grant = Callable[[Emulator, Environment], None]

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


class Cloud(NamedTuple):
    """What differs: operations, what scripts name a job's moments, what a log keeps of the first attempt, rights."""

    create: str
    throttled: str
    waiting: str
    running: str
    interrupted_after: float  # virtual seconds, with the container's own start in them
    printed: list[str]
    examined: set[str]
    right: str
    reads_secrets: str = ""


CLOUDS = {
    "aws": Cloud(
        create="CreateTrainingJob",
        throttled="ThrottlingException",
        waiting="TrainingJob:Launching",
        running="TrainingJob:Training",
        interrupted_after=1.0,
        printed=["begin", "go on"],
        examined={"role trainer", "image base", "rights: Jobs", "rights: ScalingRole", "rights: Identities"},
        right="sagemaker:CreateTrainingJob",
    ),
    "gcp": Cloud(
        create="CreateCustomJob",
        throttled="RESOURCE_EXHAUSTED",
        waiting="CustomJob:Provisioning",
        running="CustomJob:Running",
        interrupted_after=9.0,
        printed=["begin", "go on"],
        examined={"account trainer", "image base", "rights: jobs", "rights: act as mlinfra-trainer"},
        right="aiplatform.customJobs.create",
        reads_secrets="secretmanager.versions.access",
    ),
    "azure": Cloud(
        create="Jobs_CreateOrUpdate",
        throttled="SubscriptionRequestsThrottled",
        waiting="Job:Provisioning",
        running="Job:Running",
        interrupted_after=9.0,
        printed=["go on"],  # the second attempt writes over the first one's file
        examined={"workspace", "identity trainer", "cluster cpu", "rights: identities on mlinfra-trainer"},
        right="Microsoft.MachineLearningServices/workspaces/jobs/write",
        reads_secrets="Microsoft.KeyVault/vaults/secrets/getSecret/action",
    ),
}
OTHER_RIGHTS = (
    ("gcp", "aiplatform.customJobs.list"),
    ("gcp", "storage.objects.create"),
    ("gcp", "iam.serviceAccounts.actAs"),
    ("azure", "Microsoft.MachineLearningServices/workspaces/codes/versions/write"),
    ("azure", "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"),
    ("azure", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"),
)


def on(*clouds: str, aws: str = "thorough") -> Any:
    """Run on these clouds. SageMaker stands for the others in the short run, but where it is `slow` itself."""
    marks = {"aws": getattr(pytest.mark, aws)}
    rows = [pytest.param(cloud, marks=marks.get(cloud, pytest.mark.slow)) for cloud in clouds or CLOUDS]
    return pytest.mark.parametrize("emulator", rows, indirect=True)


class Each(Suite):
    settings = Settings(delays_scale=0.01)

    @pytest.fixture
    def emulator(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        with load(request.param)(tmp_path / "emulator", self.settings) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: Any) -> Environment:
        return emulator.environment()

    @pytest.fixture
    def cloud(self, emulator: Any) -> Cloud:
        return CLOUDS[emulator.platform]

    def finished(self, session: Session, spec: JobSpec, project: Path) -> JobObservation:
        submission = submit(session, prepared(session, spec, project))
        return jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)[0][-1]


class TestOnEachCloud(Each):
    @on(aws="slow")
    def test_nothing_is_left_when_all_is_deleted(self, session: Session, emulator: Any, project: Path, tmp_path: Path):
        ended = self.finished(session, training("train", 0.9), project)
        registered(session, tmp_path)
        assert len(emulator.leftovers()) > 2
        jobs.delete(session, ended)
        for model in ("model", "slopes"):
            delete_model(session, model)
        assert emulator.leftovers() == []
        kept = [info.key for info in session.client.store().list("")]
        assert [key for key in kept if key.startswith(("jobs/", "models/", "kit/claims/"))] == []

    @on("gcp", "azure")
    def test_a_deleted_job_may_be_submitted_again_at_once(self, session: Session, project: Path):
        ended = self.finished(session, job("hello", "hello.py"), project)
        jobs.delete(session, ended)
        before = time.monotonic()
        assert not submit(session, prepared(session, job("hello", "hello.py"), project)).reused
        assert time.monotonic() - before < claims.LIFETIME / 2

    @on(aws="slow")
    def test_the_printed_policies_suffice(
        self, session: Session, emulator: Any, project: Path, tmp_path: Path, grant: Grant
    ):
        grant(emulator, session.environment)
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

    @on(aws="slow")
    def test_the_printed_policies_suffice_for_an_endpoint(
        self, session: Session, emulator: Any, tmp_path: Path, grant: Grant
    ):
        grant(emulator, session.environment)
        version = registered(session, tmp_path)
        deploy(session, EndpointSpec(name="slopes", model=version.name, capture={"sample": "100%"}))
        reply = invoke(session, "slopes", rows=[{"x": 2.0}])
        assert json.loads(reply.body)["predictions"] == [4.0]
        delete_endpoint(session, "slopes")
        delete_model(session, "slopes")
        assert emulator.leftovers() == []

    @pytest.mark.parametrize(
        ("emulator", "permission"),
        [
            pytest.param("aws", CLOUDS["aws"].right, marks=pytest.mark.thorough),
            *(pytest.param(each, CLOUDS[each].right, marks=pytest.mark.slow) for each in ("gcp", "azure")),
            *(pytest.param(*each, marks=pytest.mark.slow) for each in OTHER_RIGHTS),
        ],
        indirect=["emulator"],
    )
    def test_a_missing_permission_is_named_and_nothing_else_is_refused(
        self, permission: str, session: Session, emulator: Any, project: Path
    ):
        ready = prepared(session, job("hello", "hello.py"), project)
        with emulator.policy.without(principal(emulator, "deployer"), permission):
            with pytest.raises(Denied) as refusal:
                submit(session, ready)
            assert permission in str(refusal.value) or "storage" in permission.lower()
        assert jobs.list_jobs(session) == []
        assert not submit(session, ready).reused

    @on()
    def test_only_an_approver_decides_and_his_word_counts(
        self, session: Session, emulator: Any, folders: Folders, tmp_path: Path, grant: Grant
    ):
        grant(emulator, session.environment)
        version = registered(session, tmp_path)
        with pytest.raises(Denied):
            approve(session, version.name)
        credentials = {"credentials": emulator.credentials("approver").as_document()}
        native = {**session.environment.native, **credentials}
        theirs = session.environment.model_copy(update={"stage": "prod", "native": native})
        with open_session(theirs, folders=folders, say=lambda _: None) as approver:
            decision = approve(approver, version.name)
            assert principal(emulator, "approver").rpartition("/")[2] in decision.approver  # AWS tells a role's session
            require_approved(approver, resolve(approver, version.name))

    @on()
    def test_a_connection_cut_after_the_effect_leaves_one_job(
        self, session: Session, emulator: Any, cloud: Cloud, project: Path
    ):
        emulator.faults.script([Fault(operation=cloud.create, do="cut", when="after")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert len(attempts(session, submission.id)) == 1
        assert len(emulator.ledger.calls(operation=cloud.create)) == 1

    @on("gcp", "azure")
    def test_a_connection_cut_before_the_effect_is_tried_again(
        self, session: Session, emulator: Any, cloud: Cloud, project: Path
    ):
        emulator.faults.script([Fault(operation=cloud.create, do="cut", when="before")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert len(attempts(session, submission.id)) == 1

    @on()
    def test_throttling_is_waited_out(self, session: Session, emulator: Any, cloud: Cloud, project: Path):
        emulator.faults.script([Fault(operation=cloud.create, do="fail", code="throttled", times=2, seconds=1.0)])
        submit(session, prepared(session, job("hello", "hello.py"), project))
        outcomes = [entry.outcome for entry in emulator.ledger.calls(operation=cloud.create)]
        assert outcomes == [cloud.throttled, cloud.throttled, "ok"]

    @on()
    def test_missing_capacity_is_tried_again_by_the_kit(
        self, session: Session, emulator: Any, cloud: Cloud, project: Path
    ):
        emulator.faults.script([Fault(operation=cloud.waiting, do="fail", code="capacity")])
        ended = self.finished(session, job("hello", "hello.py"), project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)

    @on()
    def test_a_job_whose_spot_machine_is_taken_goes_on_from_its_checkpoint(
        self, session: Session, emulator: Any, cloud: Cloud, project: Path
    ):
        (project / "epochs.py").write_text(EPOCHS)
        taken = Fault(operation=cloud.running, do="fail", code="interruption", seconds=cloud.interrupted_after)
        emulator.faults.script([taken])
        spec = job("epochs", "epochs.py", resources={"spot": True}, checkpoint=True)
        ended = self.finished(session, spec, project)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1), ended.reason
        printed = [line.text for line in jobs.logs(session, ended) if line.text in {"begin", "go on"}]
        assert printed[-len(cloud.printed) :] == cloud.printed

    @on("gcp", "azure")
    def test_a_secret_is_read_by_the_jobs_own_identity_and_shown_nowhere(
        self, session: Session, emulator: Any, cloud: Cloud, project: Path
    ):
        put_secret(emulator, session.environment, "risk-db")
        (project / "secret.py").write_text(SECRET)
        spec = job("secret", "secret.py", secrets={"PASSWORD": "risk-db"})
        ended = self.finished(session, spec, project)
        assert ended.state is JobState.SUCCEEDED, ended.reason
        assert "the password is ***" in [line.text for line in jobs.logs(session, ended)]
        assert PASSWORD not in json.dumps(ended.native)
        with emulator.policy.without(principal(emulator, "trainer"), cloud.reads_secrets):
            refused = self.finished(
                session, job("secret", "secret.py", "again", secrets={"PASSWORD": "risk-db"}), project
            )
        assert refused.state is JobState.FAILED
        assert "secret PASSWORD cannot be read" in refused.reason

    @on("gcp", "azure")
    def test_a_job_without_the_internet_gets_its_packages_as_wheels(
        self, environment: Environment, project: Path, folders: Folders
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

    @on(aws="slow")
    def test_the_doctor_has_nothing_to_complain_of_where_the_policies_are_as_printed(
        self, emulator: Any, environment: Environment, cloud: Cloud, folders: Folders, grant: Grant
    ):
        grant(emulator, environment)
        self.examined_well(environment, folders, cloud)

    @on(aws="slow")
    def test_nor_where_they_are_as_the_emulator_seeds_them(
        self, environment: Environment, cloud: Cloud, folders: Folders
    ):
        self.examined_well(environment, folders, cloud)

    def examined_well(self, environment: Environment, folders: Folders, cloud: Cloud) -> None:
        found = {check.name: check for check in doctor.examine(environment, folders)}
        ill = {name: check.detail for name, check in found.items() if check.verdict is doctor.Verdict.ILL}
        assert ill == {}
        assert {"credentials", "jobs", "models", "endpoints", *cloud.examined} <= found.keys()
        rights = {name: check.verdict for name, check in found.items() if name.startswith("rights: ")}
        assert set(rights.values()) == {doctor.Verdict.WELL}


class TestWhereListsLag(Each):
    """Ten seconds pass until a list shows what was made."""

    settings = Settings(delays_scale=0.01, list_lag=10.0)

    @on("gcp", "azure")
    def test_a_reply_that_is_lost_leaves_one_job(self, session: Session, emulator: Any, cloud: Cloud, project: Path):
        emulator.faults.script([Fault(operation=cloud.create, do="cut", when="after")])
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert submission.job.native_id
        assert len(emulator.ledger.calls(operation=cloud.create)) == 1

    @on("gcp", "azure")
    def test_two_machines_at_once_make_one_job(
        self, environment: Environment, emulator: Any, project: Path, tmp_path: Path
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
        assert len(emulator.jobs.leftovers()) == 1


def principal(emulator: Any, identity: str) -> str:
    """By which name the policies, and decisions, know an identity of the environment."""
    if emulator.platform == "azure":
        return str(emulator.credentials(identity).principal.object_id)
    return str(emulator.environment().identities[identity])


def put_secret(emulator: Any, environment: Environment, name: str) -> None:
    """Keep the password in the environment's vault."""
    if emulator.platform == "gcp":
        emulator.secrets.put(name, PASSWORD)
    else:
        vault = environment.vaults["default"].removeprefix("https://").partition(".")[0]
        emulator.vault.put(vault, name, PASSWORD)
