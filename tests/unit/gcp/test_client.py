"""Who we are, whom we reach, and that nothing of this machine gets in between."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2

from mlinfra.contract.requests import Request
from mlinfra.emulator.faults import Fault
from mlinfra.errors import CapabilityError, NotFound, SpecError, Throttled, Unavailable
from mlinfra_gcp.client import GcpClient, _document, _message
from mlinfra_gcp.places import is_artifact_registry, project_of

if TYPE_CHECKING:
    from mlinfra.emulator.gcp import GcpEmulator
    from mlinfra.environment import GcpEnvironment

PLACE = "projects/p/locations/europe-west4"


def listing(service: str = "JobService", operation: str = "ListCustomJobs", **body: Any) -> Request:
    return Request(step="x", service=service, operation=operation, body={"parent": PLACE, **body}, effect=False)


@pytest.mark.parametrize(
    ("principal", "project"),
    [
        ("mlinfra-trainer@risk-prod.iam.gserviceaccount.com", "risk-prod"),
        ("mara@example.com", "no project of theirs"),
        ("", "no project of theirs"),
    ],
)
def test_a_service_account_tells_its_project_and_a_person_none(principal: str, project: str):
    assert project_of(principal) == project


def test_the_caller_is_who_the_token_says_and_belongs_where_rights_are(client: GcpClient, emulator: GcpEmulator):
    caller = client.caller()
    assert caller.account == emulator.project
    assert caller.principal == client._environment.identities["deployer"]


def test_who_has_no_right_in_the_project_belongs_elsewhere(emulator: GcpEmulator):
    environment = emulator.environment()
    emulator.principals.create("stranger@elsewhere.iam.gserviceaccount.com")
    token = emulator.credentials("stranger@elsewhere.iam.gserviceaccount.com").token
    theirs = GcpClient(
        environment.model_copy(update={"native": {**environment.native, "credentials": {"token": token}}})
    )
    assert theirs.caller().account == "elsewhere"
    theirs.close()


def test_an_emulated_environment_reads_nothing_of_this_machine(emulator: GcpEmulator, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json",
        "GOOGLE_CLOUD_PROJECT": "production",
        "GCE_METADATA_HOST": "192.0.2.1",
        "STORAGE_EMULATOR_HOST": "http://192.0.2.1",
        "HTTPS_PROXY": "http://192.0.2.1:3128",
        "HTTP_PROXY": "http://192.0.2.1:3128",
        "https_proxy": "http://192.0.2.1:3128",
        "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "/nowhere/ca.pem",
        "GOOGLE_BASE_URL": "https://192.0.2.1",
        "GOOGLE_SERVICE_ACCOUNT": "/nowhere/key.json",
    }.items():
        monkeypatch.setenv(name, value)
    client = GcpClient(emulator.environment())
    assert client.caller().account == emulator.project
    place = f"projects/{emulator.project}/locations/{emulator.region}"
    assert client.send(listing("ModelService", "ListModels", parent=place)) == {}
    client.store().put("a", b"b")
    assert client.store().get("a") == b"b"
    client.store().delete("a")
    client.close()


@pytest.mark.parametrize("address", ["https://europe-west4-aiplatform.googleapis.com", "http://192.0.2.1"])
def test_an_emulated_environment_never_leads_beyond_this_machine(at_hand: GcpEnvironment, address: str):
    with pytest.raises(SpecError, match="beyond this machine"):
        GcpClient(at_hand.model_copy(update={"endpoints": {"aiplatform": address}}))


def test_nor_does_an_address_that_an_endpoint_tells(at_hand: GcpEnvironment):
    body = {
        "endpoint": f"{PLACE}/endpoints/1",
        "httpBody": {"contentType": "application/json", "data": base64.b64encode(b"{}").decode()},
    }
    with pytest.raises(SpecError, match="beyond this machine"):
        GcpClient(at_hand)._predict({**body, "host": "1.europe-west4-1.prediction.vertexai.goog"})


def test_a_service_that_the_emulator_lacks_is_not_looked_for_elsewhere(at_hand: GcpEnvironment):
    client = GcpClient(at_hand)
    asked = Request("x", "monitoring", "ListTimeSeries", {"name": "projects/p"}, effect=False)
    with pytest.raises(CapabilityError, match="no service monitoring"):
        client.send(asked)


def test_an_emulated_environment_without_credentials_is_refused(at_hand: GcpEnvironment):
    with pytest.raises(SpecError, match="own credentials"):
        GcpClient(at_hand.model_copy(update={"native": {}}))


def test_a_body_that_the_service_would_refuse_is_not_sent(at_hand: GcpEnvironment):
    with pytest.raises(SpecError, match="did you mean pageSize"):
        GcpClient(at_hand).send(listing(pageSise=3))


def test_a_service_that_nobody_answers_for_was_not_reached(at_hand: GcpEnvironment):
    client = GcpClient(at_hand)
    with pytest.raises(Unavailable) as refused:
        client.send(listing())
    assert refused.value.sent is False
    client.close()


def test_nothing_is_tried_again(client: GcpClient, emulator: GcpEmulator):
    emulator.ledger.clear()
    emulator.faults.script([Fault(operation="ListModels", do="fail", code="throttled")])
    place = f"projects/{emulator.project}/locations/{emulator.region}"
    with pytest.raises(Throttled):
        client.send(listing("ModelService", "ListModels", parent=place))
    assert len(emulator.ledger.calls(operation="ListModels")) == 1


def test_an_unknown_store_is_named_with_those_there_are(at_hand: GcpEnvironment):
    with pytest.raises(NotFound, match="artefacts, data"):
        GcpClient(at_hand).store("nobody")


def test_a_message_is_read_and_told_as_json():
    asked = _message("ListCustomJobs", {"parent": PLACE, "pageSize": 3, "readMask": "jobSpec,displayName"})
    assert list(asked.read_mask.paths) == ["job_spec", "display_name"]
    machine = types.MachineSpec(machine_type="n1-standard-4", accelerator_type=types.AcceleratorType.NVIDIA_TESLA_T4)
    pool = types.WorkerPoolSpec(machine_spec=machine, replica_count=2**40)
    job = types.CustomJob(labels={"a": "b"}, job_spec=types.CustomJobSpec(worker_pool_specs=[pool]))
    told = _document(job)
    assert told["labels"] == {"a": "b"}
    assert told["jobSpec"]["workerPoolSpecs"][0]["replicaCount"] == 2**40
    assert told["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["acceleratorType"] == "NVIDIA_TESLA_T4"
    assert _document(None) == {}


def test_an_operation_always_says_whether_it_is_done():
    assert _document(operations_pb2.Operation(name="o")) == {"name": "o", "done": False}


def test_no_module_but_the_client_imports_google():
    script = (
        "import sys, mlinfra_gcp.config, mlinfra_gcp.errors, mlinfra_gcp.native, mlinfra_gcp.observe\n"
        "import mlinfra_gcp.doctor, mlinfra_gcp.rest, mlinfra_gcp.render.jobs, mlinfra_gcp.render.models\n"
        "import mlinfra_gcp.render.endpoints\n"
        "print({'google.auth', 'google.api_core', 'google.protobuf', 'grpc', 'obstore', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_connecting_does_not_load_the_generated_clients():
    script = (
        "import sys, mlinfra_gcp.client\n"
        "print([name for name in sys.modules if name.startswith('google.cloud.aiplatform')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("registry", "ours"),
    [
        ("europe-west4-docker.pkg.dev", True),
        ("eu.gcr.io", True),
        ("gcr.io", True),
        ("docker.io", False),
        ("notgcr.io", False),
        ("docker.pkg.dev.example.com", False),
    ],
)
def test_googles_registries_are_known_by_their_names(registry: str, *, ours: bool):
    assert is_artifact_registry(registry) is ours


def test_an_emulated_environments_token_goes_to_registries_of_this_machine_alone(at_hand: GcpEnvironment):
    client = GcpClient(at_hand)
    assert client.registry_login("europe-west4-docker.pkg.dev") is None
    login = client.registry_login("localhost:5000")
    assert login is not None
    assert (login.scheme, login.token) == ("google", "ya29.none")
