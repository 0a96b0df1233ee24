"""The variables that the command sees: one set of the kit's own, and the names that scripts for each cloud expect.

A script written for one platform then runs unchanged on the others. Every name is a row of a table.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.runner.manifest import FILE, PARTS
from mlinfra.runner.references import text_of, upper, variable_name

if TYPE_CHECKING:
    from mlinfra.runner.manifest import Manifest, Scalar
    from mlinfra.runner.nodes import Nodes
    from mlinfra.runner.places import Places


class Run(NamedTuple):
    """Everything about a run that a variable may tell."""

    manifest: Manifest
    places: Places
    nodes: Nodes
    inputs: dict[str, Path]
    channels: dict[str, Path]  # the folder that holds each input, as SageMaker hands it out
    outputs: dict[str, Path]
    params: dict[str, Scalar]

    @property
    def model(self) -> Path:
        """Where the model goes: the first output of that type, else the platform's folder for it."""
        models = [self.outputs[name] for name, output in self.manifest.outputs.items() if output.type == "model"]
        return models[0] if models else self.places.model

    @property
    def data(self) -> Path:
        """Where other results go: the first output that is no model, else the platform's folder."""
        others = [self.outputs[name] for name, output in self.manifest.outputs.items() if output.type != "model"]
        return others[0] if others else self.places.data

    @property
    def checkpoint(self) -> Path:
        """Where a run that may be interrupted keeps its progress."""
        return Path(self.manifest.checkpoint.get("path") or self.places.work / "checkpoint")

    def below(self, path: str) -> str:
        """One of the platform's own absolute paths."""
        return str(self.places.root / path)


Value = Callable[[Run], "str | None"]  # None: the variable is not set

OWN: dict[str, Value] = {
    "MLINFRA_RUN_ID": lambda run: run.manifest.run_id,
    "MLINFRA_ATTEMPT": lambda run: str(run.manifest.attempt),
    "MLINFRA_ENVIRONMENT": lambda run: run.manifest.environment,
    "MLINFRA_PLATFORM": lambda run: run.manifest.platform,
    "MLINFRA_CHECKPOINT": lambda run: str(run.checkpoint),
    "MLINFRA_RESULT": lambda run: str(run.places.result),
    "MLINFRA_SCHEMAS": lambda run: _schemas(run),  # noqa: PLW0108  defined below
    "PYTHONUNBUFFERED": lambda _run: "1",
}

TRACKING: dict[str, Value] = {
    "MLFLOW_TRACKING_URI": lambda run: run.manifest.tracking.get("uri"),
    "MLFLOW_RUN_ID": lambda run: run.manifest.tracking.get("run_id"),
    "MLFLOW_EXPERIMENT_NAME": lambda run: run.manifest.tracking.get("experiment"),
}

SEVERAL_NODES: dict[str, Value] = {
    "MASTER_ADDR": lambda run: run.nodes.hosts[0],
    "MASTER_PORT": lambda run: str(run.nodes.port),
    "WORLD_SIZE": lambda run: str(len(run.nodes.hosts)),
    "RANK": lambda run: str(run.nodes.rank),
    "NODE_RANK": lambda run: str(run.nodes.rank),
    "LOCAL_RANK": lambda _run: "0",
    "CLUSTER_SPEC": lambda run: _json(_cluster(run, "workerpool0", "workerpool1")),
    "TF_CONFIG": lambda run: _json(_cluster(run, "chief", "worker")),
}

SAGEMAKER: dict[str, Value] = {
    "SM_MODEL_DIR": lambda run: str(run.model),
    "SM_INPUT_DIR": lambda run: run.below("opt/ml/input"),
    "SM_INPUT_DATA_DIR": lambda run: run.below("opt/ml/input/data"),
    "SM_INPUT_CONFIG_DIR": lambda run: run.below("opt/ml/input/config"),
    "SM_OUTPUT_DIR": lambda run: run.below("opt/ml/output"),
    "SM_OUTPUT_DATA_DIR": lambda run: str(run.data),
    "SM_OUTPUT_FAILURE": lambda run: run.below("opt/ml/output/failure"),
    "SM_CHECKPOINT_DIR": lambda run: str(run.checkpoint),
    "SM_CHANNELS": lambda run: _json(sorted(run.channels)),
    "SM_HPS": lambda run: _json(run.params),
    "SM_HOSTS": lambda run: _json(run.nodes.hosts),
    "SM_HOST_COUNT": lambda run: str(len(run.nodes.hosts)),
    "SM_CURRENT_HOST": lambda run: run.nodes.current,
    "SM_CURRENT_HOST_RANK": lambda run: str(run.nodes.rank),
    "SM_MASTER_ADDR": lambda run: run.nodes.hosts[0],
    "SM_MASTER_PORT": lambda run: str(run.nodes.port),
    "SM_NUM_CPUS": lambda _run: str(os.cpu_count() or 1),
    "SM_NUM_GPUS": lambda _run: str(_gpus()),
    "SM_NUM_NEURONS": lambda _run: "0",
    "SM_LOG_LEVEL": lambda _run: "20",
    "SM_NETWORK_INTERFACE_NAME": lambda _run: "eth0",
    "SM_RESOURCE_CONFIG": lambda run: _json({"current_host": run.nodes.current, "hosts": run.nodes.hosts}),
    "SM_INPUT_DATA_CONFIG": lambda run: _json({name: {"TrainingInputMode": "File"} for name in run.channels}),
    "SM_TRAINING_ENV": lambda run: _json(_training_env(run)),
}

