from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.runner.problem import RunnerError
from mlinfra.runner.references import resolve, resolve_shell, text_of, upper, variable_name

VALUES = {"inputs.train": "/data/a b.csv", "params.depth": "6; rm -rf /", "outputs.my-model": "/out"}


def test_references_are_filled_in_inside_their_element() -> None:
    command = (
        "python",
        "${{inputs.train}}",
        "--depth=${{ params.depth }}",
        "${{outputs.my-model}}/x",
        "$HOME",
        "{{x}}",
    )
    assert resolve(command, VALUES) == [
        *("python", "/data/a b.csv", "--depth=6; rm -rf /", "/out/x", "$HOME", "{{x}}"),
    ]


@given(st.text(), st.text())
def test_a_value_is_never_read_again(value: str, other: str) -> None:
    values = {"params.a": value, "params.b": other}
    assert resolve(("${{params.a}}${{params.b}}",), values) == [value + other]


@pytest.mark.parametrize("word", ["${{params.none}}", "${{secrets.DB}}", "${{}}", "${{params}}", "${{inputs.train.x}}"])
def test_a_reference_to_nothing_names_what_there_is(word: str) -> None:
    with pytest.raises(RunnerError, match=r"inputs\.train, outputs\.my-model, params\.depth") as caught:
        resolve((word,), VALUES)
    assert caught.value.exit_code == 2
    with pytest.raises(RunnerError):
        resolve_shell(word, VALUES)


def test_in_a_shell_line_a_reference_is_a_variable() -> None:
    assert resolve_shell('x "${{params.depth}}" ${{ outputs.my-model }}', VALUES) == (
        'x "${MLINFRA_PARAM_DEPTH}" ${MLINFRA_OUTPUT_MY_MODEL}'
    )


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_no_value_is_read_as_shell_code(value: str) -> None:
    line = resolve_shell('printf %s "${{params.x}}"', {"params.x": value})
    done = subprocess.run(
        ["/bin/sh", "-c", line], env={"MLINFRA_PARAM_X": value}, capture_output=True, check=True, cwd="/"
    )
    assert done.stdout.decode() == value


@pytest.mark.parametrize(
    ("value", "text"), [(6, "6"), (0.1, "0.1"), (True, "true"), (None, "null"), ("6", "6"), ("", ""), ("ü", "ü")]
)
def test_values_become_the_text_of_an_argument(value: object, text: str) -> None:
    assert text_of(value) == text  # type: ignore[arg-type]  every scalar in turn


def test_names_become_variables() -> None:
    assert variable_name("inputs", "my-train.data") == "MLINFRA_INPUT_MY_TRAIN_DATA"
    assert upper("a b") == "A_B"
