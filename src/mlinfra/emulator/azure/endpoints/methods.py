"""The operations on online endpoints and their deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.images.images import DIFFERENCES
from mlinfra.emulator.azure.names import WORKSPACE
from mlinfra.emulator.azure.operations import Operation, Request, ml

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.endpoints import Endpoints
    from mlinfra.emulator.azure.endpoints.managed import Managed

_ENDPOINTS = f"{WORKSPACE}/onlineEndpoints"
_ENDPOINT = f"{_ENDPOINTS}/{{endpointName}}"
_DEPLOYMENTS = f"{_ENDPOINT}/deployments"
_DEPLOYMENT = f"{_DEPLOYMENTS}/{{deploymentName}}"


def _endpoint(  # noqa: PLR0917  a row of the table
    name: str,
    method: str,
    path: str,
    answer: Callable[[Endpoints, Request], Any],
    verb: str,
    differences: tuple[str, ...] = (),
) -> Operation:
    def handle(emulator: AzureEmulator, request: Request) -> Any:
        return answer(emulator.endpoints, request)

    action = ml(f"workspaces/onlineEndpoints/{verb}")
    return Operation(f"OnlineEndpoints_{name}", method, path, handle, action, differences=differences)


def _deployment(  # noqa: PLR0917  as above
    name: str,
    method: str,
    path: str,
    answer: Callable[[Managed, Request], Any],
    verb: str,
    differences: tuple[str, ...] = (),
) -> Operation:
    def handle(emulator: AzureEmulator, request: Request) -> Any:
        return answer(emulator.endpoints.managed, request)

    action = ml(f"workspaces/onlineEndpoints/deployments/{verb}")
    return Operation(f"OnlineDeployments_{name}", method, path, handle, action, differences=differences)


OPERATIONS = (
    _endpoint("List", "GET", _ENDPOINTS, lambda endpoints, request: endpoints.list_(request), "read"),
    _endpoint("Get", "GET", _ENDPOINT, lambda endpoints, request: endpoints.read(request), "read"),
    _endpoint(
        "CreateOrUpdate",
        "PUT",
        _ENDPOINT,
        lambda endpoints, request: endpoints.put(request),
        "write",
        (
            "an endpoint's address is a path at the emulator's own address instead of a host name",
            "while an operation is under way on a deployment, every other one on the endpoint is refused as well",
            "the sentences of refusals are the emulator's own where the service's are not published",
            "whether publicNetworkAccess is Disabled is kept and told; such an endpoint answers 'not emulated'",
            "Kubernetes endpoints answer 'not emulated'",
        ),
    ),
    _endpoint("Update", "PATCH", _ENDPOINT, lambda endpoints, request: endpoints.patch(request), "write"),
    _endpoint("Delete", "DELETE", _ENDPOINT, lambda endpoints, request: endpoints.delete(request), "delete"),
    _endpoint(
        "ListKeys",
        "POST",
        f"{_ENDPOINT}/listKeys",
        lambda endpoints, request: endpoints.list_keys(request),
        "listKeys/action",
    ),
    _endpoint(
        "RegenerateKeys",
        "POST",
        f"{_ENDPOINT}/regenerateKeys",
        lambda endpoints, request: endpoints.regenerate_keys(request),
        "regenerateKeys/action",
    ),
    _endpoint(
        "GetToken", "POST", f"{_ENDPOINT}/token", lambda endpoints, request: endpoints.token(request), "token/action"
    ),
    _deployment("List", "GET", _DEPLOYMENTS, lambda managed, request: managed.list_(request), "read"),
    _deployment("Get", "GET", _DEPLOYMENT, lambda managed, request: managed.read(request), "read"),
    _deployment(
        "CreateOrUpdate",
        "PUT",
        _DEPLOYMENT,
        lambda managed, request: managed.put(request),
        "write",
        (
            "an instance is a process with a port of its own, named in PORT, whatever the ports of inferenceConfig say",
            *DIFFERENCES,
            "scoring scripts, images that have to be built and Kubernetes deployments answer 'not emulated'",
            "machines mean nothing; the 20 per cent that are held for upgrades count in the quota",
            "the readiness probe decides whether an instance is ready; the host asks as often as it likes",
            "the initial delay of the readiness probe is stretched like every other delay",
            "the liveness probe is asked until it succeeds once, where its route is another",
            "a container that ends three times before it is ready fails the operation without waiting for its probes",
            "a server that stops answering its readiness probe is started again, and not only left without requests",
            "a deployment whose update failed goes on serving what it did; what the service does is not published",
            "appInsightsEnabled is kept and told; nothing is sent to Application Insights",
        ),
    ),
    _deployment("Update", "PATCH", _DEPLOYMENT, lambda managed, request: managed.patch(request), "write"),
    _deployment("Delete", "DELETE", _DEPLOYMENT, lambda managed, request: managed.delete(request), "delete"),
    _deployment(
        "GetLogs",
        "POST",
        f"{_DEPLOYMENT}/getLogs",
        lambda managed, request: managed.logs(request),
        "getLogs/action",
        ("the lines of all instances alone; the service tells one instance's, after its status and events",),
    ),
    _deployment("ListSkus", "GET", f"{_DEPLOYMENT}/skus", lambda managed, request: managed.skus(request), "skus/read"),
)
