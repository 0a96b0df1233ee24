"""What a container finds: variables, folders, the metadata server, Cloud Storage; and its lines in Cloud Logging."""

from __future__ import annotations

import io
import json
import tarfile
import urllib.error
import urllib.request

import pytest
from google.cloud.aiplatform_v1 import JobState

TELL = "import json, os; print(json.dumps({'message': json.dumps(dict(os.environ))}))"


@pytest.fixture
def environ(submit, until, lines):
    """The variables of a container."""

    def read(job=None) -> dict[str, str]:
        (line,) = lines(until(job or submit(TELL)))
        found: dict[str, str] = json.loads(line)
        return found

    return read


def test_the_variables_of_the_service_are_there(submit, environ, base, emulator):
    job = submit(TELL)
    told = environ(job)
    assert (told["AIP_MODEL_DIR"], told["AIP_CHECKPOINT_DIR"]) == (f"{base}/model/", f"{base}/checkpoints/")
    assert told["AIP_TENSORBOARD_LOG_DIR"] == f"{base}/logs/"
    assert told["CLOUD_ML_PROJECT_ID"] == emulator.project_number
    assert told["CLOUD_ML_JOB_ID"] == job.name.rpartition("/")[2]
    cluster = json.loads(told["CLUSTER_SPEC"])
    assert cluster["task"] == {"type": "workerpool0", "index": 0}
    assert list(cluster["cluster"]) == ["workerpool0"]


def test_without_an_output_directory_there_are_none(submit, environ):
    told = environ(submit(TELL, base_output_directory=None))
    assert not [name for name in told if name.startswith("AIP_")]


