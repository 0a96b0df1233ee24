"""Every error that Google's packages know of has one of ours, and says whether the request can have had an effect."""

from __future__ import annotations

from typing import Any

import google.api_core.exceptions as api
import google.auth.exceptions as auth
import grpc
import pytest
import requests.exceptions
from google.api.error_reason_pb2 import ErrorReason
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import RetryInfo

from mlinfra.errors import (
    CapabilityError,
    CapacityUnavailable,
    Conflict,
    Denied,
    MlinfraError,
    NotFound,
    QuotaExceeded,
    SpecError,
    TemporaryError,
    Throttled,
    Unavailable,
)
from mlinfra_gcp.errors import (
    BAD_LOGINS,
    CODES,
    HTTP,
    LOGIN,
    NUMBERS,
    REASONS,
    Told,
    is_harmless,
    kind_of,
    model_answer,
    refusal,
    told_by_http,
    told_by_status,
    translate,
)


def classes(module: Any, root: type) -> list[type[Exception]]:
    return [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, root)]


def test_every_code_of_grpc_is_mapped_and_none_more():
    assert set(CODES) == {code.name for code in grpc.StatusCode} - {"OK"}
    assert {name: number for number, name in NUMBERS.items()} == dict(code_pb2.Code.items())
    assert set(HTTP.values()) <= set(CODES)


def test_every_reason_that_google_publishes_is_mapped():
    assert set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"} - set(REASONS) == set()
    assert set(REASONS) >= BAD_LOGINS - {"UNAUTHENTICATED"}


@pytest.mark.parametrize("kind", classes(api, api.GoogleAPICallError))
def test_every_exception_of_the_generated_clients_is_one_of_ours(kind: type[api.GoogleAPICallError]):
    assert isinstance(translate(kind("no")), MlinfraError)


@pytest.mark.parametrize("kind", classes(auth, auth.GoogleAuthError))
def test_every_exception_about_credentials_is_told_as_such_or_as_no_answer(kind: type[Exception]):
    ours = translate(kind("no"))
    assert isinstance(ours, Denied | Unavailable)
    assert not (isinstance(ours, Unavailable) and ours.sent)


@pytest.mark.parametrize("kind", classes(requests.exceptions, requests.exceptions.RequestException))
def test_every_exception_of_the_way_there_is_one_of_ours(kind: type[Exception]):
    made = kind("no", "doc", 0) if kind is requests.exceptions.JSONDecodeError else kind("no")
    assert isinstance(translate(made), Unavailable | SpecError)


