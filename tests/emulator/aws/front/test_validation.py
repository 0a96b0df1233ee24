"""Requests are held against the vendor's description, and refused in the service's words."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.emulator.aws import catalogue
from mlinfra.emulator.aws.wire import regexes, shapes, validate
from mlinfra.emulator.calls import Refusal
from mlinfra.errors import KitFault

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODEL = {"ModelName": "m", "PrimaryContainer": {"Image": "i"}}
_PREFIX = "1 validation error detected: Value "


def _refused(operation: str, body: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        validate.validated(shapes.operation("sagemaker", operation).input_shape, body)
    return caught.value


def _patterns() -> Iterator[tuple[str, str]]:
    model = shapes.service("sagemaker")
    for name in model.shape_names:
        pattern = model.shape_for(name).metadata.get("pattern")
        if pattern:
            yield name, pattern


def _unreadable() -> set[str]:
    found = set()
    for name, pattern in _patterns():
        try:
            re.compile(pattern)
        except re.error:
            found.add(name)
    return found


def test_exactly_the_patterns_that_python_cannot_read_are_written_by_hand() -> None:
    assert _unreadable() == set(regexes.BY_SHAPE)


def test_every_pattern_of_the_description_decides() -> None:
    for name, pattern in _patterns():
        assert regexes.fits(name, pattern, "x\x00\n☃") in {True, False}


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        ("TagKey", "mlinfra:id é_1/+=@-.", "a*b"),
        ("TagValue", "", "a;b"),
        ("CustomerMetadataKey", "alias:prod", "a" * 129),
        ("CustomerMetadataValue", "1.2 ü", ""),
        ("FeatureParameterKey", "a-b", "a@b"),
        ("FeatureParameterValue", "a b", "a(b)"),
        ("VisibilityConditionsKey", "Tags.a", "{}"),
        ("VisibilityConditionsValue", "x@y", "$"),
        ("EntityDescription", "Größe: 3€ (é)!", "a\nb"),
        ("ParameterName", "é ß", "a\tb"),
        ("CognitoUserGroup", "admins+", "two words"),
        ("Group", "€", ""),
        ("ModelPackageSourceUri", "arn:aws:x/1", "1 + 1"),
        ("AthenaCatalog", "ca\t😀", "a\x01"),
        ("Catalog", "", "\x0b"),
        ("Database", "db", "\x1f"),
        ("TableName", "t\ue000", "\n"),
        ("TrainingRepositoryCredentialsProviderArn", "arn:aws:lambda:eu-west-1:111122223333:function:f", "arn:aws:s3"),
    ],
)
def test_a_pattern_written_by_hand_takes_what_it_says_and_nothing_else(shape: str, good: str, bad: str) -> None:
    assert regexes.fits(shape, "not read", good)
    assert not regexes.fits(shape, "not read", bad)


def test_a_pattern_describes_the_whole_text() -> None:
    refusal = _refused("CreateModel", {**_MODEL, "ModelName": "job_bad!"})
    assert refusal.code == "ValidationException"
    assert refusal.message == (
        f"{_PREFIX}'job_bad!' at 'modelName' failed to satisfy constraint: Member must satisfy regular expression "
        r"pattern: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    )


@pytest.mark.parametrize(
    ("operation", "body", "path", "constraint"),
    [
        ("CreateModel", {}, "modelName", "Member must not be null"),
        ("CreateModel", {"ModelName": "a" * 64}, "modelName", "Member must have length less than or equal to 63"),
        ("ListModels", {"MaxResults": 0}, "maxResults", "Member must have value greater than or equal to 1"),
        ("ListModels", {"MaxResults": 101}, "maxResults", "Member must have value less than or equal to 100"),
        ("ListModels", {"SortBy": "Age"}, "sortBy", "Member must satisfy enum value set: [Name, CreationTime]"),
        (
            "CreateModel",
            {**_MODEL, "Tags": [{"Key": "a", "Value": "b"}, {"Value": "c"}]},
            "tags.2.member.key",
            "Member must not be null",
        ),
        (
            "CreateModel",
            {**_MODEL, "Tags": [{"Key": str(n), "Value": ""} for n in range(51)]},
            "tags",
            "Member must have length less than or equal to 50",
        ),
        (
            "CreateModel",
            {**_MODEL, "VpcConfig": {"SecurityGroupIds": [], "Subnets": ["subnet-1"]}},
            "vpcConfig.securityGroupIds",
            "Member must have length greater than or equal to 1",
        ),
        (
            "CreateModel",
            {**_MODEL, "VpcConfig": {"SecurityGroupIds": ["a b"], "Subnets": ["subnet-1"]}},
            "vpcConfig.securityGroupIds",
            "Member must satisfy constraint: [Member must have length less than or equal to 32",
        ),
        (
            "CreateModel",
            {"ModelName": "m", "PrimaryContainer": {"Image": "i", "Environment": {"1 a": "b"}}},
            "primaryContainer.environment",
            "Map keys must satisfy constraint: [Member must have length less than or equal to 1024",
        ),
        (
            "CreateModel",
            {"ModelName": "m", "PrimaryContainer": {"Image": "i", "Environment": {"a": "b" * 1025}}},
            "primaryContainer.environment",
            "Map value must satisfy constraint: [Member must have length less than or equal to 1024",
        ),
    ],
)
def test_each_rule_is_named_with_the_path_of_what_breaks_it(
    operation: str, body: Any, path: str, constraint: str
) -> None:
    refusal = _refused(operation, body)
    assert refusal.code == "ValidationException"
    assert f"at '{path}' failed to satisfy constraint: {constraint}" in refusal.message


def test_all_rules_that_are_broken_are_named_at_once() -> None:
    refusal = _refused("ListModels", {"MaxResults": 0, "NameContains": "a_b"})
    assert refusal.message.startswith("2 validation errors detected: Value 'a_b' at 'nameContains'") or (
        refusal.message.startswith("2 validation errors detected: Value '0' at 'maxResults'")
    )
    assert "; Value '" in refusal.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"ModelName": 1}, "NUMBER_VALUE can not be converted to a String"),
        ({"ModelName": ["m"]}, "Start of list found where not expected"),
        ({"ModelName": {}}, "Start of structure or map found where not expected."),
        ({"ModelName": "m", "EnableNetworkIsolation": "yes"}, "STRING_VALUE can not be converted to a Boolean"),
        ({"ModelName": "m", "Containers": {}}, "Start of structure or map"),
        ({"ModelName": "m", "Unheard": 1}, 'Unrecognized field "Unheard"'),
    ],
)
def test_what_cannot_be_read_is_a_serialization_exception(body: Any, words: str) -> None:
    refusal = _refused("CreateModel", body)
    assert refusal.code == "SerializationException"
    assert words in refusal.message


def test_a_member_that_is_null_counts_as_absent() -> None:
    shape = shapes.operation("sagemaker", "CreateModel").input_shape
    assert validate.validated(shape, {"ModelName": "m", "Tags": None}) == {"ModelName": "m"}


def test_of_a_union_exactly_one_member_is_given() -> None:
    shape = shapes.service("sagemaker").shape_for("MetricSpecification")
    (violation,) = validate.violations(shape, {}, "metric")
    allowed = ", ".join(shape.members)
    assert violation.constraint == f"Exactly one of [{allowed}] must be set"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, "members missing: ModelArn"),
        ({"ModelArn": 1}, "not a string"),
        ({"ModelArn": "a", "Extra": 1}, "members unknown to CreateModelOutput: Extra"),
    ],
)
def test_an_answer_that_is_not_what_the_description_promises_is_a_fault_of_the_kit(answer: Any, words: str) -> None:
    with pytest.raises(KitFault, match=words):
        shapes.shaped(shapes.operation("sagemaker", "CreateModel").output_shape, answer)


_OPERATIONS = [
    (service, name) for service in ("sagemaker", "cloudwatch") for name in sorted(catalogue.tables()[service])
]
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_OPERATIONS), st.data())
def test_whatever_is_sent_is_read_or_refused_and_never_a_fault(operation: tuple[str, str], data: st.DataObject) -> None:
    shape = shapes.operation(*operation).input_shape
    names = st.sampled_from(sorted(shape.members) or ["none"]) | st.text()
    body = data.draw(_VALUES | st.dictionaries(names, _VALUES, max_size=5))
    entry = catalogue.tables()[operation[0]][operation[1]]
    try:
        read = validate.read(shape, body)
    except Refusal:
        return
    assert isinstance(entry.resource(read), str)
    with suppress(Refusal):
        validate.check(shape, read)
