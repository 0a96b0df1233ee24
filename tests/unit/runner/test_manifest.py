from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.runner.manifest import Input, Output, parse_manifest, read_manifest
from mlinfra.runner.problem import RunnerError

if TYPE_CHECKING:
    from pathlib import Path

LEAST: dict[str, Any] = {"version": 1, "run_id": "r", "platform": "local", "command": ["python"]}


def parse(**changes: Any) -> Any:
    return parse_manifest(json.dumps({**LEAST, **changes}))


def test_the_least_manifest_has_sensible_gaps() -> None:
    found = parse()
    assert (found.attempt, found.nodes, found.retries, found.shell, found.checkpoint) == (1, 1, 0, None, {})
    assert found.inputs == found.outputs == found.params == found.secrets == found.env == found.tracking == {}


def test_every_key_is_read() -> None:
    found = parse(
        attempt=2,
        environment="aws-dev",
        platform="aws",
        inputs={"a": {"path": "/a"}, "b": {"uri": "gs://b", "digest": "sha256:0", "token": "T"}},
        outputs={"m": {"type": "model", "path": "/m"}, "r": {"uri": "gs://r"}},
        params={"depth": 6, "flag": True, "none": None},
        secrets={"DB": "env:DB"},
        env={"LOG": "info"},
        checkpoint={"path": "/c"},
        tracking={"uri": "http://x", "run_id": "1"},
        result={"path": "/r"},
        nodes=2,
        user={"retries": 3},
        something_newer={"a": 1},
    )
    assert found.inputs == {"a": Input("/a", None, None, None), "b": Input(None, "gs://b", "sha256:0", "T")}
    assert found.outputs == {"m": Output("model", "/m", None), "r": Output("folder", None, "gs://r")}
    assert found.params == {"depth": 6, "flag": True, "none": None}
    assert (found.platform, found.environment, found.attempt, found.nodes, found.retries) == ("aws", "aws-dev", 2, 2, 3)
    assert (found.checkpoint, found.result, found.tracking["run_id"]) == ({"path": "/c"}, {"path": "/r"}, "1")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "version 2, this runner knows 1"),
        ({"version": "1"}, "`version` is of type str, allowed: int"),
        ({"version": True}, "`version` is of type bool"),
        ({"run_id": None}, "lacks `run_id`"),
        ({"command": None}, "`command` or `shell`"),
        ({"shell": "echo"}, "and not both"),
        ({"command": "echo"}, "`command` is of type str, allowed: list"),
        ({"command": ["a", 1]}, "a list of strings"),
        ({"inputs": []}, "`inputs` is of type list"),
        ({"inputs": {"a": "x"}}, "`inputs.a` is of type str"),
        ({"inputs": {"a": {}}}, "`inputs.a` holds `path` or `uri`"),
        ({"inputs": {"a": {"path": "/a", "uri": "gs://a"}}}, "and not both"),
        ({"inputs": {"a": {"path": 1}}}, "`inputs.a.path` is of type int"),
        ({"outputs": {"a": {"type": "file"}}}, "`outputs.a.type` is `file`, allowed: model, folder"),
        ({"secrets": {"A": {"value": "hunter2"}}}, "`secrets.A` is of type dict"),
        ({"env": {"A": 1}}, "`env.A` is of type int"),
        ({"user": {"retries": "1"}}, "`user.retries` is of type str"),
        ({"checkpoint": "/c"}, "`checkpoint` is of type str"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RunnerError) as caught:
        parse(**changes)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "1"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(RunnerError, match=r"not valid JSON|no JSON object"):
        parse_manifest(text)


@given(st.lists(st.integers(1, 50), max_size=12), st.text())
def test_a_text_cut_anywhere_is_joined(cuts: list[int], value: str) -> None:
    text = json.dumps({**LEAST, "env": {"A": value}}, ensure_ascii=False)
    parts, rest = [], text
    for cut in cuts:
        parts.append(rest[:cut])
        rest = rest[cut:]
    variables = {f"MLINFRA_MANIFEST_{number}": part for number, part in enumerate([*parts, rest])}
    assert read_manifest({**variables, "OTHER": "x"}).env == {"A": value}


def test_a_lost_part_is_named() -> None:
    with pytest.raises(RunnerError, match="there is no MLINFRA_MANIFEST_1"):
        read_manifest({"MLINFRA_MANIFEST_0": "{", "MLINFRA_MANIFEST_2": "}"})
    with pytest.raises(RunnerError, match="there is no MLINFRA_MANIFEST_0"):
        read_manifest({"MLINFRA_MANIFEST_1": "{"})


def test_a_file_may_hold_it(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(LEAST))
    assert read_manifest({"MLINFRA_MANIFEST_FILE": str(tmp_path / "m.json")}).run_id == "r"
    with pytest.raises(RunnerError, match="cannot be read"):
        read_manifest({"MLINFRA_MANIFEST_FILE": str(tmp_path / "none.json")})
    with pytest.raises(RunnerError, match="there is no manifest"):
        read_manifest({})


def test_a_place_that_the_platform_alone_knows_is_told_in_a_variable() -> None:
    document = {
        "version": 1,
        "run_id": "r",
        "platform": "azure",
        "command": ["x"],
        "inputs": {"data": {"variable": "PLACE_data", "digest": "sha256:1"}},
        "outputs": {"model": {"type": "model", "variable": "PLACE_model"}},
    }
    told = {"MLINFRA_MANIFEST_0": json.dumps(document), "PLACE_data": "/mnt/data.csv", "PLACE_model": "/mnt/model"}
    manifest = read_manifest(told)
    assert (manifest.inputs["data"].path, manifest.inputs["data"].digest) == ("/mnt/data.csv", "sha256:1")
    assert manifest.outputs["model"].path == "/mnt/model"
    with pytest.raises(RunnerError, match=r"outputs\.model\.variable.*did not set PLACE_model"):
        read_manifest({name: value for name, value in told.items() if name != "PLACE_model"})
