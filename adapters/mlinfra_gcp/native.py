"""`google.cloud.aiplatform`'s own objects for whoever needs more than the kit has; imported only when asked for.

Their constructors take project, location and credentials, so nothing of the process is changed. Another address than
the vendor's own is known to `aiplatform.init` alone, and another certificate authority to a variable alone: an
environment with addresses of its own sets both for the whole process. With another authority they speak REST, since
gRPC reads its variable once, before the kit's own first call. Making an object reads its resource once.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.errors import CapabilityError
from mlinfra_gcp.places import resource as name_of

if TYPE_CHECKING:
    from mlinfra.environment import Environment

# Kind of the kit -> the collection in a resource's name, how to make the vendor's object, the argument for its name.
RESOURCES = {
    "job": ("customJobs", "CustomJob.get", "resource_name"),
    "model": ("models", "Model", "model_name"),
    "endpoint": ("endpoints", "Endpoint", "endpoint_name"),
}
_ROOTS = "REQUESTS_CA_BUNDLE"


class Access(NamedTuple):
    """How to reach Vertex AI: `address` and `authority` (a file) only where they are not the vendor's own."""

    credentials: Any
    address: str = ""
    authority: str = ""


def resource(kind: str, native_id: str, environment: Environment, access: Access) -> Any:
    """The vendor's object for a thing of the kit, read once.

    Raises:
        CapabilityError: the vendor has no such kind.
    """
    if kind not in RESOURCES:
        raise CapabilityError("google.cloud.aiplatform has no such object", given=kind, allowed=", ".join(RESOURCES))
    collection, maker, argument = RESOURCES[kind]
    vendor = import_module("google.cloud.aiplatform")
    place = {"project": environment.account, "location": environment.region, "credentials": access.credentials}
    if access.authority:
        os.environ[_ROOTS] = access.authority
    if access.address:
        vendor.init(**place, api_endpoint=access.address, api_transport="rest" if access.authority else "grpc")
    make: Any = vendor
    for part in maker.split("."):
        make = getattr(make, part)
    return make(**{argument: name_of(environment, collection, native_id)}, **place)
