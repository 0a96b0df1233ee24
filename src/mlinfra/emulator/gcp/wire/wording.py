"""How Google's services word what all of them refuse: a missing permission, too many calls, a fault of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.calls import Call, Refusal, Trouble

_UNAVAILABLE = "The service is currently unavailable."
_INTERNAL = "Internal error encountered."


class GcpWording:
    """The same words for every service; Cloud Storage has its own for what a bucket refuses."""

    def denied(self, call: Call, action: str, resource: str) -> Refusal:
        """PERMISSION_DENIED. Cloud Storage names the caller, and 401 meets one that shows no token at all."""
        if call.service == "storage":
            return _storage_denied(call, action, resource)
        service = action.partition(".")[0] if call.service in _HTTP else "aiplatform"
        return refusals.permission_denied(action, resource, service)

    def throttled(self, call: Call, retry_after: float) -> Refusal:
        """RESOURCE_EXHAUSTED; Cloud Storage says rateLimitExceeded."""
        return refusals.resource_exhausted(
            f"Quota exceeded for quota metric of {call.service} and limit 'requests per minute per region' of "
            f"{call.operation}.",
            retry_after,
        )

    def broken(self, call: Call, kind: Trouble) -> Refusal:
        """A fault of the service, no capacity, or a quota of the project."""
        if kind == "internal":
            return refusals.refusal("INTERNAL", _INTERNAL)
        if kind == "unavailable":
            return refusals.refusal("UNAVAILABLE", _UNAVAILABLE)
        if kind == "quota":
            return refusals.resource_exhausted(
                f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{_metric(call.operation)}"
            )
        return refusals.resource_exhausted("Resources are insufficient in region. Please try a different region.")


_HTTP = {"logging", "monitoring", "secretmanager", "artifactregistry", "iam", "cloudresourcemanager"}


def _metric(operation: str) -> str:
    return "custom_model_training_cpus" if "Job" in operation else "custom_model_serving_cpus"


def _storage_denied(call: Call, action: str, resource: str) -> Refusal:
    who = call.principal or "Anonymous caller"
    on = "bucket" if "/objects/" not in resource else "object"
    message = f"{who} does not have {action} access to the Google Cloud Storage {on}."
    message += f" Permission '{action}' denied on resource (or it may not exist)."
    return refusals.refusal("PERMISSION_DENIED" if call.principal else "UNAUTHENTICATED", message)
