"""Stages as profiles: every default of a stack is a decision, and its reason is written beside it.

`dev` is cheap and goes in one command, `staging` is built like prod but small, `prod` is private, encrypted with keys
of one's own, protected against loss and watched. A stack's configuration may change single settings under `settings`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, create_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Stage

_HOUR: Final = 3600  # s


class Profile(BaseModel):
    """What a stage decides. A field's description is the reason for its three values."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    protected: bool = Field(description="Destructive verbs ask for --confirm NAME: prod must not go by a slip")
    deletion_protection: bool = Field(
        description="Stores and keys refuse deletion, in the engine and where the cloud can: models outlive stacks"
    )
    destroy_contents: bool = Field(
        description="`destroy` empties stores: dev and staging hold copies and must go in one command, prod holds truth"
    )
    customer_keys: bool = Field(
        description="Encryption with keys of one's own: dev saves a key's price, prod needs to revoke and to audit"
    )
    key_deletion_days: int = Field(
        ge=7, le=30, description="Days until a deleted key is gone: the clouds' shortest, in prod the longest"
    )
    private_network: bool = Field(
        description="Jobs and endpoints run in private subnets, reached by private endpoints: these cost by the hour"
    )
    zones: int = Field(ge=1, le=3, description="Availability zones: one is cheap, two find mistakes, three survive one")
    flow_logs: bool = Field(description="The network's flows are kept: only where somebody would look at them")
    versions_days: int = Field(
        ge=1, description="Days that an overwritten object is kept: long enough to notice, in prod for audits"
    )
    soft_delete_days: int = Field(
        ge=7, le=90, description="Days that a deleted object, vault or key can be brought back, where the cloud can"
    )
    capture_days: int = Field(
        ge=1, description="Days that captured requests are kept: they hold people's data and feed monitors"
    )
    log_days: int = Field(
        ge=1, description="Days that logs are kept: dev's are read at once, prod's a year later by auditors"
    )
    access_logs: bool = Field(description="Reads and writes of stores are logged: evidence that dev has no use for")
    alarms: bool = Field(description="Endpoint alarms tell people: in dev nobody should be woken")
    budget: int = Field(ge=0, description="Monthly budget in the account's currency before `budget` names another one")
    budget_stops: bool = Field(
        description="A spent budget takes the right to start work: dev may stand still, prod may not"
    )
    largest_cluster: int = Field(ge=1, description="Machines at most in a cluster; every cluster scales to none")
    spot: bool = Field(description="Clusters take spare capacity: cheap, and may be taken away")
    replicas: int = Field(ge=1, description="Least replicas of an endpoint in the stack: one machine is no service")
    endpoint_lifetime: int = Field(
        ge=0, description="Seconds until an endpoint that says nothing itself goes, 0 for never: dev's are forgotten"
    )


PROFILES: Final[Mapping[Stage, Profile]] = MappingProxyType(
    {
        "dev": Profile(
            protected=False,
            deletion_protection=False,
            destroy_contents=True,
            customer_keys=False,
            key_deletion_days=7,
            private_network=False,
            zones=1,
            flow_logs=False,
            versions_days=7,
            soft_delete_days=7,
            capture_days=14,
            log_days=14,
            access_logs=False,
            alarms=False,
            budget=100,
            budget_stops=True,
            largest_cluster=2,
            spot=True,
            replicas=1,
            endpoint_lifetime=8 * _HOUR,
        ),
        "staging": Profile(
            protected=False,
            deletion_protection=False,
            destroy_contents=True,
            customer_keys=True,
            key_deletion_days=7,
            private_network=True,
            zones=2,
            flow_logs=True,
            versions_days=30,
            soft_delete_days=7,
            capture_days=30,
            log_days=90,
            access_logs=True,
            alarms=True,
            budget=500,
            budget_stops=False,
            largest_cluster=4,
            spot=True,
            replicas=1,
            endpoint_lifetime=0,
        ),
        "prod": Profile(
            protected=True,
            deletion_protection=True,
            destroy_contents=False,
            customer_keys=True,
            key_deletion_days=30,
            private_network=True,
            zones=3,
            flow_logs=True,
            versions_days=365,
            soft_delete_days=90,
            capture_days=90,
            log_days=365,
            access_logs=True,
            alarms=True,
            budget=2000,
            budget_stops=False,
            largest_cluster=10,
            spot=False,
            replicas=2,
            endpoint_lifetime=0,
        ),
    }
)

# What prod never gives up: a configuration that says otherwise is refused.
FIRM_IN_PROD: Final = ("protected", "deletion_protection", "customer_keys", "private_network", "alarms", "access_logs")


class Changes(BaseModel):
    """Settings of a stage that a configuration changes; the fields of `Profile`, all optional."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


_FIELDS: dict[str, Any] = {
    name: (info.rebuild_annotation() | None, Field(None, description=info.description))
    for name, info in Profile.model_fields.items()
}
SettingChanges: type[Changes] = create_model("SettingChanges", __base__=Changes, **_FIELDS)


def profile(stage: Stage, changes: Changes | None = None) -> Profile:
    """The stage's profile with what a configuration changes."""
    changed = changes.model_dump(exclude_none=True) if changes else {}
    return PROFILES[stage].model_copy(update=changed)
