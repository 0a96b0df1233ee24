"""What Google's services refuse, as one error for both transports: a canonical code, and google.rpc details.

Codes and their HTTP statuses are google.rpc.Code's; details are those of google.rpc (`error_details.proto` in
googleapis-common-protos), in the JSON mapping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# google.rpc.Code: name -> number, HTTP status
CODES: dict[str, tuple[int, int]] = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}
_DOMAIN = "googleapis.com"
_TYPES = "type.googleapis.com/google.rpc."
_HELP = "See https://developers.google.com/identity/sign-in/web/devconsole-project."
_EXPECTED = f"Expected OAuth 2 access token, login cookie or other valid authentication credential. {_HELP}"


def refusal(code: str, message: str, details: Sequence[Mapping[str, Any]] = ()) -> Refusal:
    """Any error: a name of `CODES`, and details, each with its `@type`."""
    return Refusal(code, message, status=CODES[code][1], details={"details": list(details)} if details else None)


def number_of(error: Refusal) -> int:
    """The code's number on the wire; UNKNOWN's where a script made up a code."""
    return CODES.get(error.code, CODES["UNKNOWN"])[0]


def invalid_argument(message: str, field: str = "") -> Refusal:
    """The request breaks a rule. `field` is its path in the request, `custom_job.job_spec`, where one is at fault."""
    violation = {"field": field, "description": message}
    return refusal("INVALID_ARGUMENT", message, [detail("BadRequest", fieldViolations=[violation])] if field else ())


def not_found(what: str) -> Refusal:
    """There is no such resource: `not_found("The Model")` is worded as the service does."""
    return refusal("NOT_FOUND", f"{what} does not exist." if not what.endswith(".") else what)


def already_exists(message: str) -> Refusal:
    """The id is taken."""
    return refusal("ALREADY_EXISTS", message)


def failed_precondition(message: str) -> Refusal:
    """The resource is in no state for it."""
    return refusal("FAILED_PRECONDITION", message)


def aborted(message: str) -> Refusal:
    """Somebody else changed it meanwhile: an etag that is not the newest."""
    return refusal("ABORTED", message)


def permission_denied(permission: str, resource: str, service: str = "aiplatform") -> Refusal:
    """The caller lacks a permission on a resource, which may as well not exist: the service does not tell which."""
    full = f"//{service}.{_DOMAIN}/{resource}"
    return refusal(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '{full}' (or it may not exist).",
        [
            detail(
                "ErrorInfo",
                reason="IAM_PERMISSION_DENIED",
                domain=f"{service}.{_DOMAIN}",
                metadata={"permission": permission, "resource": resource},
            )
        ],
    )


def wrong_project(project: str) -> Refusal:
    """A project that is not the one played: the service does not tell it from one that does not exist."""
    info = detail(
        "ErrorInfo",
        reason="CONSUMER_INVALID",
        domain=_DOMAIN,
        metadata={"consumer": f"projects/{project}", "service": f"aiplatform.{_DOMAIN}"},
    )
    return refusal("PERMISSION_DENIED", f"Permission denied on resource project {project}.", [info])


def resource_exhausted(message: str, retry_after: float = 0.0) -> Refusal:
    """A quota is used up; `retry_after` in seconds, where it is known."""
    details = [detail("RetryInfo", retryDelay=f"{retry_after:.3f}s")] if retry_after else []
    return refusal("RESOURCE_EXHAUSTED", message, details)


def unauthenticated(*, missing: bool = False) -> Refusal:
    """Nobody that is known calls: no token at all, or one that nobody issued, or that is too old."""
    what = "Request is missing required authentication credential."
    what = what if missing else "Request had invalid authentication credentials."
    reason = "CREDENTIALS_MISSING" if missing else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    return refusal(
        "UNAUTHENTICATED",
        f"{what} {_EXPECTED}",
        [detail("ErrorInfo", reason=reason, domain=_DOMAIN)],
    )


def not_emulated(what: str) -> Refusal:
    """Something the emulator does not do. It says so and never invents a success."""
    return refusal("UNIMPLEMENTED", f"{what} is not emulated")


def document(error: Refusal) -> dict[str, Any]:
    """The error as REST tells it."""
    body = {"code": error.status, "message": error.message, "status": error.code, **error.details}
    return {"error": body}


def detail(kind: str, **members: Any) -> dict[str, Any]:
    """One google.rpc detail, in the JSON mapping: `detail("RetryInfo", retryDelay="1s")`."""
    return {"@type": f"{_TYPES}{kind}", **members}