VERTEX: dict[str, Value] = {
    "AIP_MODEL_DIR": lambda run: str(run.model),
    "AIP_CHECKPOINT_DIR": lambda run: str(run.checkpoint),
    "AIP_TENSORBOARD_LOG_DIR": lambda run: str(run.data / "tensorboard"),
    "CLOUD_ML_JOB_ID": lambda run: run.manifest.run_id,
}

AZURE: dict[str, Value] = {
    "AZUREML_RUN_ID": lambda run: run.manifest.run_id,
    "AZUREML_MODEL_DIR": lambda run: str(run.model),
    "AZUREML_EXPERIMENT_NAME": lambda run: run.manifest.tracking.get("experiment"),
}


def environment(run: Run, inherited: Mapping[str, str], secrets: Mapping[str, str], path: list[str]) -> dict[str, str]:
    """All variables of the command. `path` is what its Python searches first.

    The kit's own names, then the user's, then the secrets hold whatever the image says; a name that belongs to a
    platform is left as that platform set it.
    """
    found = {name: value for name, value in inherited.items() if not name.startswith(PARTS) and name != FILE}
    for name, value in _expected(run).items():
        found.setdefault(name, value)
    found.update(_row_values(OWN, run))
    for kind, values in _items(run).items():
        found.update({variable_name(kind, name): value for name, value in values.items()})
    found.update(run.manifest.env)
    found.update(secrets)
    programs = [f"{folder}/bin" for folder in path if not folder.endswith(".pyz")]
    _prepend(found, "PATH", [str(Path(sys.executable).parent), *programs])
    _prepend(found, "PYTHONPATH", path)
    return found


def references(run: Run) -> dict[str, str]:
    """What ${{inputs.x}}, ${{outputs.x}} and ${{params.x}} stand for."""
    return {f"{kind}.{name}": value for kind, values in _items(run).items() for name, value in values.items()}


def _items(run: Run) -> dict[str, dict[str, str]]:
    return {
        "inputs": {name: str(place) for name, place in run.inputs.items()},
        "outputs": {name: str(place) for name, place in run.outputs.items()},
        "params": {name: text_of(value) for name, value in run.params.items()},
    }


def _expected(run: Run) -> dict[str, str]:
    """The names that belong to the platforms."""
    found: dict[str, str] = {}
    tables = [TRACKING, SAGEMAKER, VERTEX, AZURE, *([SEVERAL_NODES] if len(run.nodes.hosts) > 1 else [])]
    for table in tables:
        found.update(_row_values(table, run))
    found.update({f"SM_CHANNEL_{upper(name)}": str(place) for name, place in run.channels.items()})
    found.update({f"SM_HP_{upper(name)}": text_of(value) for name, value in run.params.items()})
    for name, place in run.inputs.items():
        found[f"AZURE_ML_INPUT_{name}"] = found[f"AZUREML_DATAREFERENCE_{name}"] = str(place)
    found.update({f"AZURE_ML_OUTPUT_{name}": str(place) for name, place in run.outputs.items()})
    found.update({f"AZUREML_PARAMETER_{name}": text_of(value) for name, value in run.params.items()})
    return found


def _row_values(table: Mapping[str, Value], run: Run) -> dict[str, str]:
    values = ((name, value(run)) for name, value in table.items())
    return {name: value for name, value in values if value is not None}


def _cluster(run: Run, first: str, others: str) -> dict[str, Any]:
    """The machines as TensorFlow and Vertex describe them."""
    addresses = [f"{host}:{run.nodes.port}" for host in run.nodes.hosts]
    leads = run.nodes.rank == 0
    return {
        "cluster": {first: addresses[:1], others: addresses[1:]},
        "task": {"type": first if leads else others, "index": 0 if leads else run.nodes.rank - 1},
        "environment": "cloud",
    }


def _training_env(run: Run) -> dict[str, Any]:
    return {
        "channel_input_dirs": {name: str(place) for name, place in run.channels.items()},
        "current_host": run.nodes.current,
        "hosts": run.nodes.hosts,
        "hyperparameters": run.params,
        "input_dir": run.below("opt/ml/input"),
        "input_data_dir": run.below("opt/ml/input/data"),
        "input_config_dir": run.below("opt/ml/input/config"),
        "job_name": run.manifest.run_id,
        "log_level": 20,
        "master_addr": run.nodes.hosts[0],
        "master_port": run.nodes.port,
        "model_dir": str(run.model),
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": _gpus(),
        "output_data_dir": str(run.data),
        "output_dir": run.below("opt/ml/output"),
    }


def _schemas(run: Run) -> str | None:
    """Folder -> declared schema, for `save_model`; not set where no model is declared."""
    declared = {str(run.outputs[name]): schema for name, schema in run.manifest.schemas.items() if name in run.outputs}
    return _json(declared) if declared else None


def _gpus() -> int:
    return sum(place.name[len("nvidia") :].isdigit() for place in Path("/dev").glob("nvidia*"))


def _prepend(variables: dict[str, str], name: str, folders: list[str]) -> None:
    variables[name] = os.pathsep.join([*folders, *filter(None, [variables.get(name)])])


def _json(value: object) -> str:
    return json.dumps(value)
