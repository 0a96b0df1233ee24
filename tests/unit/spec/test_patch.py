import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.errors import Problem, SpecError
from mlinfra.spec import merge, override

RFC_7396 = [  # the cases of its appendix
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("body", "patch", "merged"), RFC_7396)
def test_a_merge_patch_does_what_its_standard_says(body: Any, patch: Any, merged: Any):
    assert merge(body, patch) == merged


@pytest.mark.parametrize(
    ("body", "patch", "merged"),
    [
        ([{"a": 1}, {"a": 2}], {"1": {"a": 3}}, [{"a": 1}, {"a": 3}]),
        ([{"a": 1}, {"a": 2}], {0: {"b": 3}}, [{"a": 1, "b": 3}, {"a": 2}]),
        ([1, 2, 3], {"0": None, "2": 9}, [2, 9]),
        ([1], {"1": {"a": 1, "b": None}}, [1, {"a": 1}]),
        ([], {"0": 1, "1": 2}, [1, 2]),
        ((1, 2), {"0": 5}, [5, 2]),
        ([1, 2], {}, {}),
        ({"0": "a"}, {"0": "b"}, {"0": "b"}),
        (None, {"0": "b"}, {"0": "b"}),
    ],
)
def test_integer_keys_patch_the_elements_of_a_list(body: Any, patch: Any, merged: Any):
    assert merge(body, patch) == merged


@pytest.mark.parametrize("patch", [{"3": 1}, {"2": None}, {"999999": {}}])
def test_an_element_that_is_not_there_is_an_error(patch: Any):
    with pytest.raises(SpecError, match="no such element"):
        merge([1, 2], patch)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(documents, documents)
def test_merging_changes_neither_side_and_twice_is_once(body: Any, patch: Any):
    before = copy.deepcopy((body, patch))
    merged = merge(body, patch)
    assert (body, patch) == before
    assert merge(merged, patch) == merged


@given(documents)
def test_a_patch_of_itself_changes_nothing_but_nulls(body: Any):
    without_nulls = merge({}, {"a": body}).get("a")
    assert merge(without_nulls, without_nulls) == without_nulls


BODY = {"JobName": "a", "Tags": [{"Key": "mlinfra_id", "Value": "1"}], "Config": {"Image": "x", "Mode": "File"}}
OWNED = ("JobName", "Tags.*.Key", "Config.Image")


def test_an_override_has_the_last_word():
    patch = {"Config": {"Mode": None, "Input": "Pipe"}}
    assert override(BODY, patch, operation="CreateJob", owned=OWNED)["Config"] == {"Image": "x", "Input": "Pipe"}


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"JobName": "b"}, "CreateJob.JobName"),
        ({"JobName": None}, "CreateJob.JobName"),
        ({"Config": None}, "CreateJob.Config"),
        ({"Config": {"Image": "y"}}, "CreateJob.Config.Image"),
        ({"Tags": []}, "CreateJob.Tags"),
        ({"Tags": {"0": {"Key": "other"}}}, "CreateJob.Tags.0.Key"),
        ({"Tags": {"0": None}}, "CreateJob.Tags.0"),
        ({"JobName": {"x": 1}}, "CreateJob.JobName.x"),
    ],
)
def test_what_the_kit_sets_is_refused_from_above_and_below(patch: Any, path: str):
    with pytest.raises(SpecError) as caught:
        override(BODY, patch, operation="CreateJob", owned=OWNED)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert problem.todo


def test_beside_what_the_kit_sets_all_is_free():
    patch = {"Tags": {"0": {"Value": "2"}}, "Config": {"Mode": "Pipe"}, "Other": 1}
    merged = override(BODY, patch, operation="CreateJob", owned=OWNED)
    assert merged == {
        "JobName": "a", "Tags": [{"Key": "mlinfra_id", "Value": "2"}], "Config": {"Image": "x", "Mode": "Pipe"},
        "Other": 1,
    }  # fmt: skip


def test_the_merged_body_is_validated_together_with_the_rest():
    def refuse(body: Any) -> list[Problem]:
        assert body["Config"]["Mode"] == "Pip"
        return [Problem("unknown", path="Config.Mode", allowed="Pipe", todo="did you mean Pipe?")]

    with pytest.raises(SpecError) as caught:
        override(BODY, {"Config": {"Mode": "Pip"}, "JobName": "b"}, operation="CreateJob", owned=OWNED, validate=refuse)
    assert {problem.path for problem in caught.value.problems} == {"CreateJob.JobName", "Config.Mode"}
