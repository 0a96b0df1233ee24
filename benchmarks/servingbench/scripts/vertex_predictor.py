"""Vertex AI's custom prediction routine: its scikit-learn predictor, other methods and data frames by its hooks."""

from __future__ import annotations

from typing import Any

import peer
from google.cloud.aiplatform.prediction.sklearn.predictor import SklearnPredictor


class Estimator(SklearnPredictor):
    """The model behind the routine's hooks."""

    def preprocess(self, prediction_input: dict[str, Any]) -> Any:
        """Rows of a request."""
        return peer.table(prediction_input["instances"])

    def predict(self, instances: Any) -> Any:
        """Ask the model."""
        return getattr(self._model, peer.METHOD)(instances)
