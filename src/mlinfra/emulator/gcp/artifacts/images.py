"""Which images jobs and models may name on Google Cloud.

Every image that was not registered is refused: in the service's words where the service would refuse it, else as not
emulated. Where the service's own sentence is not published, the documented rule is told (custom container
requirements, "Container image publishing requirements").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.artifacts.references import parsed
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.programs import Programs
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.names import Place
    from mlinfra.emulator.programs import Contents

PULL = "artifactregistry.repositories.downloadArtifacts"
_PREBUILT = "vertex-ai"  # the project of Vertex AI's own images
_MULTI_REGIONS = frozenset({"us", "europe", "asia", "eu"})
_NOT_OURS = (
    "The container image {uri} is in neither Artifact Registry nor Container Registry. Push it to Artifact Registry "
    "in order to use it."
)
_ELSEWHERE = (
    "The container image {uri} is in {location}, but the repository must use a region that matches the location of "
    "the request, {region}."
)
_DENIED = (
    "The Vertex AI Service Agent {agent} does not have the permission {permission} on {resource} (or it may not exist)."
)
_MISSING = "The container image {uri} does not exist, or the Vertex AI Service Agent {agent} may not read it."
DIFFERENCES = (
    "an image is known when it was registered with the program and Python that stand for it; nothing can be pushed",
    "the service agent may pull what was registered, whichever project it is in; nothing else of other projects",
    "a tag and a digest are taken as written; one is not resolved to the other",
)


class Images(Programs):
    """The images that jobs and models may name, in one project and region."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    @property
    def agent(self) -> str:
        """The Vertex AI service agent, which pulls every image."""
        return f"service-{self._place.number}@gcp-sa-aiplatform.iam.gserviceaccount.com"

    def check(self, uri: str, field: str = "") -> None:
        """Refuse an image that is not there, or that the service agent may not pull. `field`: its path in a request."""
        reference = parsed(uri)
        if reference is None:
            raise refusals.invalid_argument(_NOT_OURS.format(uri=uri), field)
        if reference.location not in _MULTI_REGIONS | {self._place.region}:
            words = {"uri": uri, "location": reference.location, "region": self._place.region}
            raise refusals.invalid_argument(_ELSEWHERE.format(**words), field)
        if uri in self.known():
            return
        if reference.project == _PREBUILT:
            raise refusals.not_emulated(f"The image {uri} of Vertex AI's own")
        if reference.project == self._place.project:
            raise refusals.refusal("NOT_FOUND", _MISSING.format(uri=uri, agent=self.agent))
        words = {"agent": self.agent, "permission": PULL, "resource": reference.resource}
        raise refusals.refusal("PERMISSION_DENIED", _DENIED.format(**words))

    def contents(self, uri: str) -> Contents:
        """What an image holds.

        Raises:
            Refusal: as `check`; or this machine has no such Python, which is not emulated.
        """
        self.check(uri)
        try:
            return self.at_hand(uri)
        except CapabilityError as exc:
            raise refusals.not_emulated(f"The image {uri} ({exc.what})") from exc
