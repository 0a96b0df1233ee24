"""Azure's errors as ours: error documents, HTTP statuses, azure-core's and azure-identity's exceptions.

Tables, total by test. Imports no SDK. Azure Resource Manager and every service behind it answer with one document,
`{"error": {"code", "message", "details", "innererror"}}` (the vendor's REST guidelines); Azure ML says `UserError` of
much, and tells in `innererror` what it means. What no code tells, the status does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOGIN = "log in to Azure: `az login`, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET"

CODES: dict[str, type[MlinfraError]] = {
    **dict.fromkeys(
        (
            "BlobNotFound",
            "ContainerNotFound",
            "DeploymentNotFound",
            "NotFound",
            "ParentResourceNotFound",
            "ResourceGroupNotFound",
            "ResourceNotFound",
            "SecretNotFound",
            "SubscriptionNotFound",
        ),
        NotFound,
    ),
    **dict.fromkeys(
        (
            "AccountIsDisabled",
            "AuthenticationFailed",
            "AuthenticationRequired",
            "AuthorizationFailed",
            "AuthorizationFailure",
            "AuthorizationPermissionMismatch",
            "ExpiredAuthenticationToken",
            "Forbidden",
            "InsufficientAccountPermissions",
            "InvalidAuthenticationInfo",
            "InvalidAuthenticationToken",
            "InvalidAuthenticationTokenAudience",
            "InvalidAuthenticationTokenTenant",
            "KeyBasedAuthenticationNotPermitted",
            "LinkedAuthorizationFailed",
            "MissingSubscriptionRegistration",
            "NoAuthenticationInformation",
            "PublicAccessNotPermitted",
            "ReadOnlyDisabledSubscription",
            "RequestDisallowedByAzure",
            "RequestDisallowedByPolicy",
            "ScopeLocked",
            "SubscriptionNotRegistered",
            "Unauthorized",
        ),
        Denied,
    ),
    **dict.fromkeys(
        (
            "AlreadyExists",
            "AnotherOperationInProgress",
            "BlobAlreadyExists",
            "ConditionNotMet",
            "Conflict",
            "ConflictError",
            "Immutable",
            "OperationInProgress",
            "PreconditionFailed",
            "ResourceExists",
            "ResourceInUse",
        ),
        Conflict,
    ),
    **dict.fromkeys(
        (
            "ExceededCoreQuota",
            "NotEnoughQuota",
            "OutOfQuota",
            "QuotaExceeded",
            "ResourceQuotaExceeded",
            "SubscriptionQuotaExceeded",
        ),
        QuotaExceeded,
    ),
    **dict.fromkeys(
        (
            "AllocationFailed",
            "NotEnoughResources",
            "OutOfCapacity",
            "OverconstrainedAllocationRequest",
            "OverconstrainedZonalAllocationRequest",
            "SkuNotAvailable",
            "SpotPreempted",
            "ZonalAllocationFailed",
        ),
        CapacityUnavailable,
    ),
    **dict.fromkeys(
        (
            "RequestsThrottled",
            "ResourceRequestsThrottled",
            "ServerBusy",
            "SubscriptionRequestsThrottled",
            "Throttled",
            "TooManyRequests",
        ),
        Throttled,
    ),
    **dict.fromkeys(
        (
            "GatewayTimeout",
            "InternalError",
            "InternalServerError",
            "OperationTimedOut",
            "ServerTimeout",
            "ServiceError",
            "ServiceUnavailable",
            "TransientError",
        ),
        Unavailable,
    ),
    **dict.fromkeys(
        (
            "BadArgument",
            "BadRequest",
            "InvalidApiVersionParameter",
            "InvalidRequestContent",
            "InvalidResourceName",
            "InvalidResourceType",
            "InvalidSubscriptionId",
            "LocationNotAvailableForResourceType",
            "UserError",
            "ValidationError",
        ),
        SpecError,
    ),
    **dict.fromkeys(("MethodNotAllowed", "NotImplemented", "NotSupported", "UnsupportedMediaType"), CapabilityError),
}
HTTP: dict[int, type[MlinfraError]] = {
    400: SpecError,
    401: Denied,
    403: Denied,
    404: NotFound,
    405: CapabilityError,
    408: Unavailable,
    409: Conflict,
    410: NotFound,
    411: SpecError,
    412: Conflict,
    413: SpecError,
    415: CapabilityError,
    416: SpecError,
    422: SpecError,
    423: Conflict,
    424: Unavailable,
    429: Throttled,
    500: Unavailable,
    501: CapabilityError,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_SERVER_ERROR = 500
_BAD_LOGINS = {
    "AuthenticationFailed",
    "ExpiredAuthenticationToken",
    "InvalidAuthenticationInfo",
    "InvalidAuthenticationToken",
    "InvalidAuthenticationTokenAudience",
    "InvalidAuthenticationTokenTenant",
    "NoAuthenticationInformation",
}
_TODO = {
    "MissingSubscriptionRegistration": "`az provider register --namespace Microsoft.MachineLearningServices`",
    "SubscriptionNotRegistered": "`az provider register --namespace Microsoft.MachineLearningServices`",
    "ScopeLocked": "ask an administrator to remove the lock",
}
_GENERAL = {"UserError", "BadRequest", "BadArgument", "ValidationError", "Conflict", "ServiceError"}
# What a general code means by its words, in the order in which it is looked for.
WORDS: tuple[tuple[re.Pattern[str], type[MlinfraError]], ...] = (
    (re.compile(r"already exists|immutable|can(?:no|')t be (?:changed|updated|modified)", re.IGNORECASE), Conflict),
    (re.compile(r"another operation|in progress|is being (?:created|updated|deleted)", re.IGNORECASE), Conflict),
    (re.compile(r"quota", re.IGNORECASE), QuotaExceeded),
    (
        re.compile(r"out of capacity|not enough (?:capacity|resources)|no capacity|allocation failed", re.IGNORECASE),
        CapacityUnavailable,
    ),
)

# What the service refuses although all is as it was asked for.
_OVER = re.compile(
    r"already|terminal|finished|completed|has ended|cannot be cancel|not in a cancel|can'?t be cancel", re.IGNORECASE
)
HARMLESS: dict[str, tuple[tuple[type[MlinfraError], ...], re.Pattern[str]]] = {
    "Jobs_Cancel": ((Conflict, SpecError), _OVER),
    **dict.fromkeys(
        (
            "AutoscaleSettings_Delete",
            "CodeVersions_Delete",
            "EnvironmentVersions_Delete",
            "ModelContainers_Delete",
            "ModelVersions_Delete",
            "OnlineDeployments_Delete",
            "OnlineEndpoints_Delete",
            "RegistryModelContainers_Delete",
            "RegistryModelVersions_Delete",
        ),
        ((NotFound,), re.compile("")),
    ),
}

# azure-core's and azure-identity's exceptions by class; the first class of the exception's bases that is here counts.
CLASSES: dict[str, tuple[type[MlinfraError], bool]] = {  # ours, and whether the request may have been sent
    "azure.identity._exceptions.CredentialUnavailableError": (Denied, False),
    "azure.identity._exceptions.AuthenticationRequiredError": (Denied, False),
    "azure.core.exceptions.ClientAuthenticationError": (Denied, False),
    "azure.core.exceptions.ServiceRequestError": (Unavailable, False),
    "azure.core.exceptions.ServiceResponseError": (Unavailable, True),
    "azure.core.exceptions.HttpResponseError": (Unavailable, True),
    "azure.core.exceptions.AzureError": (Unavailable, True),
    "requests.exceptions.InvalidURL": (SpecError, False),
    "requests.exceptions.InvalidSchema": (SpecError, False),
    "requests.exceptions.MissingSchema": (SpecError, False),
    "requests.exceptions.RequestException": (Unavailable, True),
}
_UNSENT = re.compile(r"failed to (?:establish|resolve)|name resolution|connection refused|SSLCertVerif", re.IGNORECASE)


class Told(NamedTuple):
    """One refusal as Azure tells it. `codes` begins with the one that tells most."""

    status: int
    codes: tuple[str, ...]
    message: str
    retry_after: float | None = None


def translate(exc: Exception, operation: str = "") -> MlinfraError:
    """The error of ours that says what happened. Total: what it does not know is Unavailable, outcome unknown."""
    if isinstance(exc, MlinfraError):
        return exc
    for kind in type(exc).__mro__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in CLASSES:
            return _from_class(exc, operation, *CLASSES[name])
    return Unavailable(f"Azure did not answer: {type(exc).__name__}: {exc}")


def is_harmless(error: MlinfraError, operation: str) -> bool:
    """Whether a refusal means that what was asked for is so already."""
    kinds, words = HARMLESS.get(operation, ((), re.compile("")))
    return isinstance(error, kinds) and bool(words.search(error.what))


def told(status: int, document: Any, retry_after: str = "", code: str = "") -> Told:
    """An answer that is a refusal; `code` is what its headers tell, as the storage service's do."""
    delay = float(retry_after) if re.fullmatch(r"\d+(\.\d+)?", retry_after) else None
    error = document.get("error", document) if isinstance(document, dict) else {}
    if isinstance(error, str):  # OAuth: error and error_description
        return Told(status, (error,), str(document.get("error_description", "")), delay)
    if not isinstance(error, dict) or not error:
        return Told(status, (code,) if code else (), str(document or "")[:500], delay)
    codes = [*_codes(error), *([code] if code else [])]
    return Told(status, tuple(reversed(codes)), str(error.get("message", "")), delay)


