import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.errors import SpecError
from mlinfra.spec import EndpointSpec, JobSpec, Resources, merge, with_settings

JOB = JobSpec(
    name="credit-train",
    command=["python", "train.py"],
    params={"depth": 6},
    resources={"spot": True, "cpu": 4},
    machine={"aws": "ml.m5.xlarge", "gcp": "n2-standard-4"},
    overrides={"aws": {"CreateTrainingJob": {"A": True}}, "gcp": {"CreateCustomJob": {"b": 1}}},
    environments={
        "aws-prod": {"params": {"depth": 9}},
        "*": {"params": {"depth": 1, "width": 1}},
        "risk-eu-*": {"params": {"depth": 3}},
        "*-prod": {"params": {"depth": 5}, "resources": {"spot": None}},
        "gcp-*": {"machine": {"gcp": None}},
    },
)


@pytest.mark.parametrize(
    ("environment", "params"),
    [
        ("risk", {"depth": 1, "width": 1}),
        ("gcp-prod", {"depth": 5, "width": 1}),
        ("aws-prod", {"depth": 9, "width": 1}),
        ("prod", {"depth": 1, "width": 1}),
        ("risk-eu-prod", {"depth": 3, "width": 1}),
    ],
)
def test_the_most_specific_overlay_is_applied_last(environment: str, params: dict[str, int]):
    assert JOB.for_environment(environment, "local").params == params


def test_only_this_platforms_part_is_left():
    here = JOB.for_environment("aws-dev", "aws")
    assert (here.machine, here.overrides) == ({"aws": "ml.m5.xlarge"}, {"aws": {"CreateTrainingJob": {"A": True}}})
    assert here.environments == {}
    assert JOB.for_environment("dev", "local").as_document().keys().isdisjoint({"machine", "overrides", "environments"})
    assert JOB.for_environment("gcp-dev", "gcp").machine == {}


def test_null_in_an_overlay_gives_the_default_back():
    assert JOB.for_environment("x-prod", "aws").resources == Resources(cpu=4)


def test_another_platforms_part_does_not_reach_the_digest():
    other = JobSpec.from_document(merge(JOB.as_document(), {"machine": {"gcp": "n2-standard-8"}}))
    documents = [json.dumps(spec.for_environment("dev", "aws").as_document(), sort_keys=True) for spec in (JOB, other)]
    assert documents[0] == documents[1]


def test_what_equals_its_default_is_left_out_of_the_document():
    short = JobSpec(name="hello", command="python hello.py")
    long = JobSpec(
        name="hello", command=["python", "hello.py"], code=".", retries={"infrastructure": 3}, tags={},
        resources={"max_runtime": "360m", "nodes": 1}, register=None, checkpoint=False,
    )  # fmt: skip
    assert short == long
    assert long.as_document() == {"version": 1, "kind": "job", "name": "hello", "command": ["python", "hello.py"]}


def test_two_overlays_that_do_not_go_together_are_an_error_where_both_apply():
    job = JobSpec(
        name="credit-train",
        command="python train.py",
        environments={"aws-*": {"image": "registry.example/a:1"}, "*-prod": {"python": {"version": "3.11"}}},
    )
    assert job.for_environment("aws-dev", "aws").image
    assert job.for_environment("gcp-prod", "gcp").python
    with pytest.raises(SpecError, match="beside python"):
        job.for_environment("aws-prod", "aws")


def test_an_overlay_may_exchange_what_excludes_one_another():
    endpoint = EndpointSpec(
        name="credit-risk",
        model="credit-risk@champion",
        environments={"*-prod": {"model": None, "deployments": {"main": {"model": "credit-risk:3"}}}},
    )
    assert str(endpoint.for_environment("x-prod", "aws").deployments["main"].model) == "credit-risk:3"


words = st.from_regex(r"[a-z]{1,4}(-[a-z]{1,4}){0,2}", fullmatch=True)


@given(st.lists(st.tuples(words, st.integers(0, 9)), min_size=1, max_size=5, unique_by=lambda pair: pair[0]), words)
def test_an_exact_name_always_wins(overlays: list[tuple[str, int]], name: str):
    globs = {f"{word}*": {"params": {"depth": value}} for word, value in overlays}
    job = JobSpec(name="hello", command="a", environments={name: {"params": {"depth": 99}}, **globs, "*": {}})
    assert job.for_environment(name, "local").params == {"depth": 99}


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("params.depth=8", ("params", "depth"), 8),
        ("params.note=a: b, [c]", ("params", "note"), "a: b, [c]"),
        ("params.note=6; rm -rf /", ("params", "note"), "6; rm -rf /"),
        ('params.depth="8"', ("params", "depth"), "8"),
        ("params.rate=1e-3", ("params", "rate"), 1e-3),
        ("params.shuffle=true", ("params", "shuffle"), True),
        ("params.text=", ("params", "text"), ""),
        ("python.version=3.10", ("python", "version"), "3.10"),
        ("env.WORKERS=4", ("env", "WORKERS"), "4"),
        ("env.FLAG=no", ("env", "FLAG"), "no"),
        ("env.EQUATION=a=b", ("env", "EQUATION"), "a=b"),
        ("resources.nodes=2", ("resources", "nodes"), 2),
        ("resources.spot=false", ("resources",), {"cpu": 4}),
        ("resources.max_runtime=30m", ("resources", "max_runtime"), "30m"),
        ("command=python other.py --x 'y z'", ("command",), ["python", "other.py", "--x", "y z"]),
        ("command=[python, other.py]", ("command",), ["python", "other.py"]),
        ("command.1=other.py", ("command",), ["python", "other.py"]),
        ("inputs.train=data/a.csv", ("inputs", "train", "uri"), "data/a.csv"),
        ('inputs.train={uri: "s3://b/c", version: "1"}', ("inputs", "train", "version"), "1"),
        ("params.depth=null", ("params",), None),
        ("overrides.aws.CreateTrainingJob.B=true", ("overrides", "aws", "CreateTrainingJob", "B"), True),
    ],
)
def test_a_setting_is_read_by_the_type_of_its_field(setting: str, path: tuple[str, ...], value: object):
    found = with_settings(JOB, [setting]).as_document()
    for part in path:
        found = found.get(part)
    assert found == value


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("params.depth", "no value"),
        ("resourcs.spot=true", "did you mean resources"),
        ("resources.spott=true", "did you mean spot"),
        ("resources.nodes=many", "not a whole number"),
        ("resources.nodes=012", "different numbers"),
        ("resources.spot=no", "false in YAML 1.1"),
        ("params.rate=.nan", "not a finite number"),
        ("resources.memory=16GB", "write 16Gi"),
        ("name=x", "not a valid name"),
        ("command.7=x", "no such element"),
        ("inputs.train={uri: *x}", "an alias of nothing"),
        ("version=2", "unknown key"),
        ("", "no value"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(setting: str, says: str):
    with pytest.raises(SpecError, match=says) as caught:
        with_settings(JOB, [setting])
    assert all(problem.allowed and problem.todo for problem in caught.value.problems)


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(SpecError) as caught:
        with_settings(JOB, ["params.depth", "resources.spott=1", "resources.nodes=0"])
    assert len(caught.value.problems) == 3
