"""Writes the model as an MLflow package, for `mlflow models serve`: no signature, which is its quicker way."""

from __future__ import annotations

import sys

import mlflow.sklearn
import peer

if __name__ == "__main__":
    mlflow.sklearn.save_model(
        peer.load(),
        sys.argv[1],
        pyfunc_predict_fn=peer.METHOD,
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
    )
