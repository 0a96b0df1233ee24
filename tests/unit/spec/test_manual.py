import json
import re

import pytest

from mlinfra.errors import UsageError
from mlinfra.spec import explain, json_schema, reference_markdown
from mlinfra.spec.kinds import known_kinds, model_of
from mlinfra.spec.walk import paths


def test_a_field_is_explained_with_type_default_and_meaning():
    (spot,) = explain("resources.spot")
    assert (spot.kinds, spot.type, spot.default) == (("job",), "true or false", "false")
    assert "checkpoint" in spot.description
    assert str(spot).startswith("resources.spot (job)\n  Cheaper machines")


def test_a_field_that_kinds_share_is_explained_once():
    (cpu,) = explain("resources.cpu")
    assert cpu.kinds == ("job", "endpoint")
    (tags,) = explain("tags")
    assert tags.kinds == ("job", "model", "endpoint")
    assert {one.kinds for one in explain("resources")} == {("job",), ("endpoint",)}


def test_a_kind_and_a_field_of_one_kind_are_explained():
    (job,) = explain("job")
    assert {"command", "register", "resources"} <= set(job.keys)
    (runtime,) = explain("job.resources.max_runtime")
    assert runtime.default == "6h"
    assert "2h" in runtime.type


def test_a_name_of_the_users_is_explained_by_what_holds_it():
    (params,) = explain("params.depth")
    assert params.path == "params"
    (uri,) = explain("inputs.train.uri")
    assert uri.default == "required"
    assert explain("overrides.aws.CreateTrainingJob")[0].path == "overrides"
    assert explain("rollout.steps")[0].default == '["10%", "50%", "100%"]'


@pytest.mark.parametrize("path", ["resources.spott", "", "job.", "job.x", "resources.spot.x", "..", "kind.job"])
def test_what_does_not_exist_is_answered_with_what_is_near(path: str):
    with pytest.raises(UsageError) as caught:
        explain(path)
    assert caught.value.todo
    if path == "resources.spott":
        assert caught.value.todo == "did you mean resources.spot?"


def test_the_reference_holds_every_field_of_every_kind():
    text = reference_markdown()
    assert text == reference_markdown()
    for kind in known_kinds():
        section = text.partition(f"## kind: {kind}\n")[2].partition("\n## kind:")[0]
        rows = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
        assert rows == [".".join(path) for path, _ in paths(model_of(kind))]
    assert all(line.count(" | ") == 3 for line in text.splitlines() if line.startswith("| `"))


def test_editors_get_a_schema_of_all_kinds():
    schema = json_schema()
    json.dumps(schema, allow_nan=False)
    kinds = [schema["$defs"][one["$ref"].removeprefix("#/$defs/")] for one in schema["oneOf"]]
    assert [kind["properties"]["kind"]["const"] for kind in kinds] == list(known_kinds())
    for kind in kinds:
        assert kind["additionalProperties"] is False
        assert "register_" not in kind["properties"]
        assert all(one.get("description") or "$ref" in one for one in kind["properties"].values())
    job = kinds[0]["properties"]
    assert {"type": "string"} in job["command"]["anyOf"]
    assert schema["$defs"]["Resources"]["properties"]["max_runtime"]["default"] == "6h"


def test_every_pattern_of_the_schema_is_one_that_editors_can_read():
    def patterns(node: object):
        if isinstance(node, dict):
            yield from ([node["pattern"]] if isinstance(node.get("pattern"), str) else [])
            for item in node.values():
                yield from patterns(item)
        elif isinstance(node, list):
            for item in node:
                yield from patterns(item)

    found = set(patterns(json_schema()))
    assert len(found) > 10
    for pattern in found:
        re.compile(pattern)
        assert "(?P" not in pattern
        assert "(?i" not in pattern
