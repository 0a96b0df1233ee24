"""Google's errors as ours: gRPC codes, google.rpc reasons, HTTP statuses, google-auth's and requests' exceptions.

Tables, total by test. Imports no SDK. One answer is told by a canonical code (google.rpc.Code), and where Google says
more by the `reason` of a google.rpc.ErrorInfo; RESOURCE_EXHAUSTED alone means a rate, a quota or a stock that is empty,
and its words tell which.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOGIN = "log in to Google Cloud: `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"

# google.rpc.Code by name.
CODES: dict[str, type[MlinfraError]] = {
    "CANCELLED": Unavailable,
    "UNKNOWN": Unavailable,
    "INVALID_ARGUMENT": SpecError,
    "DEADLINE_EXCEEDED": Unavailable,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": Conflict,
    "PERMISSION_DENIED": Denied,
    "RESOURCE_EXHAUSTED": Throttled,
    "FAILED_PRECONDITION": Conflict,
    "ABORTED": Conflict,
    "OUT_OF_RANGE": SpecError,
    "UNIMPLEMENTED": CapabilityError,
    "INTERNAL": Unavailable,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": Unavailable,
    "UNAUTHENTICATED": Denied,
}
NUMBERS = {  # google.rpc.Code, as the errors of jobs and long-running operations have it
    0: "OK",
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
HTTP = {  # status -> google.rpc.Code, where an answer names none (google/rpc/code.proto, HTTP mapping)
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CLIENT_ERROR, _SERVER_ERROR = 400, 500

# google.api.ErrorReason: why, where Google's own infrastructure says so.
REASONS: dict[str, type[MlinfraError]] = {
    **dict.fromkeys(
        (
            "API_KEY_ANDROID_APP_BLOCKED",
            "API_KEY_HTTP_REFERRER_BLOCKED",
            "API_KEY_INVALID",
            "API_KEY_IOS_APP_BLOCKED",
            "API_KEY_IP_ADDRESS_BLOCKED",
            "API_KEY_SERVICE_BLOCKED",
            "ACCESS_TOKEN_EXPIRED",
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "ACCESS_TOKEN_TYPE_UNSUPPORTED",
            "ACCOUNT_STATE_INVALID",
            "ACCOUNT_TYPE_UNSUPPORTED",
            "CREDENTIALS_MISSING",
            "CREDENTIAL_ANDROID_APP_INVALID",
            "CREDENTIAL_TYPE_UNSUPPORTED",
            "JWT_TOKEN_INVALID",
            "OVERLOADED_CREDENTIALS",
            "SESSION_COOKIE_INVALID",
            "USER_BLOCKED_BY_ADMIN",
            "BILLING_DISABLED",
            "CONSUMER_INVALID",
            "CONSUMER_SUSPENDED",
            "GCP_SUSPENDED",
            "IAM_PERMISSION_DENIED",
            "MCP_SERVER_DISABLED",
            "MISSING_ORIGIN",
            "RESOURCE_PROJECT_INVALID",
            "SERVICE_DISABLED",
            "SERVICE_NOT_VISIBLE",
            "USER_PROJECT_DENIED",
            "SECURITY_POLICY_VIOLATED",
            "ORG_RESTRICTION_HEADER_INVALID",
            "ORG_RESTRICTION_VIOLATION",
            "LOCATION_ORG_POLICY_VIOLATED",
            "LOCATION_POLICY_VIOLATED",
            "LOCATION_TAX_POLICY_VIOLATED",
            "RESOURCE_USAGE_RESTRICTION_VIOLATED",
            "ENDPOINT_USAGE_RESTRICTION_VIOLATED",
            "TLS_CIPHER_RESTRICTION_VIOLATED",
            "TLS_ORG_POLICY_VIOLATED",
        ),
        Denied,
    ),
    "RATE_LIMIT_EXCEEDED": Throttled,
    "EMULATOR_QUOTA_EXCEEDED": Throttled,
    "RESOURCE_QUOTA_EXCEEDED": QuotaExceeded,
    "SYSTEM_PARAMETER_UNSUPPORTED": SpecError,
}
BAD_LOGINS = {
    "API_KEY_INVALID",
    "ACCESS_TOKEN_EXPIRED",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED",
    "ACCOUNT_STATE_INVALID",
    "CREDENTIALS_MISSING",
    "JWT_TOKEN_INVALID",
    "SESSION_COOKIE_INVALID",
    "UNAUTHENTICATED",
}
_TODO = {
    "SERVICE_DISABLED": "enable the API in the project: `gcloud services enable aiplatform.googleapis.com`",
    "BILLING_DISABLED": "link the project to a billing account",
}

# What RESOURCE_EXHAUSTED says, in the order in which it is looked for; a rate where nothing else is told.
EXHAUSTED: tuple[tuple[re.Pattern[str], type[MlinfraError]], ...] = (
    (
        re.compile(r"insufficient in|stockout|resource pool|out of capacity|not enough resources", re.IGNORECASE),
        CapacityUnavailable,
    ),
    (re.compile(r"per minute|per second|rate limit|too many requests|requests? per", re.IGNORECASE), Throttled),
    (re.compile(r"exceed(?:s|ed)? quota limits?|quota exceeded|quota limit", re.IGNORECASE), QuotaExceeded),
)
_CONNECTION = re.compile(r"failed to connect|name resolution|DNS|connection refused|handshake", re.IGNORECASE)

# What the service refuses although all is as it was asked for.
_OVER = re.compile(r"already|terminal|finished|completed|not in a cancel|cannot be cancel|has ended", re.IGNORECASE)
HARMLESS: dict[str, tuple[type[MlinfraError], re.Pattern[str]]] = {
    "CancelCustomJob": (Conflict, _OVER),
    "DeleteEndpoint": (NotFound, re.compile("")),
    "DeleteModel": (NotFound, re.compile("")),
    "UndeployModel": (NotFound, re.compile("")),
}

# google-auth's and requests' exceptions by class; the first class of the exception's bases that is here counts.
CLASSES: dict[str, tuple[type[MlinfraError], bool]] = {  # ours, and whether the request may have been sent
    "google.auth.exceptions.DefaultCredentialsError": (Denied, False),
    "google.auth.exceptions.TransportError": (Unavailable, False),  # of the way to a token, not of the request
    "google.auth.exceptions.MutualTLSChannelError": (Denied, False),
    "google.auth.exceptions.ClientCertError": (Denied, False),
    "google.auth.exceptions.RefreshError": (Denied, False),
    "google.auth.exceptions.GoogleAuthError": (Denied, False),
    "requests.exceptions.ConnectTimeout": (Unavailable, False),
    "requests.exceptions.ProxyError": (Unavailable, False),
    "requests.exceptions.SSLError": (Unavailable, False),
    "requests.exceptions.InvalidURL": (SpecError, False),
    "requests.exceptions.InvalidSchema": (SpecError, False),
    "requests.exceptions.MissingSchema": (SpecError, False),
    "requests.exceptions.RequestException": (Unavailable, True),
    "google.api_core.exceptions.GoogleAPIError": (Unavailable, True),
    "google.protobuf.json_format.Error": (SpecError, False),
    "grpc.RpcError": (Unavailable, True),
}


class Told(NamedTuple):
    """One refusal as Google tells it, whatever the protocol. `code` is a name of google.rpc.Code."""

    code: str
    message: str
    reason: str = ""
    retry_after: float | None = None


def translate(exc: Exception, operation: str = "") -> MlinfraError:
    """The error of ours that says what happened. Total: what it does not know is Unavailable, outcome unknown."""
    if isinstance(exc, MlinfraError):
        return exc
    code = getattr(getattr(exc, "grpc_status_code", None), "name", "")
    if code or getattr(exc, "code", None) in HTTP:
        told = Told(
            code or HTTP[exc.code],  # type: ignore[attr-defined]  # the getattr above
            str(getattr(exc, "message", "") or exc),
            str(getattr(exc, "reason", "") or ""),
            _delay(getattr(exc, "details", None)),
        )
        return refusal(told, operation)
    for kind in type(exc).__mro__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in CLASSES:
            return _from_class(exc, *CLASSES[name])
    return Unavailable(f"Google Cloud did not answer: {type(exc).__name__}: {exc}")


def is_harmless(error: MlinfraError, operation: str) -> bool:
    """Whether a refusal means that what was asked for is so already."""
    kind, words = HARMLESS.get(operation, (None, None))
    return kind is not None and words is not None and isinstance(error, kind) and bool(words.search(error.what))


def refusal(told: Told, operation: str = "") -> MlinfraError:
    """The error of ours for an answer that is one of Google's."""
    ours = kind_of(told)
    what = f"{operation or 'Google Cloud'}: {told.message or told.code} ({told.reason or told.code})"
    if issubclass(ours, TemporaryError):
        unsent = ours is not Unavailable or (told.code == "UNAVAILABLE" and bool(_CONNECTION.search(told.message)))
        return ours(what, retry_after=told.retry_after, sent=not unsent)
    if ours is Denied:
        return Denied(what, todo=_what_to_do(told))
    return ours(what)


