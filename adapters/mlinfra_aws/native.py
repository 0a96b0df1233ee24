"""`sagemaker`'s own objects for whoever needs more than the kit has; imported only when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mlinfra.errors import CapabilityError

# Kind of the kit -> class of sagemaker.core.resources, and the argument of its `get` that takes the id.
RESOURCES = {
    "job": ("TrainingJob", "training_job_name"),
    "model": ("ModelPackage", "model_package_name"),
    "endpoint": ("Endpoint", "endpoint_name"),
}


def resource(kind: str, native_id: str, session: Any) -> Any:
    """The vendor's object for a thing of the kit, read once with a boto3 session.

    Raises:
        CapabilityError: the vendor has no such kind.
    """
    if kind not in RESOURCES:
        raise CapabilityError("sagemaker has no such object", given=kind, allowed=", ".join(RESOURCES))
    name, argument = RESOURCES[kind]
    found = getattr(import_module("sagemaker.core.resources"), name)
    return found.get(**{argument: native_id}, session=session, region=session.region_name)
