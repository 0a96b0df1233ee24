"""What holds where a spec is silent: one table, so that nobody has to search for it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mlinfra.spec.quantities import Duration, Percent, Share

CODE: Final = "."  # the folder of the spec file
MAX_RUNTIME: Final = Duration.parse("6h")
INFRASTRUCTURE_RETRIES: Final = 3  # the platform's fault: lost machines, no capacity
USER_RETRIES: Final = 0  # the script's own fault is rarely cured by running it again

ROLLOUT_STEPS: Final = (Share(10), Share(50), Share(100))
BAKE: Final = Duration.parse("5m")
STEP_REQUESTS: Final = 50
ROLLBACK_REQUESTS: Final = 50  # fewer say nothing about a rate
ROLLBACK_ERROR_RATE: Final = Percent(1)

CAPTURE_SAMPLE: Final = Percent(100)
CAPTURE_RETAIN: Final = Duration.parse("30d")

ENDPOINT_TTL: Final[Mapping[str, Duration]] = MappingProxyType({"dev": Duration.parse("8h")})  # by stage
