"""What makes two submissions the same work: one digest over everything that could change its outcome."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document

KEY_VERSION = 1
ID_DIGITS = 40  # what every platform's tags, labels and names can carry


@dataclass(frozen=True)
class Work:
    """The parts of the key. The kit's version and other fields of the environment stay out on purpose.

    `spec` has this platform's overrides alone and its overlays applied. `inputs` are content digests, or an
    address with its pinned version. `schemas` are the declared schemas of models that the job's outputs become.
    `occasion` sets a deliberate repetition apart: a schedule's tick, a trial, `--new NAME`.
    """

    spec: Document
    code: str
    inputs: Mapping[str, str]
    environment: str
    schemas: Document = field(default_factory=dict)
    occasion: str = ""

    @property
    def id(self) -> str:
        """Forty hex digits."""
        parts = {
            "version": KEY_VERSION,
            "spec": self.spec,
            "code": self.code,
            "inputs": dict(self.inputs),
            "environment": self.environment,
            "schemas": json.dumps(self.schemas),  # as text, since the order of columns means something
            "occasion": self.occasion,
        }
        return digest(parts)[:ID_DIGITS]


def digest(document: object) -> str:
    """The SHA-256 of a JSON document, the same for the same content whatever its order of keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
