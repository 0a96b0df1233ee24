import copy
import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from mlinfra.errors import SpecError
from mlinfra.modelkit.schema import Schema
from mlinfra.spec import (
    Duration,
    EndpointSpec,
    Input,
    InputSchema,
    JobSpec,
    ModelSpec,
    Output,
    Register,
    Resources,
    Rollout,
    Scale,
    Size,
    warnings,
)  # fmt: skip
from mlinfra.spec.kinds import known_kinds, model_of
from mlinfra.spec.limits import MANIFEST_VARIABLES
from mlinfra.spec.walk import annotation_at, fields_of, items_in, model_in
from mlinfra.spec.words import WORDS


def hello(**more: Any) -> JobSpec:
    return JobSpec(**{"name": "hello", "command": ["python", "hello.py"], **more})


def every_model() -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = [model_of(kind) for kind in known_kinds()]
    for model in found:
        for info in fields_of(model).values():
            annotation = info.annotation
            while (items := items_in(annotation)) is not None:
                annotation = items
            inner = model_in(annotation)
            if inner and inner not in found:
                found.append(inner)
    return found


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_field_is_described_and_every_model_closed_and_frozen(model: type[BaseModel]):
    assert all((info.description or "").endswith((".", ")")) for info in model.model_fields.values())
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]
    assert model.__doc__


@pytest.mark.parametrize("kind", known_kinds())
def test_only_the_name_of_a_spec_is_required(kind: str):
    assert [name for name, info in fields_of(model_of(kind)).items() if info.is_required()] == ["name"]


def test_a_file_and_python_make_the_same_spec():
    made = hello(
        inputs={"train": "data/credit.csv", "more": Input(uri="s3://bucket/more.csv")},
        outputs={"model": Output(type="model")},
        metrics={"auc": {"goal": "max"}},
        register=Register(output="model", name="credit-risk", when={"auc": ">= 0.8"}),
        resources=Resources(cpu=4, memory="16Gi", max_runtime=timedelta(hours=2)),
    )
    written = {
        "name": "hello", "command": "python hello.py", "inputs": {"train": "data/credit.csv", "more": {"uri": "s3://bucket/more.csv"}},
        "outputs": {"model": {"type": "model"}}, "metrics": {"auc": {"goal": "max"}},
        "register": {"output": "model", "name": "credit-risk", "when": {"auc": ">=0.80"}},
        "resources": {"cpu": 4, "memory": "16384Mi", "max_runtime": "120m"},
    }  # fmt: skip
    assert made == JobSpec.from_document(written)
    assert made.register_ is not None
    assert made.register_.when["auc"].holds(0.8)
    assert made.resources.max_runtime == 7200
    assert made.resources.memory == Size.parse("16Gi")


def test_a_wrong_value_in_python_is_a_spec_error_with_every_problem():
    with pytest.raises(SpecError) as caught:
        JobSpec(
            name="Hello",
            command=["a", "${{params.x}}"],
            resources={"cpu": 0, "spott": True},
            params={"y": float("nan")},
        )
    assert [problem.path for problem in caught.value.problems] == [
        "name", "params.y", "resources.cpu", "resources.spott", "command[1]",
    ]  # fmt: skip
    assert all(problem.allowed and problem.todo for problem in caught.value.problems)


def test_a_part_of_a_spec_tells_its_own_problems():
    with pytest.raises(SpecError, match="1 problem in Resources"):
        Resources(cpu="4")
    with pytest.raises(SpecError, match="max: too few replicas"):
        Scale(min=2, max=1)


def test_the_checks_cannot_be_passed_by_pydantics_own_doors():
    for bypass in (JobSpec.model_validate, TypeAdapter(JobSpec).validate_python):
        with pytest.raises(ValidationError, match="no command"):
            bypass({"name": "hello"})


def test_a_spec_does_not_change():
    job = hello()
    with pytest.raises(ValidationError, match="frozen"):
        job.name = "other"


def test_a_spec_can_be_copied_and_sent_to_another_process():
    job = hello(resources={"max_runtime": "2h", "memory": "1Gi"}, inputs={"a": "b"})
    assert copy.deepcopy(job) == pickle.loads(pickle.dumps(job)) == job  # noqa: S301  made in this line


