"""Every error that Azure's packages and services know of has one of ours, and says whether it was sent."""

from __future__ import annotations

from typing import Any

import azure.core.exceptions as core
import pytest
import requests.exceptions
from azure import identity

from mlinfra.errors import (
    CapabilityError,
    CapacityUnavailable,
    Conflict,
    Denied,
    MlinfraError,
    NotFound,
    QuotaExceeded,
    SpecError,
    Throttled,
    Unavailable,
)
from mlinfra_azure.errors import HTTP, LOGIN, is_harmless, kind_of, refusal, told, translate


def classes(module: Any, root: type) -> list[type[Exception]]:
    return [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, root)]


@pytest.mark.parametrize("kind", classes(core, core.AzureError))
def test_every_exception_of_azure_core_is_one_of_ours(kind: type[core.AzureError]):
    made = kind([]) if kind is core.TooManyRedirectsError else _made(kind)
    assert isinstance(translate(made), Denied | Unavailable)


def _made(kind: type[core.AzureError]) -> Exception:
    try:
        return kind("no")
    except (TypeError, AttributeError):  # which is made of a response
        made = kind.__new__(kind)
        made.__dict__.update(_error_format=None, message="no")
        return made


@pytest.mark.parametrize("kind", classes(requests.exceptions, requests.exceptions.RequestException))
def test_every_exception_of_the_way_there_is_one_of_ours(kind: type[Exception]):
    made = kind("no", "doc", 0) if kind is requests.exceptions.JSONDecodeError else kind("no")
    assert isinstance(translate(made), Unavailable | SpecError)


@pytest.mark.parametrize(
    ("error", "expected", "sent"),
    [
        (core.ServiceRequestError("Connection refused"), Unavailable, False),
        (core.ServiceRequestTimeoutError("timed out"), Unavailable, False),
        (core.ServiceResponseError("Connection aborted."), Unavailable, True),
        (core.ServiceResponseTimeoutError("Read timed out."), Unavailable, True),
        (core.IncompleteReadError("cut off"), Unavailable, True),
        (RuntimeError("who knows"), Unavailable, True),
    ],
)
def test_what_may_be_sent_again_says_whether_it_was_sent(error: Exception, expected: type[Unavailable], *, sent: bool):
    ours = translate(error)
    assert type(ours) is expected
    assert ours.sent is sent


def test_missing_credentials_say_how_to_log_in():
    ours = translate(identity.CredentialUnavailableError("no account", response=None))
    assert isinstance(ours, Denied)
    assert ours.todo == LOGIN


@pytest.mark.parametrize(
    ("status", "code", "inner", "message", "expected"),
    [
        (404, "ResourceNotFound", "", "The Resource 'x' was not found.", NotFound),
        (404, "UserError", "", "Not found component x", NotFound),
        (400, "UserError", "NotFound", "no such environment", NotFound),
        (400, "UserError", "BadArgument", "The field x is wrong", SpecError),
        (400, "UserError", "", "A job with this name already exists.", Conflict),
        (400, "UserError", "Immutable", "Cannot change", Conflict),
        (400, "BadRequest", "", "codeUri is immutable", Conflict),
        (409, "UserError", "", "Another operation is in progress for this endpoint.", Conflict),
        (409, "Conflict", "", "somebody else", Conflict),
        (412, "PreconditionFailed", "", "the etag", Conflict),
        (400, "BadRequest", "", "Not enough quota available for Standard_DS3_v2", QuotaExceeded),
        (400, "UserError", "OutOfQuota", "no", QuotaExceeded),
        (400, "UserError", "OutOfCapacity", "no", CapacityUnavailable),
        (409, "ZonalAllocationFailed", "", "no", CapacityUnavailable),
        (429, "TooManyRequests", "", "slow down", Throttled),
        (429, "SubscriptionRequestsThrottled", "", "slow down", Throttled),
        (503, "ServerBusy", "", "slow down", Throttled),
        (403, "AuthorizationFailed", "", "no", Denied),
        (401, "ExpiredAuthenticationToken", "", "no", Denied),
        (403, "AuthorizationPermissionMismatch", "", "no", Denied),
        (409, "MissingSubscriptionRegistration", "", "register it", Denied),
        (409, "ScopeLocked", "", "locked", Denied),
        (500, "ServiceError", "", "no", Unavailable),
        (500, "InternalServerError", "", "no", Unavailable),
        (504, "GatewayTimeout", "", "no", Unavailable),
        (501, "NotImplemented", "", "not emulated", CapabilityError),
        (400, "InvalidApiVersionParameter", "", "no", SpecError),
        (418, "Teapot", "", "no", SpecError),
        (599, "Whatever", "", "no", Unavailable),
    ],
)
def test_every_refusal_is_one_of_ours(status: int, code: str, inner: str, message: str, expected: type[MlinfraError]):
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    assert type(refusal(told(status, {"error": error}))) is expected


