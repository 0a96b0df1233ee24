"""botocore's exceptions and the services' error codes as ours: tables, total by test. Imports no SDK.

The services model few of their errors (botocore's descriptions); the rest arrives as ValidationException with words
alone, which the patterns below read. Whether a request had an effect is told by what kind of failure it was.
"""

from __future__ import annotations

import re
from typing import Any

from mlinfra.errors import (
    CapabilityError,
    CapacityUnavailable,
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

LOGIN = "log in to AWS: `aws sso login` or `aws configure`, or set AWS_PROFILE"

# Codes whose meaning is the same whatever the operation.
CODES: dict[str, type[MlinfraError]] = {
    **dict.fromkeys(
        (
            "404",
            "NoSuchBucket",
            "NoSuchEntity",
            "NoSuchKey",
            "NotFound",
            "ImageNotFoundException",
            "NotFoundException",
            "RepositoryNotFoundException",
            "ObjectNotFoundException",
            "ResourceNotFound",
            "ResourceNotFoundException",
        ),
        NotFound,
    ),
    **dict.fromkeys(
        (
            "ConcurrentUpdateException",
            "ConditionalRequestConflict",
            "ConflictException",
            "OperationAbortedException",
            "PreconditionFailed",
            "ResourceAlreadyExists",
            "ResourceAlreadyExistsException",
            "ResourceConflict",
            "ResourceInUse",
            "ResourceInUseException",
        ),
        Conflict,
    ),
    **dict.fromkeys(
        (
            "LimitExceeded",
            "LimitExceededException",
            "LimitExceededFault",
            "ResourceLimitExceeded",
            "ServiceQuotaExceededException",
            "TooManyTagsException",
        ),
        QuotaExceeded,
    ),
    **dict.fromkeys(
        (
            "BandwidthLimitExceeded",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ),
        Throttled,
    ),
    **dict.fromkeys(
        (
            "403",
            "AccessDenied",
            "AccessDeniedException",
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "InvalidToken",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "OptInRequired",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        ),
        Denied,
    ),
    **dict.fromkeys(
        (
            "500",
            "502",
            "503",
            "504",
            "InternalDependencyException",
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "InternalServiceException",
            "InternalServiceFault",
            "InternalStreamFailure",
            "ModelNotReadyException",
            "ModelStreamError",
            "OperationAborted",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        Unavailable,
    ),
    **dict.fromkeys(("CapacityError", "InsufficientInstanceCapacity"), CapacityUnavailable),
    **dict.fromkeys(("NotEmulated", "NotImplemented"), CapabilityError),
    **dict.fromkeys(
        (
            "DashboardInvalidInputError",
            "FailedResourceAccessException",
            "InvalidNextToken",
            "InvalidNextTokenException",
            "InvalidParameterCombination",
            "InvalidParameterCombinationException",
            "InvalidParameterException",
            "InvalidParameterValue",
            "InvalidParameterValueException",
            "MalformedQueryString",
            "MissingRequiredParameterException",
            "SerializationException",
            "UnknownOperationException",
        ),
        SpecError,
    ),
}
VALIDATION = {"ValidationError", "ValidationException"}  # whose words alone tell what is meant
_BAD_LOGINS = {
    code
    for code, ours in CODES.items()
    if ours is Denied and code not in {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
}

# What a validation error says, in the order in which it is looked for.
WORDS: tuple[tuple[re.Pattern[str], type[MlinfraError]], ...] = (
    (re.compile(r"already exist|in use|in-progress|still contains|is in status|currently", re.IGNORECASE), Conflict),
    (re.compile(r"assume role|not authorized|not have permission|access denied|AccessDenied", re.IGNORECASE), Denied),
    (re.compile(r"could not find|does not exist|not found|no such|cannot find|doesn't exist", re.IGNORECASE), NotFound),
    (re.compile(r"rate exceeded|too many requests", re.IGNORECASE), Throttled),
)

# botocore's own exceptions by class; the first class of the exception's bases that is here counts.
CLASSES: dict[str, tuple[type[MlinfraError], bool]] = {  # ours, and whether the request may have been sent
    "NoCredentialsError": (Denied, False),
    "PartialCredentialsError": (Denied, False),
    "CredentialRetrievalError": (Denied, False),
    "UnknownCredentialError": (Denied, False),
    "UnknownSignatureVersionError": (KitFault, False),
    "NoAuthTokenError": (Denied, False),
    "TokenRetrievalError": (Denied, False),
    "UnknownTokenProviderError": (Denied, False),
    "SSOError": (Denied, False),
    "LoginError": (Denied, False),
    "InvalidMFAError": (Denied, False),
    "RefreshWithMFAUnsupportedError": (Denied, False),
    "AuthFlow": (Denied, False),
    "InfiniteLoopConfigError": (Denied, False),
    "ProfileNotFound": (Denied, False),
    "ConfigNotFound": (Denied, False),
    "ConfigParseError": (Denied, False),
    "MetadataRetrievalError": (Denied, False),
    "InvalidConfigError": (Denied, False),
    "NoRegionError": (SpecError, False),
    "InvalidRegionError": (SpecError, False),
    "EndpointConnectionError": (Unavailable, False),
    "ConnectTimeoutError": (Unavailable, False),
    "ProxyConnectionError": (Unavailable, False),
    "SSLError": (Unavailable, False),
    "ConnectionError": (Unavailable, True),
    "HTTPClientError": (Unavailable, True),  # read time-outs, connections that closed, answers cut short
    "ResponseParserError": (Unavailable, True),
    "ChecksumError": (Unavailable, True),
    "ReadTimeoutError": (Unavailable, True),
    "ParamValidationError": (SpecError, False),
    "ValidationError": (SpecError, False),
    "BotoCoreError": (KitFault, False),
}

# What the other side refuses although all is as it was asked for: (operation, words).
_GONE = re.compile(r"could not find|does not exist|not found|no scalable target|unknown alarm", re.IGNORECASE)
HARMLESS: dict[str, re.Pattern[str]] = {
    "StopTrainingJob": re.compile(r"is in status|already|terminal", re.IGNORECASE),
    "DeleteEndpoint": _GONE,
    "DeleteEndpointConfig": _GONE,
    "DeleteModel": _GONE,
    "DeregisterScalableTarget": _GONE,
    "DeleteAlarms": _GONE,
}


def translate(exc: Exception) -> MlinfraError:
    """The error of ours that says what happened. Total: what it does not know is Unavailable, outcome unknown."""
    if isinstance(exc, MlinfraError):
        return exc
    response = getattr(exc, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return _from_answer(response, str(getattr(exc, "operation_name", "")))
    for kind in type(exc).__mro__:
        if kind.__name__ in CLASSES and kind.__module__.startswith("botocore"):
            return _from_class(exc, *CLASSES[kind.__name__])
    return Unavailable(f"AWS did not answer: {type(exc).__name__}: {exc}")


def is_harmless(exc: Exception, operation: str) -> bool:
    """Whether a refusal means that what was asked for is so already."""
    response = getattr(exc, "response", None)
    if operation not in HARMLESS or not isinstance(response, dict):
        return False
    error = response.get("Error", {})
    told = error.get("Code") in VALIDATION or CODES.get(error.get("Code")) is NotFound
    return told and bool(HARMLESS[operation].search(error.get("Message", "")))


def model_answer(exc: Exception) -> tuple[int, str] | None:
    """What a model server answered, out of the ModelError in which SageMaker wraps it; None for any other error."""
    response = getattr(exc, "response", None)
    if not isinstance(response, dict) or response.get("Error", {}).get("Code") != "ModelError":
        return None
    status = response.get("OriginalStatusCode")
    return None if status is None else (int(status), str(response.get("OriginalMessage", "")))


def kind_of(code: str, message: str, status: int) -> type[MlinfraError]:
    """Our class for an answer: by its code, else by its words, else by its HTTP status."""
    if code in CODES:
        return CODES[code]
    if code in VALIDATION:
        return next((ours for words, ours in WORDS if words.search(message)), SpecError)
    return next((ours for least, ours in _STATUS if status >= least), Unavailable)


_STATUS: tuple[tuple[int, type[MlinfraError]], ...] = (
    (500, Unavailable),
    (429, Throttled),
    (412, Conflict),
    (410, NotFound),
    (409, Conflict),
    (405, SpecError),
    (404, NotFound),
    (401, Denied),
    (400, SpecError),
)
_UNSENT = (QuotaExceeded, Throttled, CapacityUnavailable)  # refused before anything was done


def _from_answer(response: dict[str, Any], operation: str) -> MlinfraError:
    error, about = response["Error"], response.get("ResponseMetadata", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    ours = kind_of(code, message, int(about.get("HTTPStatusCode", 0)))
    what = f"{operation or 'AWS'}: {message or code}" + (f" ({code})" if message else "")
    if issubclass(ours, TemporaryError):
        return ours(what, retry_after=_retry_after(about), sent=not issubclass(ours, _UNSENT))
    if ours is Denied:
        return Denied(what, todo=LOGIN if code in _BAD_LOGINS else _ask_for(message))
    return ours(what)


def _from_class(exc: Exception, ours: type[MlinfraError], sent: bool) -> MlinfraError:  # noqa: FBT001  of the table
    what = f"{type(exc).__name__}: {exc}"
    if issubclass(ours, TemporaryError):
        return ours(f"AWS did not answer: {what}", sent=sent)
    if ours is Denied:
        return Denied(f"no credentials that hold: {what}", todo=LOGIN)
    if ours is KitFault:
        return KitFault(f"botocore refused: {what}")
    return ours(what)


def _retry_after(about: dict[str, Any]) -> float | None:
    headers = {str(name).lower(): value for name, value in (about.get("HTTPHeaders") or {}).items()}
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None


def _ask_for(message: str) -> str:
    """The permission that is missing, where the service names it."""
    found = re.search(r"perform: (\S+)", message)
    return f"ask an administrator for {found[1]}" if found else "`mlinfra env permissions` prints what the kit needs"
