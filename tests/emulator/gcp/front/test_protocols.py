"""One port for gRPC and REST: both transports of the vendor's clients get the same answers and the same errors."""

from __future__ import annotations

import json

import google.auth.transport.requests
import grpc
import pytest
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud import aiplatform_v1 as vertex
from google.longrunning import operations_pb2
from google.oauth2 import service_account

from mlinfra.emulator.faults import Fault
from mlinfra.emulator.settings import Settings

IMAGE = "europe-west4-docker.pkg.dev/mlinfra-emulated/mlinfra/serving:1"
SCOPE = ["https://www.googleapis.com/auth/cloud-platform"]


def model(**members) -> vertex.Model:
    return vertex.Model({"display_name": "credit", "container_spec": {"image_uri": IMAGE}, **members})


def waited(models, name: str) -> operations_pb2.Operation:
    """The client library passes the answer of this one method on as it came."""
    return operations_pb2.Operation.FromString(models.wait_operation({"name": name}))


@pytest.fixture(params=["grpc", "rest"])
def models(request, client, rest_client):
    return (client if request.param == "grpc" else rest_client)("ModelService")


def test_both_transports_run_a_long_operation_to_its_result(models, parent):
    operation = models.upload_model(parent=parent, model=model(labels={"a": "b"}))
    assert not operation.operation.done
    name = operation.result(timeout=20).model
    found = models.get_model(name=f"{name}@1")
    assert (found.version_id, dict(found.labels)) == ("1", {"a": "b"})
    assert models.list_models(parent=parent).models[0].name == name
    assert [each.version_id for each in models.list_model_versions(name=name)] == ["1"]
    assert models.merge_version_aliases(name=f"{name}@1", version_aliases=["champion"]).version_id == "1"
    models.update_model(model=vertex.Model(name=name, description="new"), update_mask={"paths": ["description"]})
    assert models.get_model(name=name).description == "new"
    models.delete_model(name=name).result(timeout=20)
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        models.get_model(name=name)


def test_both_transports_tell_the_fields_that_are_at_fault(models, parent):
    with pytest.raises(exceptions.BadRequest) as told:
        models.upload_model(parent=parent, model=vertex.Model(labels={"Team": "x"}))
    assert "1.Field: model.display_name; Message: Required field is not set." in told.value.message
    assert "model.labels.Team" in told.value.message
    detail = told.value.details[0]  # REST hands the document out as it is
    violations = detail["fieldViolations"] if isinstance(detail, dict) else detail.field_violations
    first = violations[0]
    assert (first["field"] if isinstance(first, dict) else first.field) == "model.display_name"


def test_operations_are_served_below_ui_and_v1(emulator, client, parent, token):
    operation = client("ModelService").upload_model(parent=parent, model=model()).operation.name
    for version in ("ui", "v1"):
        answer = requests.get(
            f"https://{emulator.secure}/{version}/{operation}",
            headers={"Authorization": f"Bearer {token()}"},
            verify=str(emulator.ca_file),
            timeout=10,
        )
        assert answer.json()["name"] == operation


def test_operations_are_listed_waited_for_and_deleted(client, parent):
    models = client("ModelService")
    operation = models.upload_model(parent=parent, model=model())
    target, _, _ = operation.operation.name.partition("/operations/")
    done = waited(models, operation.operation.name)
    assert done.done
    assert [each.name for each in models.list_operations({"name": target}).operations] == [done.name]
    models.cancel_operation({"name": done.name})
    models.delete_operation({"name": done.name})
    with pytest.raises(exceptions.NotFound):
        models.get_operation({"name": done.name})


@pytest.mark.parametrize("emulator_settings", [Settings(quotas=False)])
def test_an_operation_that_waits_can_be_cancelled(client, parent):
    models = client("ModelService")
    operation = models.upload_model(parent=parent, model=model())
    with pytest.raises(exceptions.FailedPrecondition, match="not done"):
        models.delete_operation({"name": operation.operation.name})
    models.cancel_operation({"name": operation.operation.name})
    done = waited(models, operation.operation.name)
    assert (done.done, done.error.code) == (True, 1)
    assert not list(models.list_models(parent=parent))