@pytest.mark.parametrize(("status", "expected"), HTTP.items())
def test_an_answer_without_a_document_is_told_by_its_status(status: int, expected: type[MlinfraError]):
    assert kind_of(told(status, "<html>")) is expected
    assert kind_of(told(status, {})) is expected
    assert kind_of(told(status, None)) is expected


def test_details_tell_more_than_their_parent():
    document = {"error": {"code": "BadRequest", "message": "no", "details": [{"code": "OutOfQuota", "message": "x"}]}}
    assert kind_of(told(400, document)) is QuotaExceeded


def test_the_storage_services_code_comes_in_a_header():
    assert kind_of(told(409, "<?xml…", code="BlobAlreadyExists")) is Conflict
    assert kind_of(told(404, "", code="ContainerNotFound")) is NotFound


def test_oauths_errors_are_read_as_well():
    found = told(400, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"})
    assert (found.codes, found.message) == (("invalid_client",), "AADSTS7000215: Invalid client secret")


def test_a_missing_permission_is_named_and_a_bad_login_sent_to_log_in():
    message = (
        "The client 'x' with object id 'x' does not have authorization to perform action "
        "'Microsoft.MachineLearningServices/workspaces/jobs/write' over scope '/subscriptions/y'"
    )
    denied = refusal(told(403, {"error": {"code": "AuthorizationFailed", "message": message}}))
    assert denied.todo == "ask an administrator for Microsoft.MachineLearningServices/workspaces/jobs/write"
    assert refusal(told(401, {"error": {"code": "InvalidAuthenticationToken", "message": "no"}})).todo == LOGIN
    assert refusal(told(401, None)).todo == LOGIN
    locked = refusal(told(409, {"error": {"code": "ScopeLocked", "message": "no"}}))
    assert "lock" in locked.todo


@pytest.mark.parametrize(("text", "seconds"), [("9", 9.0), ("0.5", 0.5), ("", None), ("Sat, 31 Jan 2026", None)])
def test_the_time_to_wait_is_the_services_own(text: str, seconds: float | None):
    ours = refusal(told(429, None, text))
    assert isinstance(ours, Throttled)
    assert ours.retry_after == seconds


def test_stopping_what_has_ended_and_deleting_what_is_gone_is_no_error():
    over = refusal(told(400, {"error": {"code": "UserError", "message": "The job is already in a terminal state."}}))
    assert is_harmless(over, "Jobs_Cancel")
    assert not is_harmless(over, "Jobs_Delete")
    gone = refusal(told(404, {"error": {"code": "ResourceNotFound", "message": "no"}}))
    assert is_harmless(gone, "OnlineEndpoints_Delete")
    assert not is_harmless(gone, "Jobs_Cancel")
    assert not is_harmless(refusal(told(403, {"error": {"code": "AuthorizationFailed"}})), "OnlineEndpoints_Delete")
