"""How Azure words what every cloud refuses: a missing permission, too many calls, a fault of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.calls import Call, Refusal, Trouble

# Services whose data plane has words of its own.
_BLOBS, _VAULTS = "Microsoft.Storage", "Microsoft.KeyVault"
_BUSY = "The server is busy."
_SUBSCRIPTION = 2  # where a resource id names it: "/subscriptions/<id>"


class AzureWording:
    """ARM's words; blob storage and key vaults have their own for what their data plane refuses."""

    def denied(self, call: Call, action: str, resource: str) -> Refusal:
        """AuthorizationFailed; a key vault says Forbidden. Blob storage asks for itself."""
        if call.service == _VAULTS:
            told = f"Caller is not authorized to perform action on resource. Action: '{action}' Resource: '{resource}'"
            return refusals.refusal("Forbidden", told, 403, more={"innererror": {"code": "ForbiddenByRbac"}})
        return refusals.denied(call.principal, action, resource)

    def throttled(self, call: Call, retry_after: float) -> Refusal:
        """429 with Retry-After; blob storage says 503 ServerBusy."""
        if call.service == _BLOBS:
            headers = {"Retry-After": str(max(1, math.ceil(retry_after)))}
            return refusals.refusal("ServerBusy", _BUSY, 503, headers=headers)
        parts = next(iter(call.resources), "").split("/")
        subscription = parts[_SUBSCRIPTION] if len(parts) > _SUBSCRIPTION else ""
        return refusals.throttled(subscription, call.operation, retry_after)

    def broken(self, call: Call, kind: Trouble) -> Refusal:
        """A fault of the service, no capacity, or the subscription's quota."""
        if kind == "quota":
            told = f"{call.operation}: not enough quota is available for the requested virtual machines."
            return refusals.user_error(told, "OutOfQuota")
        if kind == "capacity":
            told = f"{call.operation}: the region has not enough capacity for the requested virtual machines."
            return refusals.user_error(told, "OutOfCapacity")
        if kind == "internal":
            code = "InternalError" if call.service == _BLOBS else "InternalServerError"
            return refusals.refusal(code, "The server encountered an internal error. Please retry the request.", 500)
        code = "ServerBusy" if call.service == _BLOBS else "ServiceUnavailable"
        return refusals.refusal(code, _BUSY, 503)
