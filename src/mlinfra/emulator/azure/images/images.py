"""Which images environments may name, and who may pull them.

An environment version takes any image; whether it can be pulled shows when a job or a deployment starts. The service's
own sentences for that are not published: told are the rules that its troubleshooting guide names for online endpoints,
"Unable to download user container image" and "Container registry authorization error".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from mlinfra.emulator.azure.images.references import parsed
from mlinfra.emulator.azure.wire import httpcalls, refusals
from mlinfra.emulator.programs import Programs
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.programs import Contents

PULL = "Microsoft.ContainerRegistry/registries/pull/read"
_NO_NAME = "The image '{uri}' is no valid reference to a container image."
_MISSING = "Unable to download user container image: '{uri}' was not found in the container registry '{registry}'."
_DENIED = (
    "Startup task failed due to authorization error: the identity '{principal}' may not pull '{uri}'. Grant it AcrPull "
    "on the container registry '{registry}'."
)
DIFFERENCES = (
    "an image is known when it was registered with the program and Python that stand for it; none is pushed or built",
    "a tag and a digest are taken as written; one is not resolved to the other",
)


class Images(Programs):
    """The images that jobs and deployments may run, in one resource group's registries."""

    def __init__(self, emulator: AzureEmulator) -> None:
        super().__init__()
        self._emulator = emulator

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request of the registry's own interface: nothing can be pulled or pushed."""
        return httpcalls.served(environ, start_response, _refused)

    def stop(self) -> None:
        """Nothing of it runs."""

    def leftovers(self) -> list[str]:
        """Nothing of it is made through the kit."""
        return []

    def check(self, uri: str, principal: str = "") -> None:
        """Refuse an image that is not there, or that may not be pulled.

        `principal` is the object id in whose name it is pulled; empty for an identity that the service looks after,
        which may pull from the workspace's registry.
        """
        reference = parsed(uri)
        if reference is None:
            raise refusals.invalid(_NO_NAME.format(uri=uri), "image")
        if reference.registry and principal and self._emulator.desk.enforce:
            resource = self._emulator.place.id("Microsoft.ContainerRegistry", "registries", reference.registry)
            if not self._emulator.policy.decide(principal, PULL, resource).allowed:
                words = {"uri": uri, "principal": principal, "registry": reference.registry}
                raise refusals.invalid(_DENIED.format(**words), "image")
        if uri in self.known():
            return
        if reference.registry:
            raise refusals.user_error(_MISSING.format(uri=uri, registry=reference.registry), target="image")
        raise refusals.not_emulated(f"The image {uri}, of which nobody told what it holds,")

    def contents(self, uri: str, principal: str = "") -> Contents:
        """What an image holds.

        Raises:
            Refusal: as `check`; or this machine has no such Python, which is not emulated.
        """
        self.check(uri, principal)
        try:
            return self.at_hand(uri)
        except CapabilityError as exc:
            raise refusals.not_emulated(f"The image {uri} ({exc.what})") from exc


def _refused(request: Request) -> NoReturn:
    raise refusals.not_emulated(f"{request.method} {request.path} of a container registry")