def kind_of(told: Told) -> type[MlinfraError]:
    """Our class for a refusal: by its reason, else by its code and, where a stock or a rate may be meant, its words."""
    if told.reason in REASONS:
        return REASONS[told.reason]
    if told.code == "RESOURCE_EXHAUSTED":
        return next((ours for words, ours in EXHAUSTED if words.search(told.message)), Throttled)
    return CODES.get(told.code, Unavailable)


def told_by_status(status: Mapping[str, Any]) -> Told:
    """A google.rpc.Status, as jobs, long-running operations and their like have it."""
    code = NUMBERS.get(int(status.get("code", 2)), "UNKNOWN")
    return Told(code, str(status.get("message", "")), _reason(status.get("details", ())))


def told_by_http(status: int, document: Any, retry_after: str = "") -> Told:
    """An answer of a REST service: its error document where there is one, else what its status means."""
    error = document.get("error") if isinstance(document, dict) else None
    delay = float(retry_after) if retry_after.isdigit() else None
    if not isinstance(error, dict):
        text = document.get("error_description", error) if isinstance(document, dict) else document
        return Told(_by_http(status), str(text or "")[:500], retry_after=delay)
    code = str(error.get("status") or _by_http(status))
    return Told(code, str(error.get("message", "")), _reason(error.get("details", ())), delay)


