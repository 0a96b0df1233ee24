"""Parameters as a platform's tuner leaves them: each puts the values of a trial in its own place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlinfra.runner.problem import WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlinfra.runner.manifest import Scalar

_SAGEMAKER_FILE = "opt/ml/input/config/hyperparameters.json"
_AZURE_PREFIX = "AZUREML_SWEEP_"


def tuned(
    params: Mapping[str, Scalar], root: Path, variables: Mapping[str, str], arguments: Sequence[str]
) -> dict[str, Scalar]:
    """The declared parameters with a tuner's values in place of their own; what is not declared is left alone.

    A value takes the type of the declared one. Raises RunnerError for a value that is not of that type.
    """
    found: dict[str, Scalar] = dict(params)
    for source in (_sagemaker(root), _azure(variables), _vertex(arguments)):
        for name, value in source.items():
            if name in found:
                found[name] = _as_declared(name, value, params[name])
    return found


def _sagemaker(root: Path) -> dict[str, Any]:
    """SageMaker writes a file of strings; its own SDK puts JSON into each."""
    try:
        document = json.loads((root / _SAGEMAKER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _azure(variables: Mapping[str, str]) -> dict[str, str]:
    return {name[len(_AZURE_PREFIX) :]: value for name, value in variables.items() if name.startswith(_AZURE_PREFIX)}


def _vertex(arguments: Sequence[str]) -> dict[str, str]:
    """Vertex appends `--name=value` to the container's own arguments."""
    pairs = (word[2:].partition("=") for word in arguments if word.startswith("--"))
    return {name: value for name, equals, value in pairs if equals}


def _as_declared(name: str, value: Any, declared: Scalar) -> Scalar:
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        plain = json.loads(text)
    except ValueError:
        plain = text
    if isinstance(declared, str):
        return plain if isinstance(plain, str) else text
    if declared is None:
        return plain if isinstance(plain, (str, int, float)) else text
    if isinstance(plain, str):  # the string "6" inside a JSON string
        plain = _number(plain)
    if isinstance(declared, float) and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if isinstance(declared, int) and isinstance(plain, float) and plain.is_integer():
        return int(plain)
    if type(plain) is not type(declared):
        kind = type(declared).__name__
        raise RunnerError(f"the tuner gave parameter {name} the value {text}, which is not of type {kind}", WRONG)
    return plain


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
