"""BentoML: a service with one API, one worker, no access log."""

from __future__ import annotations

from typing import Any

import bentoml
import peer


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Service:
    """The model behind BentoML's API."""

    def __init__(self) -> None:
        self.model = peer.load()

    @bentoml.api
    def predict(self, instances: list[Any]) -> list[Any]:
        """Ask the model."""
        return peer.predict(self.model, instances)