@pytest.mark.parametrize(
    ("error", "expected", "sent"),
    [
        (api.ServiceUnavailable("failed to connect to all addresses", errors=()), Unavailable, False),
        (api.ServiceUnavailable("Socket closed"), Unavailable, True),
        (api.DeadlineExceeded("Deadline Exceeded"), Unavailable, True),
        (api.InternalServerError("Internal error encountered."), Unavailable, True),
        (api.ResourceExhausted("Quota exceeded for quota metric 'Jobs' and limit 'Jobs per minute'"), Throttled, False),
        (requests.exceptions.ConnectTimeout("x"), Unavailable, False),
        (requests.exceptions.ReadTimeout("x"), Unavailable, True),
        (requests.exceptions.ConnectionError("Connection aborted."), Unavailable, True),
        (requests.exceptions.ConnectionError("Connection refused"), Unavailable, False),
        (auth.RefreshError("the token service is down", retryable=True), Unavailable, False),
    ],
)
def test_what_may_be_sent_again_says_whether_it_was_sent(
    error: Exception, expected: type[TemporaryError], *, sent: bool
):
    ours = translate(error)
    assert type(ours) is expected
    assert ours.sent is sent


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (api.NotFound("The Model does not exist."), NotFound),
        (api.AlreadyExists("Endpoint with ID x already exists."), Conflict),
        (api.Aborted("the etag is not the newest"), Conflict),
        (api.FailedPrecondition("The Model is deployed."), Conflict),
        (api.InvalidArgument("Machine type x is not supported."), SpecError),
        (api.PermissionDenied("Permission 'aiplatform.customJobs.create' denied on resource"), Denied),
        (api.Unauthenticated("Request had invalid authentication credentials."), Denied),
        (api.MethodNotImplemented("not emulated"), CapabilityError),
        (auth.DefaultCredentialsError("Your default credentials were not found."), Denied),
        (auth.RefreshError("invalid_grant"), Denied),
        (NotFound("ours"), NotFound),
        (RuntimeError("who knows"), Unavailable),
    ],
)
def test_every_error_is_one_of_ours(error: Exception, expected: type[MlinfraError]):
    assert type(translate(error)) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Resources are insufficient in region: europe-west4. Please try a different region.", CapacityUnavailable),
        ("The zone does not have enough resources: ZONE_RESOURCE_POOL_EXHAUSTED resource pool", CapacityUnavailable),
        ("The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_cpus", QuotaExceeded),
        ("Quota exceeded for quota metric 'Job submissions' and limit 'per minute per region'", Throttled),
        ("slow down", Throttled),
    ],
)
def test_what_is_exhausted_is_told_by_its_words(message: str, expected: type[MlinfraError]):
    assert kind_of(Told("RESOURCE_EXHAUSTED", message)) is expected
    assert kind_of(told_by_status({"code": 8, "message": message})) is expected


def test_a_reason_counts_more_than_its_code():
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}]
    told = told_by_http(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": details}})
    assert kind_of(told) is Throttled


def test_a_missing_permission_is_named_and_a_bad_login_sent_to_log_in():
    message = "Permission 'aiplatform.customJobs.create' denied on resource '//aiplatform…' (or it may not exist)."
    assert translate(api.PermissionDenied(message)).todo == "ask an administrator for aiplatform.customJobs.create"
    storage = "mlinfra-deployer@p.iam does not have storage.objects.get access to the Google Cloud Storage object."
    assert refusal(Told("PERMISSION_DENIED", storage)).todo == "ask an administrator for storage.objects.get"
    assert translate(api.Unauthenticated("no")).todo == LOGIN


def test_the_time_to_wait_is_the_services_own():
    error = api.ResourceExhausted("per minute", details=[RetryInfo(retry_delay=Duration(seconds=7, nanos=500_000_000))])
    ours = translate(error)
    assert isinstance(ours, Throttled)
    assert ours.retry_after == 7.5
    assert told_by_http(429, {"error": {"status": "RESOURCE_EXHAUSTED"}}, "9").retry_after == 9.0


@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (400, {"error": "invalid_token", "error_description": "Invalid Value"}, "INVALID_ARGUMENT"),
        (404, "<html>", "NOT_FOUND"),
        (418, "", "INVALID_ARGUMENT"),
        (599, "", "UNAVAILABLE"),
        (409, {"error": {"status": "ALREADY_EXISTS"}}, "ALREADY_EXISTS"),
    ],
)
def test_an_answer_without_a_document_is_told_by_its_status(status: int, document: Any, code: str):
    assert told_by_http(status, document).code == code


def test_a_model_servers_answer_is_taken_out_of_its_envelope():
    assert model_answer(Told("INVALID_ARGUMENT", '{"error": {"rows": []}}')) == '{"error": {"rows": []}}'
    assert model_answer(Told("INVALID_ARGUMENT", "Invalid resource name")) is None
    assert model_answer(Told("NOT_FOUND", "{}")) is None


def test_stopping_what_has_ended_is_no_error():
    over = refusal(Told("FAILED_PRECONDITION", "The CustomJob has already finished."))
    assert is_harmless(over, "CancelCustomJob")
    assert not is_harmless(over, "DeleteCustomJob")
    assert not is_harmless(refusal(Told("PERMISSION_DENIED", "already")), "CancelCustomJob")
