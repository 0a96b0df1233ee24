"""Which environments an emulator takes: those of its platform, in the account and region that it plays."""

from __future__ import annotations

from typing import TypeVar

from mlinfra.environment import Environment
from mlinfra.errors import SpecError

Kind = TypeVar("Kind", bound=Environment)


def of_here(environment: Environment, kind: type[Kind], *, account: str, region: str, noun: str) -> Kind:
    """The environment, known to be of a platform. `noun` is the cloud's own word for an account.

    Raises:
        SpecError: it is of another platform, or lies elsewhere.
    """
    if not isinstance(environment, kind):
        own = kind.model_fields["platform"].default
        raise SpecError("not an environment of this platform", given=environment.platform, allowed=own)
    if (environment.account, environment.region) != (account, region):
        raise SpecError(
            f"the environment lies in another {noun} or region than the one that this emulator plays",
            given=f"{environment.account} {environment.region}",
            allowed=f"{account} {region}",
            todo="start an emulator with that account and region",
        )
    return environment
