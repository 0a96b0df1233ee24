from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.runner.problem import RunnerError
from mlinfra.runner.tuning import tuned

if TYPE_CHECKING:
    from pathlib import Path

DECLARED: dict[str, Any] = {"depth": 6, "rate": 0.1, "loss": "log", "flag": True, "any": None}


def sagemaker(root: Path, text: str) -> Path:
    place = root / "opt/ml/input/config/hyperparameters.json"
    place.parent.mkdir(parents=True)
    place.write_text(text)
    return root


def test_without_a_tuner_the_declared_values_stand(tmp_path: Path) -> None:
    assert tuned(DECLARED, tmp_path, {"PATH": "x"}, ["run"]) == DECLARED


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("depth", "8", 8),
        ("depth", '"8"', 8),
        ("depth", "8.0", 8),
        ("rate", "1", 1.0),
        ("rate", '"0.5"', 0.5),
        ("rate", "1e-3", 0.001),
        ("loss", "hinge", "hinge"),
        ("loss", '"hinge"', "hinge"),
        ("loss", "5", "5"),
        ("flag", "false", False),
        ("any", "7", 7),
        ("any", "word", "word"),
    ],
)
def test_each_platforms_values_take_the_declared_type(tmp_path: Path, name: str, text: str, value: object) -> None:
    from_sagemaker = tuned(DECLARED, sagemaker(tmp_path, json.dumps({name: text, "_tuning": "x"})), {}, [])
    from_azure = tuned(DECLARED, tmp_path / "none", {f"AZUREML_SWEEP_{name}": text, "AZUREML_SWEEP_x": "1"}, [])
    from_vertex = tuned(DECLARED, tmp_path / "none", {}, ["word", "--verbose", f"--{name}={text}", "--x=1"])
    expected = {**DECLARED, name: value}
    assert from_sagemaker == from_azure == from_vertex == expected
    assert type(from_vertex[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text"), [("depth", "many"), ("depth", "8.5"), ("rate", "[]"), ("flag", "1"), ("depth", "true")]
)
def test_a_value_of_another_type_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(RunnerError, match=f"parameter {name} the value") as caught:
        tuned(DECLARED, tmp_path, {}, [f"--{name}={text}"])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_file_that_is_not_the_tuners_is_left_alone(tmp_path: Path, text: str) -> None:
    assert tuned(DECLARED, sagemaker(tmp_path, text), {}, []) == DECLARED