def _by_http(status: int) -> str:
    if status in HTTP:
        return HTTP[status]
    return "UNAVAILABLE" if status >= _SERVER_ERROR else "INVALID_ARGUMENT" if status >= _CLIENT_ERROR else "UNKNOWN"


def _reason(details: Iterable[Any]) -> str:
    return next((str(each["reason"]) for each in details if isinstance(each, dict) and "reason" in each), "")


def _delay(details: Any) -> float | None:
    """The pause in a google.rpc.RetryInfo."""
    for each in details or ():
        pause = getattr(each, "retry_delay", None)
        if pause is not None:
            return float(pause.seconds + pause.nanos / 1e9)
    return None


def _from_class(exc: Exception, ours: type[MlinfraError], sent: bool) -> MlinfraError:  # noqa: FBT001  of the table
    what = f"{type(exc).__name__}: {exc}"
    if issubclass(ours, TemporaryError):
        return ours(f"Google Cloud did not answer: {what}", sent=sent and not _CONNECTION.search(what))
    if ours is Denied:
        if getattr(exc, "retryable", False):
            return Unavailable(f"Google's token service did not answer: {what}", sent=False)
        return Denied(f"no credentials that hold: {what}", todo=LOGIN)
    return ours(what) if ours is not KitFault else KitFault(what)


def _what_to_do(told: Told) -> str:
    """Log in, or the permission that is missing, where the service names it."""
    if told.reason in BAD_LOGINS or told.code == "UNAUTHENTICATED":
        return LOGIN
    if told.reason in _TODO:
        return _TODO[told.reason]
    found = re.search(r"[Pp]ermission '?([a-z]+\.[\w.]+)'? denied|does not have ([a-z]+\.[\w.]+) access", told.message)
    missing = (found[1] or found[2]) if found else ""
    return f"ask an administrator for {missing}" if missing else "`mlinfra env permissions` prints what the kit needs"


def model_answer(told: Told) -> str | None:
    """What a model server answered, out of the error in which Vertex AI wraps it; None where it is Google's own."""
    if told.code not in {"INVALID_ARGUMENT", "INTERNAL", "FAILED_PRECONDITION", "UNAVAILABLE", "UNKNOWN"}:
        return None
    text = told.message.strip()
    return text if text.startswith("{") else None
