"""This platform's part of a spec, checked against the host's own description of its operations."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mlinfra.contract.schema import problems, unknown
from mlinfra.errors import KitFault, NotFound, SpecError
from mlinfra.spec.overrides import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.adapter import Rate
    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.spec import Spec

SERVICE = "host"
EXPIRED = "expired"  # the host's word for an endpoint whose time to live is over
NAME_TAG = "mlinfra_endpoint"  # the spec's name, since the physical one is cut where it is long
CAPTURES = "captures/"  # what servers write by themselves lies in a folder of its own, beside the buckets
QUOTAS: Mapping[str, Rate] = {}  # the host is a library: nobody rations its calls

_OWNED = {
    "CreateJob": ("name", "bundle", "env", "tags", "collect"),
    "CreateEndpoint": ("endpoint", "tags"),
    "CreateDeployment": ("endpoint", "deployment", "argv", "env", "mounts", "model", "tags"),
}


def check_overrides(overrides: Mapping[str, Any], environment: Environment | None) -> None:  # noqa: ARG001  the stage forbids nothing here
    """Refuse operations that the adapter does not send.

    Raises:
        SpecError: names the operation and the nearest valid one.
    """
    wrong = [unknown("operation", name, _OWNED, f"overrides.local.{name}") for name in overrides if name not in _OWNED]
    if wrong:
        raise SpecError("the overrides for platform local are not valid", problems=wrong)


def overridden(operation: str, body: Document, spec: Spec) -> Document:
    """The body with the user's overrides, checked as a whole.

    Raises:
        SpecError: holds every member that is wrong, or that the kit sets itself.
    """
    patch = spec.overrides.get("local", {}).get(operation, {})
    return override(
        body,
        patch,
        operation=operation,
        owned=_OWNED[operation],
        validate=lambda merged: problems(_schema()[operation], merged, operation),
    )


def check_request(request: Request) -> None:
    """Validate a request to the host offline.

    Raises:
        SpecError: holds every member that is wrong.
    """
    if request.service != SERVICE:
        return
    if request.operation not in _schema():
        raise KitFault(f"the host has no operation {request.operation}")
    wrong = list(problems(_schema()[request.operation], request.body, request.operation))
    if wrong:
        raise SpecError(f"{request.operation} does not take this body", problems=wrong)


def permissions(environment: Environment) -> dict[str, list[str]]:
    """What the user of this machine must be allowed to do."""
    root = environment.as_document().get("root", "")
    return {"caller": [f"write below {root}", "start processes", "listen on loopback"]}


def policy(environment: Environment) -> Document:
    """What to ask an administrator for; a machine of one's own needs nothing."""
    return {"platform": "local", "permissions": permissions(environment)}


def store_uri(environment: Environment, bucket: str, key: str) -> str:
    """The address of an object of the host's store. The host keeps objects as files under their keys."""
    base = root(environment) if key.startswith(CAPTURES) else _bucket(environment, bucket)
    return f"file://{quote(base)}/{quote(key)}"


def store_key(environment: Environment, bucket: str, uri: str) -> str:
    """The key behind an address, which may also be written `store://key`.

    Raises:
        NotFound: the address lies outside the store.
    """
    if uri.startswith("store://"):
        return unquote(uri.removeprefix("store://"))
    for base, prefix in ((_bucket(environment, bucket), ""), (root(environment), CAPTURES)):
        if uri.startswith(f"file://{quote(base)}/{prefix}"):
            return unquote(uri.removeprefix(f"file://{quote(base)}/"))
    raise NotFound(
        "this address is not in the environment's store",
        given=uri,
        allowed=store_uri(environment, bucket, "…"),
        todo="`mlinfra store put` brings it there",
    )


def root(environment: Environment) -> str:
    """The host's folder; an environment of a platform that the kit does not know names it under `native`."""
    document = environment.as_document()
    return str(document.get("root") or environment.native["root"])


def _bucket(environment: Environment, bucket: str) -> str:
    return f"{root(environment)}/buckets/{bucket}"


@cache
def _schema() -> dict[str, Any]:
    """Operation -> JSON Schema of its body, extracted from the host by `tools/schemas`."""
    text = resources.files(__package__).joinpath("schema.json").read_text()
    operations: dict[str, Any] = json.loads(text)["operations"]
    return operations
