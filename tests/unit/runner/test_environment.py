from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from mlinfra.runner.environment import Run, environment, references
from mlinfra.runner.manifest import parse_manifest
from mlinfra.runner.nodes import Nodes
from mlinfra.runner.places import Places


def make_run(nodes: Nodes | None = None, **changes: Any) -> Run:
    document = {
        "version": 1,
        "run_id": "run-1",
        "platform": "local",
        "environment": "risk",
        "command": ["x"],
        **changes,
    }
    manifest = parse_manifest(json.dumps(document))
    inputs = {name: Path(item.path or "/brought") for name, item in manifest.inputs.items()}
    return Run(
        manifest=manifest,
        places=Places(Path("/prefix"), Path("/work"), Path("/result"), Path("/m"), Path("/d"), own_work=False),
        nodes=nodes or Nodes(("localhost",), 0, 29500),
        inputs=inputs,
        channels={name: Path(f"/channels/{name}") for name in inputs},
        outputs={name: Path(output.path or f"/out/{name}") for name, output in manifest.outputs.items()},
        params=manifest.params,
    )


FULL: dict[str, Any] = {
    "inputs": {"train": {"path": "/data/train.csv"}, "my-test": {"path": "/data/test"}},
    "outputs": {"model": {"type": "model"}, "report": {}},
    "params": {"max-depth": 6, "rate": 0.5, "flag": True, "name": "x y"},
    "checkpoint": {"path": "/checkpoint"},
    "tracking": {"uri": "http://mlflow", "run_id": "abc", "experiment": "credit"},
}


@pytest.mark.parametrize(
    ("name", "value"),
    {
        "MLINFRA_RUN_ID": "run-1",
        "MLINFRA_ENVIRONMENT": "risk",
        "MLINFRA_PLATFORM": "local",
        "MLINFRA_INPUT_TRAIN": "/data/train.csv",
        "MLINFRA_INPUT_MY_TEST": "/data/test",
        "MLINFRA_OUTPUT_MODEL": "/out/model",
        "MLINFRA_OUTPUT_REPORT": "/out/report",
        "MLINFRA_PARAM_MAX_DEPTH": "6",
        "MLINFRA_PARAM_FLAG": "true",
        "MLINFRA_CHECKPOINT": "/checkpoint",
        "MLINFRA_RESULT": "/result",
        "SM_MODEL_DIR": "/out/model",
        "SM_OUTPUT_DATA_DIR": "/out/report",
        "SM_OUTPUT_DIR": "/prefix/opt/ml/output",
        "SM_INPUT_DIR": "/prefix/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/prefix/opt/ml/input/config",
        "SM_CHANNEL_TRAIN": "/channels/train",
        "SM_CHANNEL_MY_TEST": "/channels/my-test",
        "SM_CHANNELS": '["my-test", "train"]',
        "SM_HPS": '{"max-depth": 6, "rate": 0.5, "flag": true, "name": "x y"}',
        "SM_HP_MAX_DEPTH": "6",
        "SM_HP_NAME": "x y",
        "SM_HOSTS": '["localhost"]',
        "SM_CURRENT_HOST": "localhost",
        "SM_NUM_CPUS": str(os.cpu_count()),
        "SM_NUM_GPUS": "0",
        "AIP_MODEL_DIR": "/out/model",
        "AIP_CHECKPOINT_DIR": "/checkpoint",
        "AIP_TENSORBOARD_LOG_DIR": "/out/report/tensorboard",
        "AZUREML_RUN_ID": "run-1",
        "AZUREML_MODEL_DIR": "/out/model",
        "AZUREML_EXPERIMENT_NAME": "credit",
        "AZURE_ML_INPUT_train": "/data/train.csv",
        "AZURE_ML_OUTPUT_model": "/out/model",
        "AZUREML_DATAREFERENCE_train": "/data/train.csv",
        "AZUREML_PARAMETER_rate": "0.5",
        "MLFLOW_TRACKING_URI": "http://mlflow",
        "MLFLOW_RUN_ID": "abc",
        "MLFLOW_EXPERIMENT_NAME": "credit",
    }.items(),
)
def test_scripts_find_the_names_that_they_expect(name: str, value: str) -> None:
    assert environment(make_run(**FULL), {}, {}, [])[name] == value