def test_what_is_not_emulated_says_so(client, rest_client, parent):
    for made in (client, rest_client):
        with pytest.raises(exceptions.MethodNotImplemented, match="not emulated"):
            made("JobService").list_nas_jobs(parent=parent)
    with pytest.raises(exceptions.MethodNotImplemented, match="not emulated"):
        client("PipelineService").list_pipeline_jobs(parent=parent)


def test_names_with_the_projects_id_and_with_its_number_mean_the_same(models, emulator):
    for project in (emulator.project, emulator.project_number):
        parent = f"projects/{project}/locations/{emulator.region}"
        name = models.upload_model(parent=parent, model=model()).result(timeout=20).model
        assert name.startswith(emulator.place.parent)
        own = name.rpartition("/")[2]
        assert models.get_model(name=f"{parent}/models/{own}").name == name


def test_another_project_is_refused_and_another_region_as_well(client, emulator):
    models = client("ModelService")
    with pytest.raises(exceptions.PermissionDenied):
        models.list_models(parent=f"projects/somebody-elses/locations/{emulator.region}")
    with pytest.raises(exceptions.InvalidArgument, match="us-central1"):
        models.list_models(parent=f"projects/{emulator.project}/locations/us-central1")


# Who calls


def test_a_token_that_nobody_issued_is_unauthenticated(emulator, environment):
    for answer in (
        requests.get(
            f"https://{emulator.secure}/v1/{emulator.place.parent}/models",
            headers=headers,
            verify=str(emulator.ca_file),
            timeout=10,
        )
        for headers in ({}, {"Authorization": "Bearer ya29.made-up"}, {"Authorization": "Basic eDp5"})
    ):
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_channel_without_a_token_is_unauthenticated(emulator, environment, parent):
    with grpc.secure_channel(emulator.secure, grpc.ssl_channel_credentials(emulator.ca_file.read_bytes())) as channel:
        kind = vertex.ModelServiceClient
        models = kind(transport=kind.get_transport_class("grpc")(channel=channel))
        with pytest.raises(exceptions.Unauthenticated):
            models.list_models(parent=parent)


def key(emulator) -> service_account.Credentials:
    """A key whose holder asks for tokens: of the vendor's own universe."""
    document = json.loads(emulator.credentials("deployer").key_file.read_text())
    return service_account.Credentials.from_service_account_info(
        {**document, "universe_domain": "googleapis.com"}, scopes=SCOPE
    )


def test_a_key_file_gets_tokens_at_our_own_endpoint(emulator, environment):
    credentials = key(emulator)
    credentials.refresh(google.auth.transport.requests.Request())
    answer = requests.get(
        f"{emulator.url}/oauth2/v3/tokeninfo", params={"access_token": credentials.token}, timeout=10
    ).json()
    assert answer["email"] == environment.identities["deployer"]
    assert answer["email_verified"] == "true"
    headers = {"Authorization": f"Bearer {credentials.token}"}
    told = requests.get(f"{emulator.url}/oauth2/v3/userinfo", headers=headers, timeout=10).json()
    assert told["email"] == environment.identities["deployer"]


def test_a_token_signed_with_a_key_is_taken_while_it_is_fresh(emulator, environment, parent):
    file = str(emulator.credentials("deployer").key_file)
    credentials = service_account.Credentials.from_service_account_file(file, scopes=SCOPE)
    credentials.refresh(google.auth.transport.requests.Request())
    headers = {"Authorization": f"Bearer {credentials.token}"}
    url = f"https://{emulator.secure}/v1/{parent}/models"
    assert requests.get(url, headers=headers, verify=str(emulator.ca_file), timeout=10).status_code == 200
    emulator.clock.advance(2 * 3600)
    assert requests.get(url, headers=headers, verify=str(emulator.ca_file), timeout=10).status_code == 401


