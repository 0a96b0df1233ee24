"""The smoke probe: a new deployment answers the model's own stored example before any user's request reaches it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.engine.invoke import ask, parse_predictions
from mlinfra.errors import DeploymentFailed, InputRejected, InvocationFailed, NotFound, TemporaryError

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import DeploymentDesired, EndpointObservation
    from mlinfra.engine.session import Session