def test_a_document_of_another_kind_or_version_is_refused():
    document = hello().as_document()
    assert JobSpec.from_document(document) == hello()
    for change in ({"kind": "model"}, {"version": 2}):
        with pytest.raises(SpecError, match="another"):
            JobSpec.from_document(document | change)


def test_numbers_are_not_taken_for_one_another():
    for wrong in (True, 4.0, "4"):
        with pytest.raises(SpecError, match="not a whole number"):
            Resources(cpu=wrong)
    for wrong in (1, "true", None):
        with pytest.raises(SpecError, match="neither true nor false"):
            Resources(spot=wrong)


@pytest.mark.parametrize(
    ("written", "compact"),
    [
        ("${{params.depth}}", "${{params.depth}}"),
        ("--a=${{ params.depth }}-${{  params.depth}}", "--a=${{params.depth}}-${{params.depth}}"),
        ("$params {{x}} $", "$params {{x}} $"),
    ],
)
def test_references_are_kept_in_the_one_form_that_the_runner_knows(written: str, compact: str):
    assert hello(command=["a", written], params={"depth": 1}).command == ("a", compact)


def test_names_that_become_one_variable_exclude_one_another_by_section_alone():
    hello(inputs={"data": "a"}, outputs={"data": {}}, params={"data": 1})
    with pytest.raises(SpecError, match="MLINFRA_INPUT_A_B"):
        hello(inputs={"a-b": "a", "a_b": "b"})


def test_model_is_short_for_one_main_deployment():
    short = EndpointSpec(name="credit-risk", model="credit-risk@champion")
    ((name, main),) = short.deployments.items()
    assert (name, str(main.model), main.traffic) == ("main", "credit-risk@champion", 100)
    several = {"a": {"model": "m-x:1", "traffic": "90%"}, "b": {"model": "m-x:2", "traffic": "10%"}}
    with pytest.raises(SpecError, match="not a valid name"):
        EndpointSpec(name="credit-risk", deployments=several)
    named = {f"{name}-variant": value for name, value in several.items()}
    assert [one.traffic for one in EndpointSpec(name="credit-risk", deployments=named).deployments.values()] == [90, 10]


def test_without_a_rollout_a_version_takes_all_at_once_and_with_one_it_goes_in_steps():
    assert EndpointSpec(name="credit-risk", model="a-b:1").rollout.strategy == "all_at_once"
    stepwise = EndpointSpec(name="credit-risk", model="a-b:1", rollout={"bake": "1m"}).rollout
    assert (stepwise.strategy, [str(step) for step in stepwise.steps]) == ("canary", ["10%", "50%", "100%"])


def test_a_rollback_rule_takes_the_unit_of_its_metric():
    rules = [{"metric": "error_rate", "above": "0.5%"}, {"metric": "p99", "above": "500ms"}]
    rate, latency = Rollout(rollback_on=rules).rollback_on
    assert (rate.above, latency.above) == (0.5, 0.5)
    with pytest.raises(SpecError, match="the wrong unit for error_rate"):
        Rollout(rollback_on=[{"metric": "error_rate", "above": "500ms"}])


def test_only_dev_endpoints_end_by_themselves_unless_told_to():
    endpoint = EndpointSpec(name="credit-risk", model="a-b:1")
    assert endpoint.time_to_live("dev") == Duration.parse("8h")
    assert endpoint.time_to_live("prod") is None
    assert EndpointSpec(name="credit-risk", model="a-b:1", ttl="never").time_to_live("dev") is None
    assert EndpointSpec(name="credit-risk", model="a-b:1", ttl="1h").time_to_live("prod") == 3600


def test_a_schema_keeps_the_order_of_its_columns_and_leaves_defaults_out():
    columns = {"b": {"type": "integer", "min": 0, "required": True}, "a": {"type": "category", "values": ["x"]}}
    document = ModelSpec(name="credit-risk", schema={"inputs": columns}).schema_document()
    assert document == {"inputs": {"b": {"type": "integer", "min": 0}, "a": {"type": "category", "values": ["x"]}}}
    assert list(document["inputs"]) == ["b", "a"]
    assert ModelSpec(name="credit-risk").schema_document() is None


