"""What Azure refuses, as ARM tells it: `{"error": {"code", "message", "target", "details", "additionalInfo"}}`.

ARM's own codes: "Troubleshoot common Azure deployment errors", "Throttling Resource Manager requests". Azure Machine
Learning says `UserError` for whatever the caller did wrong and tells the kind as an InnerError beside it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlinfra.emulator.azure.names import Place

_FIX = "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
_AUDIENCES = "'https://management.core.windows.net/','https://management.azure.com/'"


def refusal(
    code: str,
    message: str,
    status: int = 400,
    *,
    target: str = "",
    details: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Refusal:
    """Any error. `more` are further members of the error's object."""
    found: dict[str, Any] = {
        **({"target": target} if target else {}),
        **({"details": list(details)} if details else {}),
    }
    return Refusal(code, message, status=status, headers=headers, details={**found, **(more or {})})


def user_error(message: str, kind: str = "BadArgument", status: int = 400, *, target: str = "") -> Refusal:
    """What Azure Machine Learning itself refuses. `kind` is told as the inner error: BadArgument, Conflict."""
    info = [
        {"type": "ComponentName", "info": {"value": "managementfrontend"}},
        {"type": "InnerError", "info": {"value": {"code": kind, "innerError": None}}},
    ]
    return refusal("UserError", message, status, target=target, more={"details": [], "additionalInfo": info})


def invalid(message: str, target: str = "") -> Refusal:
    """The request breaks a rule of Azure Machine Learning. `target` is the path of the member at fault."""
    return user_error(message, "BadArgument", target=target)


def not_found(message: str) -> Refusal:
    """Azure Machine Learning has no such thing: `not_found("Model x:1 was not found in workspace mlinfra.")`."""
    return user_error(message, "NotFound", 404)


def conflict(message: str, kind: str = "Conflict") -> Refusal:
    """The resource is in no state for it, or is immutable."""
    return user_error(message, kind, 409)


def resource_not_found(name: str) -> Refusal:
    """ARM knows no such resource: the text after `providers/` and the group are told."""
    parts = name.split("/")
    group = parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else ""  # noqa: PLR2004  see names.py
    kind = name.rpartition("/providers/")[2]
    where = f" under resource group '{group}'" if group else ""
    return refusal("ResourceNotFound", f"The Resource '{kind}'{where} was not found. {_FIX}", 404)


def group_not_found(group: str) -> Refusal:
    """There is no such resource group."""
    return refusal("ResourceGroupNotFound", f"Resource group '{group}' could not be found.", 404)


def subscription_not_found(subscription: str) -> Refusal:
    """There is no such subscription."""
    return refusal("SubscriptionNotFound", f"The subscription '{subscription}' could not be found.", 404)


def precondition_failed(name: str) -> Refusal:
    """The etag that `If-Match` named is not the newest, or `If-None-Match` met something that is there."""
    return refusal("PreconditionFailed", f"The condition set in the request's headers is not met: {name}", 412)


def denied(principal: str, action: str, scope: str) -> Refusal:
    """The caller lacks a permission."""
    return refusal(
        "AuthorizationFailed",
        f"The client '{principal}' with object id '{principal}' does not have authorization to perform action "
        f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
        "your credentials.",
        403,
    )


def throttled(subscription: str, operation: str, retry_after: float) -> Refusal:
    """Too many calls; `retry_after` in seconds."""
    seconds = max(1, math.ceil(retry_after))
    return refusal(
        "SubscriptionRequestsThrottled",
        f"Number of requests for subscription '{subscription}' and operation '{operation}' exceeded the limit. "
        f"Please try again after '{seconds}' seconds.",
        429,
        headers={"Retry-After": str(seconds)},
    )


def unauthenticated(place: Place, *, missing: bool = False, audience: str = "", expired: bool = False) -> Refusal:
    """Nobody that is known calls: no token, one that nobody issued, that is too old, or for another service."""
    if missing:
        code, told = "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
    elif expired:
        code, told = "ExpiredAuthenticationToken", "The access token has expired."
    elif audience:
        code = "InvalidAuthenticationTokenAudience"
        told = (
            f"The access token has been obtained for wrong audience or resource '{audience}'. It should exactly match "
            f"with one of the allowed audiences {_AUDIENCES}."
        )
    else:
        code, told = "InvalidAuthenticationToken", "The access token is invalid."
    challenge = (
        f'Bearer authorization_uri="https://login.windows.net/{place.tenant}", error="invalid_token", '
        f'error_description="{told}"'
    )
    return refusal(code, told, 401, headers={"WWW-Authenticate": challenge})


def missing_version() -> Refusal:
    """No api-version was named."""
    told = "The api-version query parameter (?api-version=) is required for all requests."
    return refusal("MissingApiVersionParameter", told)


def unknown_version(version: str, kind: str, region: str, known: Sequence[str]) -> Refusal:
    """The resource type has no such api-version."""
    provider, _, rest = kind.partition("/")
    told = (
        f"No registered resource provider found for location '{region}' and API version '{version}' for type "
        f"'{rest or provider}'. The supported api-versions are '{', '.join(known)}'. "
        f"The supported locations are '{region}'."
    )
    return refusal("NoRegisteredProviderFound", told)


def not_emulated(what: str) -> Refusal:
    """Something the emulator does not do. It says so and never invents a success."""
    return refusal("NotImplemented", f"{what} is not emulated", 501)


def document(error: Refusal) -> dict[str, Any]:
    """The error as ARM tells it."""
    return {"error": {"code": error.code, "message": error.message, **error.details}}
