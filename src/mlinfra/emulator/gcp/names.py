"""Resource names: `projects/P/locations/L/customJobs/1`, where P is the project's id or its number.

The service answers with the number, whatever it was asked with; permissions are asked and granted by the id.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from mlinfra.emulator.gcp.wire import refusals

# The vendor's authentication library asks Google, in the background, where a service account of its own universe may
# work (`allowedLocations`); of another universe it does not. `.invalid` is nobody's for ever (RFC 2606).
UNIVERSE = "mlinfra.invalid"
_DIGITS = 19


@dataclass(frozen=True)
class Place:
    """One project in one region."""

    project: str
    number: str
    region: str

    @property
    def parent(self) -> str:
        """What every regional resource lies in, as the service names it."""
        return f"projects/{self.number}/locations/{self.region}"

    def name(self, collection: str, own: str) -> str:
        """The name of a resource, as the service tells it: `name("customJobs", "123")`."""
        return f"{self.parent}/{collection}/{own}"

    def resolve(self, name: str) -> str:
        """The name as the service tells it, whichever way the project is named.

        Raises:
            Refusal: it lies in another project or region.
        """
        parts = name.split("/")
        if len(parts) < 2 or parts[0] != "projects":  # noqa: PLR2004  a collection and an id
            raise refusals.invalid_argument(f"List of found errors:\t1.Field: name; Message: Invalid name: {name}.\t")
        if parts[1] not in {self.project, self.number}:
            raise refusals.wrong_project(parts[1])
        if len(parts) >= 4 and (parts[2] != "locations" or parts[3] != self.region):  # noqa: PLR2004  two pairs
            raise refusals.invalid_argument(
                f"The request was sent to the {self.region} endpoint, but the resource is in {parts[3]}: {name}"
            )
        return "/".join(["projects", self.number, *parts[2:]])

    def owned(self, name: str) -> str:
        """The name by the project's id, on which permissions are asked."""
        parts = name.split("/")
        if parts[0] == "projects" and len(parts) > 1 and parts[1] == self.number:
            parts[1] = self.project
        return "/".join(parts)

    def own(self, name: str) -> str:
        """The last part of a name."""
        return name.rpartition("/")[2]


def new_id() -> str:
    """An id as the service makes them: nineteen digits, none of them a leading zero."""
    return str(secrets.randbelow(9 * 10 ** (_DIGITS - 1)) + 10 ** (_DIGITS - 1))