def test_a_declared_schema_is_one_that_model_packages_take():
    document = InputSchema(inputs={"age": {"type": "integer", "min": 18, "nullable": True}, "b": {"type": "boolean"}})
    assert Schema.from_document(document.as_document()).as_document() == document.as_document()


def test_what_will_be_regretted_is_warned_of():
    assert warnings(hello()) == []
    assert "checkpoint" in warnings(hello(resources={"spot": True}))[0]
    assert warnings(hello(resources={"spot": True}, checkpoint=True)) == []
    assert "use secrets" in warnings(hello(env={"DB_PASSWORD": "x"}))[0]
    assert "use secrets" in warnings(hello(params={"api-key": "x"}))[0]
    assert "anybody" in warnings(EndpointSpec(name="credit-risk", model="a-b:1", access={"public": True}))[0]
    assert warnings(ModelSpec(name="credit-risk")) == []


def test_the_manifest_has_its_limits_by_use():
    assert {use: tuple(limit) for use, limit in MANIFEST_VARIABLES.items()} == {
        "job": (40, 512), "endpoint": (40, 1024), "batch": (12, 10240),
    }  # fmt: skip


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["2h", "10%", "16Gi"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3) | st.just("main"), inner, max_size=2)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", known_kinds())
def test_whatever_is_given_is_a_spec_or_a_spec_error_in_plain_words(kind: str):
    model = model_of(kind)
    keys = sorted(fields_of(model))

    @given(st.dictionaries(st.sampled_from(keys), junk, max_size=4))
    def examine(document: dict[str, Any]) -> None:
        spec, refusal = None, None
        try:
            spec = model.from_document(document)
        except SpecError as error:
            refusal = error
        assert spec or (refusal and refusal.problems)
        for problem in refusal.problems if refusal else ():
            assert problem.allowed, problem
            assert problem.todo, problem
            assert problem.allowed != "a valid value", f"no words for {problem}"

    examine()


def test_every_kind_of_error_that_pydantic_can_raise_here_has_words():
    assert all(words.what and words.allowed and words.todo for words in WORDS.values())


def test_every_path_leads_to_its_annotation():
    assert annotation_at(JobSpec, ("resources", "spot")) is bool
    assert annotation_at(JobSpec, ("inputs", "train", "uri")) is not None
    assert annotation_at(EndpointSpec, ("rollout", "steps", 0)) is not None
    assert annotation_at(JobSpec, ("overrides", "aws", "Op", "a", "b")) is Any
    assert annotation_at(JobSpec, ("resources", "spot", "x")) is None
    assert annotation_at(JobSpec, ("resourcs",)) is None


SEVERAL = {"blue": {"model": "aaa-b:1", "traffic": "50%"}, "green": {"model": "aaa-b:2", "traffic": "50%"}}


@pytest.mark.parametrize("way", [{"serverless": {"memory": "2Gi", "concurrency": 20}}, {"asynchronous": {}}])
@pytest.mark.parametrize(
    "fields", [{"model": "a-b:1", "rollout": {"strategy": "all_at_once"}}, {"deployments": SEVERAL}]
)
def test_what_is_replaced_whole_takes_no_steps_and_no_variants(way: dict[str, Any], fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as refusal:
        EndpointSpec(name="credit-risk", **fields, **way)
    (problem,) = refusal.value.problems
    assert (problem.path, problem.what) == (list(fields)[-1], f"does not go with {next(iter(way))}")
    assert EndpointSpec(name="credit-risk", model="a-b:1", **way).replaced_whole


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("asynchronous", {}),
        ("scale", {"min": 1, "max": 2}),
        ("resources", {"memory": "4Gi"}),
        ("machine", {"aws": "ml.m5.large"}),
    ],
)
def test_a_serverless_endpoint_has_no_machines(place: str, value: dict[str, Any]) -> None:
    fields = {"serverless": {"memory": "2Gi", "concurrency": 20}, place: value}
    with pytest.raises(SpecError) as refusal:
        EndpointSpec(name="credit-risk", model="a-b:1", **fields)
    assert [problem.path for problem in refusal.value.problems] == [place]
