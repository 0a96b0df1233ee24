"""Who gets which share of an endpoint's traffic: the rules of `traffic_split`, and what undeploying does to it.

After the descriptions of `Endpoint.traffic_split`, `DeployModelRequest.traffic_split` and
`UndeployModelRequest.traffic_split` in google-cloud-aiplatform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlinfra.emulator.calls import Refusal

WHOLE = 100
NEW = "0"  # how a request names the model that it is about to deploy
_FIELD = "traffic_split"


def checked(split: Mapping[str, int], deployed: Collection[str]) -> dict[str, int]:
    """A split over deployed models as it will stand: those without traffic left out.

    Raises:
        Refusal: a share is none, they do not add up to 100, or one names a model that is not deployed here.
    """
    for name, share in split.items():
        if not 0 <= share <= WHOLE:
            raise _refused(f"The traffic percentage of {name!r} must be between 0 and 100, not {share}.")
        if name not in deployed:
            raise _refused(f"DeployedModel with id {name!r} of the traffic split is not deployed in the Endpoint.")
    if split and sum(split.values()) != WHOLE:
        raise _refused(f"The traffic percentage values must add up to 100, not {sum(split.values())}.")
    return {name: share for name, share in split.items() if share}


def after_deploying(
    present: Mapping[str, int], asked: Mapping[str, int], deployed: Collection[str], new: str
) -> dict[str, int]:
    """The split once a model is deployed as `new`. An empty `asked` leaves it as it is."""
    if not asked:
        return dict(present)
    if NEW in asked and new in asked and new != NEW:
        raise _refused(f"The traffic split names the model to be deployed twice, by {NEW!r} and by {new!r}.")
    renamed = {new if name == NEW else name: share for name, share in asked.items()}
    return checked(renamed, [*deployed, new])


def after_undeploying(
    present: Mapping[str, int], asked: Mapping[str, int], deployed: Collection[str], leaving: str
) -> dict[str, int]:
    """The split once a model is undeployed; empty where it was the last.

    Raises:
        Refusal: it would still have traffic while others remain, or `asked` breaks a rule.
    """
    others = [name for name in deployed if name != leaving]
    if not others:
        return {}
    wanted = checked(asked, deployed) if asked else dict(present)
    if wanted.get(leaving):
        raise refusals.failed_precondition(
            f"DeployedModel {leaving} has {wanted[leaving]}% of the traffic. A DeployedModel can be undeployed only if "
            "no traffic is assigned to it, or if traffic_split of the request unassigns it."
        )
    return wanted


def _refused(message: str) -> Refusal:
    return refusals.invalid_argument(message, _FIELD)
