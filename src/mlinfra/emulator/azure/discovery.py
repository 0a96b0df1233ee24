"""Where services are: ARM's metadata of clouds, and a workspace's own services.

Registries are in ARM alone: the address of their own, to which MLClient goes for them, is not emulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.wire import httpcalls, refusals
from mlinfra.emulator.calls import Call
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.azure.emulator import AzureEmulator

SERVICE = "discovery"
CLOUD = "emulated"  # the cloud's name in the metadata


class Discovery:
    """Answers `/metadata/endpoints` and `/discovery/workspaces/W`."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def stop(self) -> None:
        """Nothing runs here."""

    def _answer(self, request: Request) -> Response:
        known = {"metadata": ("endpoints", self._clouds), "discovery": ("workspace", self._workspace)}
        found = known.get(request.path.split("/")[1].lower())
        if found is None:
            raise refusals.not_emulated(request.path)
        name, handle = found
        call = Call(SERVICE, name, control=False)
        return httpcalls.replied(self._emulator.desk.admit(call, lambda: handle(request)))

    def _clouds(self, _request: Request) -> list[dict[str, Any]]:
        base = self._emulator.secure
        return [
            {
                "name": CLOUD,
                "portal": "https://portal.azure.com/",  # told in links alone; clients read the cloud's domain off it
                "resourceManager": f"{base}/",
                "authentication": {
                    "loginEndpoint": f"{base}/",
                    "audiences": [f"{base}/", "https://management.azure.com/"],
                    "tenant": "common",
                    "identityProvider": "AAD",
                },
                "suffixes": {"storage": base.removeprefix("https://"), "keyVaultDns": "vault.azure.net"},
            }
        ]

    def _workspace(self, _request: Request) -> dict[str, Any]:
        base = self._emulator.secure
        return dict.fromkeys(("api", "history", "catalog", "experimentation", "gallery", "modelmanagement"), base)


OPERATIONS: tuple[Fidelity, ...] = (
    Fidelity(SERVICE, "endpoints", validated="the path"),
    Fidelity(
        SERVICE,
        "workspace",
        validated="the path",
        differences=("every service of the workspace is at the same address",),
    ),
)
