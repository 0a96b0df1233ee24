"""Every error that botocore knows of has one of ours, and says whether the request can have had an effect."""

from __future__ import annotations

import botocore.exceptions
import pytest
from botocore.loaders import Loader

from mlinfra.errors import (
    CapabilityError,
    Conflict,
    Denied,
    KitFault,
    MlinfraError,
    NotFound,
    QuotaExceeded,
    SpecError,
    TemporaryError,
    Throttled,
    Unavailable,
)
from mlinfra_aws.errors import CLASSES, CODES, VALIDATION, is_harmless, model_answer, translate

SERVICES = ("sagemaker", "sagemaker-runtime", "application-autoscaling", "cloudwatch", "logs", "sts")
RUNTIME_ONLY = {"ModelError"}  # unwrapped, not translated


def refusal(
    code: str, message: str = "no", status: int = 400, operation: str = "DescribeEndpoint", **headers: str
) -> botocore.exceptions.ClientError:
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "HTTPHeaders": {k.replace("_", "-"): v for k, v in headers.items()},
        },
    }
    return botocore.exceptions.ClientError(answer, operation)


def modelled(service: str) -> set[str]:
    description = Loader().load_service_model(service, "service-2")
    shapes = description["shapes"]
    names = {
        error["shape"] for operation in description["operations"].values() for error in operation.get("errors", ())
    }
    return {shapes[name].get("error", {}).get("code", name) for name in names}


@pytest.mark.parametrize("service", SERVICES)
def test_every_error_that_a_service_models_is_mapped(service: str):
    used = modelled(service) - RUNTIME_ONLY - VALIDATION
    if service in {"sagemaker", "sagemaker-runtime", "application-autoscaling"}:
        assert used - CODES.keys() == set()
    for code in used:
        assert isinstance(translate(refusal(code)), MlinfraError)


def test_every_exception_of_botocore_about_credentials_or_the_network_has_a_row_of_its_own():
    classes = [
        each
        for each in vars(botocore.exceptions).values()
        if isinstance(each, type) and issubclass(each, botocore.exceptions.BotoCoreError)
    ]
    words = (
        "Credential",
        "Connect",
        "Timeout",
        "Proxy",
        "SSL",
        "HTTP",
        "Token",
        "SSO",
        "Login",
        "Profile",
        "ReadTimeout",
    )
    left_to_the_root = [
        each.__name__
        for each in classes
        if any(word in each.__name__ for word in words)
        and next(kind.__name__ for kind in each.__mro__ if kind.__name__ in CLASSES) == "BotoCoreError"
    ]
    assert left_to_the_root == []


@pytest.mark.parametrize(
    ("error", "expected", "sent"),
    [
        (botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), Unavailable, False),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="x"), Unavailable, False),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), Unavailable, True),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="x"), Unavailable, True),
        (refusal("ThrottlingException"), Throttled, False),
        (refusal("InternalFailure", status=500), Unavailable, True),
        (refusal("SomethingNew", status=503), Unavailable, True),
        (refusal("ResourceLimitExceeded"), QuotaExceeded, False),
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
        (refusal("ValidationException", 'Could not find endpoint "arn:aws:sagemaker:…".'), NotFound),
        (refusal("ValidationException", "Model Package Group x does not exist."), NotFound),
        (refusal("ValidationException", 'Cannot create already existing endpoint "arn:…".'), Conflict),
        (refusal("ValidationException", "Cannot update in-progress endpoint"), Conflict),
        (refusal("ValidationException", "Could not assume role arn:…"), Denied),
        (refusal("ValidationException", "1 validation error detected: Value at 'x' failed"), SpecError),
        (refusal("ResourceInUse", "Training job names must be unique"), Conflict),
        (refusal("ResourceNotFound", "Requested resource not found."), NotFound),
        (refusal("AccessDeniedException", "User x is not authorized to perform: sagemaker:Search on *"), Denied),
        (refusal("ExpiredTokenException"), Denied),
        (refusal("Unheard", status=409), Conflict),
        (refusal("Unheard", status=404), NotFound),
        (refusal("NotEmulated", status=501), CapabilityError),
        (botocore.exceptions.NoCredentialsError(), Denied),
        (botocore.exceptions.ProfileNotFound(profile="x"), Denied),
        (botocore.exceptions.NoRegionError(), SpecError),
        (botocore.exceptions.UnknownServiceError(service_name="x", known_service_names="y"), KitFault),
        (NotFound("ours"), NotFound),
        (RuntimeError("who knows"), Unavailable),
    ],
)
def test_every_error_is_one_of_ours(error: Exception, expected: type[MlinfraError]):
    assert type(translate(error)) is expected


def test_a_missing_permission_is_named():
    message = "User: arn:aws:sts::1:x is not authorized to perform: sagemaker:CreateModel on resource: y"
    ours = translate(refusal("AccessDeniedException", message))
    assert ours.todo == "ask an administrator for sagemaker:CreateModel"


def test_the_time_to_wait_is_the_services_own():
    ours = translate(refusal("ThrottlingException", Retry_After="7"))
    assert isinstance(ours, Throttled)
    assert ours.retry_after == 7.0


def test_a_model_servers_answer_is_taken_out_of_its_envelope():
    error = refusal("ModelError", status=424)
    error.response |= {"OriginalStatusCode": 400, "OriginalMessage": '{"error": {}}'}
    assert model_answer(error) == (400, '{"error": {}}')
    assert model_answer(refusal("ModelNotReadyException", status=429)) is None


def test_stopping_what_has_ended_is_no_error():
    words = "The request was rejected because the training job is in status Completed."
    assert is_harmless(refusal("ValidationException", words), "StopTrainingJob")
    assert not is_harmless(refusal("ValidationException", words), "DeleteTrainingJob")
    assert not is_harmless(refusal("AccessDeniedException", words), "StopTrainingJob")
