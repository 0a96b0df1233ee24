"""Capture records on Azure ML: the kit's own server writes them, so they are what they should be.

Azure's data collector keeps questions and answers in two places, masks no column, and leaves its readers to join them.
Azure's model monitors want it: an override of a deployment's `properties.dataCollector` turns it on beside these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document


def capture(record: Document, key: str) -> Document:  # noqa: ARG001  the contract's signature
    """The record as it is."""
    return record
