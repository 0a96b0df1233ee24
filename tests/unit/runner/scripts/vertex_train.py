# Written as such scripts are written, not as this project's code is.
# ruff: noqa: LOG015, PTH103, PTH118, PTH123
"""Training as written for a Vertex AI custom job: the service says where the model goes."""

import argparse
import csv
import json
import logging
import os

logging.basicConfig(level=logging.INFO)

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--depth", type=int, default=3)
args = parser.parse_args()

model_dir = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
checkpoint_dir = os.environ["AIP_CHECKPOINT_DIR"].replace("gs://", "/gcs/")
os.makedirs(model_dir, exist_ok=True)
os.makedirs(checkpoint_dir, exist_ok=True)

with open(args.data, newline="") as file:
    values = [float(row["y"]) for row in csv.DictReader(file)]

with open(os.path.join(checkpoint_dir, "last"), "w") as file:
    file.write("1")

with open(os.path.join(model_dir, "model.json"), "w") as file:
    json.dump({"mean": sum(values) / len(values), "depth": args.depth}, file)

logging.info("model is in %s", model_dir)
