"""How many instances an endpoint has that a stack owns whole, on whatever cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from mlinfra.errors import Problem
from mlinfra.infra.configuration import Part, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.infra.stages import Profile


class EndpointScale(Part):
    """How many instances an endpoint has."""

    min: int = Field(0, ge=0, description="Least instances; 0 for the stage's own")
    max: int = Field(0, ge=0, description="Most instances; more than the least scales by requests")
    requests_per_minute: int = Field(600, ge=1, description="Requests a minute that one instance shall get")

    def least(self, profile: Profile) -> int:
        """The least instances, in a stage."""
        return self.min or profile.replicas


def sound_scales(endpoints: str) -> Rule:
    """The rule that no endpoint below that key has more instances at least than at most."""

    def problems(configuration: Any) -> Iterable[Problem]:
        for name, endpoint in getattr(configuration, endpoints).items():
            least = endpoint.scale.least(configuration.profile)
            if 0 < endpoint.scale.max < least:
                yield Problem(
                    "scales to less than its least",
                    f"{endpoints}.{name}.scale.max",
                    given=str(endpoint.scale.max),
                    allowed=f"0, or {least} or more",
                )

    return Rule((endpoints, "stage", "settings"), problems)
