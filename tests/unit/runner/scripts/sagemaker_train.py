# Written as such scripts are written, not as this project's code is.
# ruff: noqa: PTH208
"""Training as written for SageMaker's script mode: folders and parameters come from SM_* variables."""

import argparse
import csv
import json
import logging
import os
from pathlib import Path

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, default=json.loads(os.environ["SM_HPS"]).get("depth", 3))
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAIN"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--output-data-dir", type=str, default=os.environ.get("SM_OUTPUT_DATA_DIR"))
    parser.add_argument("--hosts", type=json.loads, default=os.environ["SM_HOSTS"])
    parser.add_argument("--current-host", type=str, default=os.environ["SM_CURRENT_HOST"])
    parser.add_argument("--num-gpus", type=int, default=os.environ["SM_NUM_GPUS"])
    return parser.parse_known_args()[0]


def main():
    args = parse_args()
    files = [Path(args.train, name) for name in sorted(os.listdir(args.train))]
    if not files:
        raise ValueError(f"no files in {args.train}")
    rows = [float(row["y"]) for file in files for row in csv.DictReader(file.open(newline=""))]
    model = {"mean": sum(rows) / len(rows), "depth": args.depth}
    Path(args.model_dir, "model.json").write_text(json.dumps(model))
    Path(args.output_data_dir, "report.txt").write_text(f"{len(rows)} rows on {args.current_host}\n")
    logger.info("trained on %d rows", len(rows))


if __name__ == "__main__":
    main()
