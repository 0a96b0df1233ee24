"""How well a version does, kept beside it: computed here on labelled rows, or elsewhere and attached.

An evaluation belongs to a digest. So it is the same for every name that the bytes have, and travels with a copy.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlinfra.engine import audit, records
from mlinfra.engine.patience import patiently
from mlinfra.errors import Conflict, IntegrityError, UsageError
from mlinfra.modelkit.manifest import digest_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session

LARGEST = 1_000_000  # bytes of one evaluation as JSON
"""Measures and figures; tables and pictures belong into a job's outputs."""


@dataclass(frozen=True)
class Evaluation:
    """One set of measures. `details` hold what they were computed from and how."""

    key: str
    digest: str
    time: datetime
    who: str
    metrics: dict[str, float]
    details: Document
