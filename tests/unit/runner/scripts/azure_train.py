# Written as such scripts are written, not as this project's code is.
# ruff: noqa: LOG015, PTH123
"""Training as written for an Azure ML command job: every path is an argument, MLflow is used where it is installed."""

import argparse
import csv
import json
import logging
from pathlib import Path

try:
    import mlflow
except ImportError:
    mlflow = None

logging.basicConfig(level=logging.INFO)


def main(args):
    if mlflow:
        mlflow.log_param("depth", args.depth)
    with open(args.training_data, newline="") as file:
        values = [float(row["y"]) for row in csv.DictReader(file)]
    mean = sum(values) / len(values)
    if mlflow:
        mlflow.log_metric("mean", mean)
    target = Path(args.model_output)
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.json").write_text(json.dumps({"mean": mean, "depth": args.depth}))
    logging.info("mean is %s", mean)


def parse_args():
    parser = argparse.ArgumentParser("train")
    parser.add_argument("--training_data", type=str, help="Path to training data")
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--model_output", type=str, help="Path of output model")
    return parser.parse_args()


if __name__ == "__main__":
    main(parse_args())
