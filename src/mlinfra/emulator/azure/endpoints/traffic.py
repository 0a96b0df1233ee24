"""Who gets which share of an endpoint's traffic, and whose requests are mirrored.

After `traffic` and `mirrorTraffic` in the generated models, the "Online endpoints YAML reference" (the total is 0 or
100; one deployment may be mirrored to) and the guide "Safe rollout for online endpoints" (at most 50 per cent; a
deployment gets live or mirrored traffic). The service's own sentences are not published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.endpoints.records import Deployment

WHOLE = 100
_MOST_MIRRORED = 50
_TRAFFIC, _MIRROR = "properties.traffic", "properties.mirrorTraffic"


def checked(properties: Mapping[str, Any], deployments: Mapping[str, Deployment]) -> dict[str, int]:
    """The split that an endpoint's properties ask for, those without traffic left out.

    `deployments` are the endpoint's own, by name in lower case.

    Raises:
        Refusal: a share is none, the total is neither 0 nor 100, or one names a deployment that cannot take requests.
    """
    shares = _named(properties.get("traffic") or {}, deployments, _TRAFFIC)
    total = sum(shares.values())
    if total not in {0, WHOLE}:
        raise refusals.invalid(f"The traffic percentages must sum to 0 or 100, not {total}.", _TRAFFIC)
    return {name: share for name, share in shares.items() if share}


def mirrored(
    properties: Mapping[str, Any], deployments: Mapping[str, Deployment], live: Mapping[str, int]
) -> dict[str, int]:
    """Whose share of the requests is mirrored, empty where nobody's is. `live` is the split of the live traffic.

    Raises:
        Refusal: there are several, the share is none or too large, or it goes to a deployment with live traffic.
    """
    asked = {name: share for name, share in (properties.get("mirrorTraffic") or {}).items() if share}
    shares = _named(asked, deployments, _MIRROR)
    if len(shares) > 1:
        raise refusals.invalid("Traffic can be mirrored to one deployment only.", _MIRROR)
    if sum(shares.values()) > _MOST_MIRRORED:
        raise refusals.invalid(f"At most {_MOST_MIRRORED}% of the traffic can be mirrored.", _MIRROR)
    for name in shares:
        if live.get(name):
            raise refusals.invalid(f"Deployment {name} cannot receive both live and mirrored traffic.", _MIRROR)
    return shares


def _named(asked: Mapping[str, Any], deployments: Mapping[str, Deployment], target: str) -> dict[str, int]:
    """Shares by the deployments' own names. A share of nothing may name whatever it likes."""
    found = {}
    for name, share in asked.items():
        if not 0 <= share <= WHOLE:
            raise refusals.invalid(f"The percentage of {name} must be between 0 and 100, not {share}.", target)
        if not share:
            continue
        deployment = deployments.get(name.lower())
        if deployment is None:
            raise refusals.invalid(f"Deployment {name} does not exist in the endpoint, so it gets no traffic.", target)
        if not deployment.takes_traffic:
            told = f"Deployment {name} is in {deployment.state} provisioning state, so it gets no traffic."
            raise refusals.invalid(told, target)
        found[deployment.name] = int(share)
    return found
