"""How an emulator behaves: delays, lag, quotas, permissions, faults. The same settings for every cloud."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from mlinfra.emulator.faults import Fault  # noqa: TC001  pydantic reads the annotation


class Settings(BaseModel):
    """Everything that may be chosen when an emulator starts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    port: int = Field(0, ge=0, le=65535, description="Port on loopback; 0 for a free one")
    region: str = Field("", description="Region that it plays; empty for the emulator's own default")
    account: str = Field("", description="Account, project or subscription that it plays; empty for its default")
    speed: float = Field(1.0, gt=0, description="How many virtual seconds pass in a real one")
    delays_scale: float = Field(1.0, ge=0, description="Stretches how long each state lasts; 0 for no waiting")
    list_lag: float = Field(0.0, ge=0, description="Virtual seconds until lists show what was made or removed")
    metric_delay: float = Field(0.0, ge=0, description="Virtual seconds until a measured value is visible")
    quotas: bool = Field(default=True, description="Enforce the account's limits")
    enforce_policy: bool = Field(default=True, description="Ask the policies about every call")
    faults: tuple[Fault, ...] = Field((), description="The script of faults in force from the start")