def test_a_key_of_another_emulator_is_nobodys(emulator, environment, tmp_path):
    document = json.loads(emulator.credentials("deployer").key_file.read_text())
    emulator.principals.remove(document["client_email"])
    emulator.principals.create(document["client_email"])
    with pytest.raises(google.auth.exceptions.RefreshError):
        service_account.Credentials.from_service_account_info(
            {**document, "universe_domain": "googleapis.com"}, scopes=SCOPE
        ).refresh(google.auth.transport.requests.Request())


# Faults


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cut_ends_the_connection_without_an_answer(models, parent, emulator, when):
    emulator.faults.script([Fault(operation="UploadModel", do="cut", when=when)])
    with pytest.raises((exceptions.ServiceUnavailable, requests.exceptions.ConnectionError)):
        models.upload_model(parent=parent, model=model())
    left = 1 if when == "after" else 0
    patient = Retry(timeout=20)  # the client may not have noticed yet that the connection is gone
    assert len(list(models.list_models(parent=parent, retry=patient))) == left
    assert models.upload_model(parent=parent, model=model()).result(timeout=20).model


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("unavailable", exceptions.ServiceUnavailable),
        ("throttled", exceptions.ResourceExhausted),
        ("internal", exceptions.InternalServerError),
        ("capacity", exceptions.ResourceExhausted),
        ("DEADLINE_EXCEEDED", exceptions.DeadlineExceeded),
    ],
)
def test_a_scripted_failure_is_worded_as_the_service_does(client, parent, emulator, code, error):
    emulator.faults.script([Fault(operation="ListModels", do="fail", code=code)])
    with pytest.raises(error):
        client("ModelService").list_models(parent=parent)


def test_a_lie_changes_what_is_told_and_nothing_else(client, parent, emulator):
    models = client("ModelService")
    name = models.upload_model(parent=parent, model=model()).result(timeout=20).model
    emulator.faults.script([Fault(operation="GetModel", do="lie", when="after", reply={"displayName": "other"})])
    assert models.get_model(name=name).display_name == "other"
    assert models.get_model(name=name).display_name == "credit"


# Quotas, lag, pages


@pytest.mark.parametrize("emulator_settings", [Settings(delays_scale=0.0)])
def test_sixty_submissions_a_minute_are_let_in(client, parent, emulator):
    models = client("ModelService")
    for _ in range(60):
        models.upload_model(parent=parent, model=model())
    with pytest.raises(exceptions.ResourceExhausted) as told:
        models.upload_model(parent=parent, model=model())
    assert told.value.details[0].retry_delay.ToTimedelta().total_seconds() > 0
    models.list_models(parent=parent)
    emulator.clock.advance(1.0)
    assert models.upload_model(parent=parent, model=model()).operation.name


@pytest.mark.parametrize("emulator_settings", [Settings(delays_scale=0.0, list_lag=10.0, quotas=False)])
def test_lists_lag_and_look_ups_do_not(models, parent, emulator):
    name = models.upload_model(parent=parent, model=model()).result(timeout=20).model
    assert models.get_model(name=name).name == name
    assert not list(models.list_models(parent=parent))
    emulator.clock.advance(10.0)
    assert [each.name for each in models.list_models(parent=parent)] == [name]


def test_pages_follow_each_other_without_gap_and_overlap(models, parent):
    names = {models.upload_model(parent=parent, model=model()).result(timeout=20).model for _ in range(5)}
    request = {"parent": parent, "page_size": 2}
    pages = list(models.list_models(request=request).pages)
    assert [len(page.models) for page in pages] == [2, 2, 1]
    assert {each.name for page in pages for each in page.models} == names
    with pytest.raises(exceptions.BadRequest, match="Page token"):
        models.list_models(request={**request, "page_token": pages[0].next_page_token, "filter": "labels.a=b"})
    with pytest.raises(exceptions.BadRequest, match="filter"):
        models.list_models(request={**request, "filter": "nonsense~3"})