def test_the_document_of_script_mode_agrees_with_the_variables() -> None:
    found = environment(make_run(**FULL), {}, {}, [])
    document = json.loads(found["SM_TRAINING_ENV"])
    assert document["model_dir"] == found["SM_MODEL_DIR"]
    assert document["channel_input_dirs"] == {"train": "/channels/train", "my-test": "/channels/my-test"}
    assert document["hyperparameters"] == json.loads(found["SM_HPS"])
    assert document["hosts"] == json.loads(found["SM_HOSTS"])


def test_without_outputs_the_platforms_folders_are_named() -> None:
    found = environment(make_run(), {}, {}, [])
    assert (found["SM_MODEL_DIR"], found["AIP_MODEL_DIR"], found["SM_OUTPUT_DATA_DIR"]) == ("/m", "/m", "/d")
    assert found["MLINFRA_CHECKPOINT"] == "/work/checkpoint"


def test_without_tracking_nothing_points_at_mlflow() -> None:
    assert not [name for name in environment(make_run(), {}, {}, []) if name.startswith("MLFLOW")]


def test_several_nodes_are_described_in_every_dialect() -> None:
    found = environment(make_run(Nodes(("a", "b", "c"), 2, 7)), {}, {}, [])
    names = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "NODE_RANK", "LOCAL_RANK", "SM_CURRENT_HOST_RANK")
    assert [found[name] for name in names] == ["a", "7", "3", "2", "2", "0", "2"]
    assert json.loads(found["CLUSTER_SPEC"]) == {
        "cluster": {"workerpool0": ["a:7"], "workerpool1": ["b:7", "c:7"]},
        "task": {"type": "workerpool1", "index": 1},
        "environment": "cloud",
    }
    assert json.loads(found["TF_CONFIG"])["cluster"] == {"chief": ["a:7"], "worker": ["b:7", "c:7"]}


def test_who_wins_is_kit_then_user_then_secret_and_a_platforms_own_name_stays() -> None:
    inherited = {"AIP_MODEL_DIR": "gs://b/m", "MLINFRA_RUN_ID": "stale", "A": "image", "B": "image", "C": "image"}
    found = environment(make_run(env={"A": "user", "B": "user"}), inherited, {"B": "secret"}, [])
    assert [found[name] for name in ("AIP_MODEL_DIR", "MLINFRA_RUN_ID", "A", "B", "C")] == [
        *("gs://b/m", "run-1", "user", "secret", "image"),
    ]


def test_programs_and_modules_are_found_beside_the_interpreter() -> None:
    inherited = {"PATH": "/usr/bin", "PYTHONPATH": "/mine", "MLINFRA_MANIFEST_0": "{", "MLINFRA_MANIFEST_FILE": "x"}
    found = environment(make_run(), inherited, {}, ["/site", "/bundle.pyz"])
    assert found["PYTHONPATH"] == "/site:/bundle.pyz:/mine"
    assert found["PATH"] == f"{Path(sys.executable).parent}:/site/bin:/usr/bin"
    assert not [name for name in found if name.startswith("MLINFRA_MANIFEST")]


def test_references_agree_with_the_variables() -> None:
    run = make_run(**FULL)
    found = environment(run, {}, {}, [])
    assert references(run)["inputs.my-test"] == found["MLINFRA_INPUT_MY_TEST"]
    assert references(run)["params.max-depth"] == found["MLINFRA_PARAM_MAX_DEPTH"]
    assert set(references(run)) == {
        *("inputs.train", "inputs.my-test", "outputs.model", "outputs.report"),
        *("params.max-depth", "params.rate", "params.flag", "params.name"),
    }