def refusal(found: Told, operation: str = "") -> MlinfraError:
    """The error of ours for an answer that is one of Azure's."""
    ours = kind_of(found)
    code = found.codes[0] if found.codes else f"status {found.status}"
    what = f"{operation or 'Azure'}: {found.message or code} ({code})"
    if issubclass(ours, TemporaryError):
        return ours(what, retry_after=found.retry_after, sent=ours is Unavailable)
    if ours is Denied:
        return Denied(what, todo=_what_to_do(found))
    return ours(what)


def kind_of(found: Told) -> type[MlinfraError]:
    """Our class for a refusal: by the most telling code, by words where that is a general one, else by its status."""
    known = [code for code in found.codes if code in CODES]
    telling = next((code for code in known if code not in _GENERAL), "")
    if telling:
        return CODES[telling]
    if known or found.status in {400, 409, 422}:
        for words, ours in WORDS:
            if words.search(found.message):
                return ours
    if found.status in HTTP:
        return HTTP[found.status]
    if known:
        return CODES[known[0]]
    return SpecError if found.status and found.status < _SERVER_ERROR else Unavailable


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    """The codes of an error document, the outermost first."""
    if error.get("code"):
        yield str(error["code"])
    inner = error.get("innererror") or error.get("innerError")
    if isinstance(inner, dict):
        yield from _codes(inner)
    elif isinstance(error.get("details"), list) and error["details"] and isinstance(error["details"][0], dict):
        yield from _codes(error["details"][0])


def _from_class(exc: Exception, operation: str, ours: type[MlinfraError], sent: bool) -> MlinfraError:  # noqa: FBT001  a row
    what = f"{operation}: " if operation else ""
    what += f"{type(exc).__name__}: {str(exc).partition(chr(10))[0]}"
    if issubclass(ours, TemporaryError):
        return ours(f"Azure did not answer: {what}", sent=sent and not _UNSENT.search(what))
    return Denied(f"no credentials that hold: {what}", todo=LOGIN) if ours is Denied else ours(what)


def _what_to_do(found: Told) -> str:
    """Log in, or the permission that is missing, where the service names it."""
    for code in found.codes:
        if code in _BAD_LOGINS:
            return LOGIN
        if code in _TODO:
            return _TODO[code]
    if found.status == 401:  # noqa: PLR2004  the status that says so
        return LOGIN
    missing = re.search(r"perform(?: the)? action '([\w./*]+)'", found.message)
    return (
        f"ask an administrator for {missing[1]}" if missing else "`mlinfra env permissions` prints what the kit needs"
    )