def test_nothing_of_the_host_or_its_user_is_told(environ, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/secret.json")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    told = environ()
    names = {"MLINFRA_RESULT", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "MLINFRA_REPLICA"}
    assert not names & set(told)
    assert "secret" not in json.dumps({name: value for name, value in told.items() if "SECRET" in name.upper()})
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in told


def test_command_arguments_and_variables_arrive_as_they_were_given(run, pool, until, lines):
    words = ["a b", "$HOME", "'", '"', "*", "", "é\n"]
    code = "import json, os, sys; print(json.dumps({'message': json.dumps([sys.argv[1:], os.environ['A']])}))"
    spec = pool(code, args=words, env=[{"name": "A", "value": "$(x) 'y'"}, {"name": "RANK", "value": "7"}])
    job = until(run(spec))
    assert json.loads(lines(job)[0]) == [words, "$(x) 'y'"]


def test_an_image_runs_its_own_program_where_no_command_is_given(run, pool, until, lines, emulator):
    mine = f"europe-west4-docker.pkg.dev/{emulator.project}/mine/tool:1"
    emulator.artifacts.register(mine, "", command=("{python}", "-c", "import sys; print('mine', sys.argv[1])"))
    spec = pool("", image_uri=mine, command=[], args=["x"])
    assert lines(until(run(spec))) == ["mine x"]


def test_an_image_without_a_known_program_needs_a_command(run, pool, until):
    spec = pool("", command=[])
    job = until(run(spec))
    assert job.state == JobState.JOB_STATE_FAILED
    assert "not emulated" in job.error.message


def test_folders_are_its_own_and_gone_afterwards(environ, emulator):
    told = environ()
    for name in ("HOME", "TMPDIR", "PWD"):
        assert told[name].startswith(str(emulator.folder / "jobs"))
    assert list((emulator.folder / "jobs").iterdir()) == []


STORE = """
from google.cloud import storage
import os
bucket, _, prefix = os.environ["AIP_MODEL_DIR"][len("gs://"):].partition("/")
client = storage.Client()
client.bucket(bucket).blob(prefix + "model.txt").upload_from_string("trained")
print(client.bucket(bucket).blob(prefix + "model.txt").download_as_text())
try:
    client.bucket(bucket).blob("approvals/x").upload_from_string("mine")
except Exception as error:
    print(type(error).__name__)
"""


def test_the_vendors_storage_client_acts_as_the_jobs_account(  # noqa: PLR0917  fixtures
    submit, until, lines, emulator, base, account
):
    job = until(submit(STORE))
    assert job.state == JobState.JOB_STATE_SUCCEEDED, lines(job)
    assert lines(job) == ["trained", "Forbidden"]
    assert emulator.storage.read(f"{base}/model/model.txt") == b"trained"
    principals = {entry.principal for entry in emulator.ledger.calls("storage", control=False)}
    assert principals == {account}


ADC = """
import google.auth, google.auth.transport.requests, os
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(google.auth.transport.requests.Request())
print(project, credentials.service_account_email)
session = google.auth.transport.requests.AuthorizedSession(credentials)
bucket = os.environ["AIP_MODEL_DIR"].split("/")[2]
print(session.get(os.environ["STORAGE_EMULATOR_HOST"] + "/storage/v1/b/" + bucket).status_code)
"""


def test_default_credentials_come_from_the_metadata_server(submit, until, lines, emulator, account):
    job = until(submit(ADC))
    assert lines(job) == [f"{emulator.project} {account}", "200"]


def test_a_job_that_names_nobody_runs_as_the_services_agent(submit, until, lines, emulator):
    job = until(submit(ADC, service_account=""))
    agent = f"service-{emulator.project_number}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
    assert lines(job)[0] == f"{emulator.project} {agent}"


class TestMetadata:
    @pytest.fixture
    def ask(self, emulator, account):
        machine = emulator.metadata.open(account, {"name": "m"})

        def get(path: str, **headers: str) -> tuple[int, str]:
            told = (
                {"Metadata-Flavor": "Google"} if not headers else {k.replace("_", "-"): v for k, v in headers.items()}
            )
            url = f"http://{machine.variables()['GCE_METADATA_HOST']}{path}"
            request = urllib.request.Request(url, headers=told)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  an address of our own
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, refused.read().decode()

        yield get
        emulator.metadata.close(machine)

    def test_it_tells_what_documents_name(self, ask, emulator, account):
        root = "/computeMetadata/v1"
        assert ask(f"{root}/project/project-id") == (200, emulator.project)
        assert ask(f"{root}/project/numeric-project-id") == (200, emulator.project_number)
        assert ask(f"{root}/instance/zone") == (200, f"projects/{emulator.project_number}/zones/europe-west4-a")
        assert ask(f"{root}/instance/attributes/name") == (200, "m")
        assert ask(f"{root}/instance/service-accounts/default/email") == (200, account)
        assert ask(f"{root}/instance/service-accounts/") == (200, f"default/\n{account}/\n")
        assert "cloud-platform" in ask(f"{root}/instance/service-accounts/default/scopes")[1]
        recursive = json.loads(ask(f"{root}/instance/service-accounts/default/?recursive=true")[1])
        assert (recursive["email"], recursive["aliases"]) == (account, ["default"])
        assert ask(f"{root}/instance/none")[0] == 404

    def test_tokens_are_the_accounts(self, ask, emulator, account):
        status, text = ask("/computeMetadata/v1/instance/service-accounts/default/token")
        told = json.loads(text)
        assert (status, told["token_type"]) == (200, "Bearer")
        assert 0 < told["expires_in"] <= 3600
        assert emulator.principals.holder(told["access_token"]) == account

    def test_who_does_not_name_the_flavour_or_was_forwarded_is_refused(self, ask):
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        assert ask(path, Accept="*/*")[0] == 403
        assert ask(path, Metadata_Flavor="Google", X_Forwarded_For="10.0.0.1")[0] == 403
        assert ask("/", Metadata_Flavor="Google") == (200, "computeMetadata/\n")

    def test_an_account_that_is_gone_gets_no_token(self, ask, emulator, account):
        emulator.principals.remove(account)
        assert ask("/computeMetadata/v1/instance/service-accounts/default/token")[0] == 404

    def test_servers_of_one_account_share_an_address(self, emulator, account):
        assert emulator.metadata.variables(account) == emulator.metadata.variables(account)


class TestSecrets:
    READ = """
import base64, google.auth, google.auth.transport.requests, os
credentials, project = google.auth.default()
session = google.auth.transport.requests.AuthorizedSession(credentials)
address = os.environ["SECRETS"] + "/v1/projects/" + project + "/secrets/key/versions/latest:access"
answer = session.get(address)
print(answer.status_code, base64.b64decode(answer.json()["payload"]["data"]).decode() if answer.ok else "")
"""

    @pytest.fixture
    def secret(self, run, pool, until, lines, emulator):
        def wait() -> list[str]:
            spec = pool(self.READ, env=[{"name": "SECRETS", "value": emulator.url}])
            return lines(until(run(spec)))

        return wait

    def test_a_job_reads_the_newest_version(self, secret, emulator):
        emulator.secrets.put("key", "old")
        emulator.secrets.put("key", "new")
        assert secret() == ["200 new"]

    def test_a_job_that_may_not_reads_none(self, secret, emulator, account):
        emulator.secrets.put("key", "new")
        with emulator.policy.without(account, "secretmanager.versions.access"):
            assert secret() == ["403 "]

    def test_secrets_are_made_and_filled_over_the_wire(self, session, emulator, environment):
        member = f"serviceAccount:{environment.identities['deployer']}"
        emulator.identity.bindings.grant(f"projects/{emulator.project}", "roles/owner", member)
        http, root = session(), f"{emulator.url}/v1/projects/{emulator.project}/secrets"
        made = http.post(root, params={"secretId": "k"}, json={"replication": {"automatic": {}}})
        assert made.json()["name"] == f"projects/{emulator.project_number}/secrets/k"
        assert http.post(root, params={"secretId": "k"}, json={}).status_code == 409
        added = http.post(f"{root}/k:addVersion", json={"payload": {"data": "dg=="}})
        assert added.json()["name"].endswith("/versions/1")
        assert http.get(f"{root}/k/versions/1:access").json()["payload"]["data"] == "dg=="
        assert http.get(f"{root}/k/versions/2:access").status_code == 404
        assert http.get(f"{root}/none/versions/latest:access").status_code == 404


class TestPackages:
    @pytest.fixture
    def packaged(self, emulator, base):
        """A source distribution in the bucket, as `setup.py sdist` makes them."""
        setup = "from setuptools import setup\nsetup(name='trainer', version='0.1', packages=['trainer'])\n"
        members = {
            "setup.py": setup,
            "trainer/__init__.py": "",
            "trainer/task.py": "import sys; print('task', sys.argv[1:])",
        }
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for name, text in members.items():
                entry = tarfile.TarInfo(f"trainer-0.1/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        emulator.storage.write(f"{base}/trainer-0.1.tar.gz", content.getvalue())
        return f"{base}/trainer-0.1.tar.gz"

    @pytest.fixture
    def install(self, run, image, until):
        def wait(uri: str):
            package = {
                "executor_image_uri": image,
                "package_uris": [uri],
                "python_module": "trainer.task",
                "args": ["a b"],
            }
            pool = {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "python_package_spec": package,
            }
            return until(run(pool))

        return wait

    @pytest.mark.thorough
    def test_a_package_is_installed_and_its_module_run(self, install, packaged, lines):
        job = install(packaged)
        assert lines(job)[-1:] == ["task ['a b']"]
        assert job.state == JobState.JOB_STATE_SUCCEEDED

    def test_a_package_that_is_not_there_fails_the_job(self, install, base):
        assert "No such object" in install(f"{base}/none.tar.gz").error.message
