"""Inputs against the installed provider packages: what an engine's own providers would refuse is refused here."""

from __future__ import annotations

import pytest

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.check import check_resource
from mlinfra.emulator.providers.values import UNKNOWN
from mlinfra.errors import NotFound

CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
VARIANT = {"modelName": "credit", "instanceType": "ml.m5.large", "initialInstanceCount": 1}
MANAGED = {"endpointName": "credit", "resourceGroupName": "risk", "workspaceName": "risk"}
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}

WRONG = {
    "a member that is spelled otherwise": (
        CONFIGURATION,
        {"productionVariants": [{**VARIANT, "instanceTyp": "ml.m5.large"}]},
        "productionVariants[0].instanceTyp",
        "did you mean 'instanceType'",
    ),
    "a text for a number, nested": (
        CONFIGURATION,
        {"productionVariants": [{**VARIANT, "initialInstanceCount": "one"}]},
        "productionVariants[0].initialInstanceCount",
        "expected integer",
    ),
    "a fraction for a whole number": (
        CONFIGURATION,
        {"productionVariants": [{**VARIANT, "initialInstanceCount": 1.5}]},
        "productionVariants[0].initialInstanceCount",
        "expected integer",
    ),
    "a member that is missing, two levels down": (
        CONFIGURATION,
        {"productionVariants": [{**VARIANT, "serverlessConfig": {"maxConcurrency": 3}}]},
        "productionVariants[0].serverlessConfig.memorySizeInMb",
        "requires",
    ),
    "a number among texts": (
        CONFIGURATION,
        {"productionVariants": [VARIANT], "tags": {"cost centre": 3}},
        'tags["cost centre"]',
        "expected string",
    ),
    "an object for a list": (
        CONFIGURATION,
        {"productionVariants": VARIANT},
        "productionVariants",
        "expected list",
    ),
    "a mapping where JSON text is wanted": (
        ENDPOINT,
        {"displayName": "credit", "location": "europe-west4", "trafficSplit": {"0": 100}},
        "trafficSplit",
        "expected string",
    ),
    "a text for a truth value": (
        ENDPOINT,
        {"displayName": "credit", "location": "europe-west4", "dedicatedEndpointEnabled": "yes"},
        "dedicatedEndpointEnabled",
        "expected bool",
    ),
    "what the resource cannot do without": (ENDPOINT, {"displayName": "credit"}, "location", "requires"),
    "a word that a closed list does not have": (
        DEPLOYMENT,
        {**MANAGED, "properties": {"endpointComputeType": "Managed"}, "sku": {"name": "x", "tier": "Gold"}},
        "sku.tier",
        "'Premium'",
    ),
    "a union's member of another class": (
        DEPLOYMENT,
        {**MANAGED, "properties": {"endpointComputeType": "Managed", "containerResourceRequirements": {}}},
        "properties.containerResourceRequirements",
        "no such property",
    ),
    "a union without its sign": (
        DEPLOYMENT,
        {**MANAGED, "properties": {"instanceType": "Standard_DS3_v2"}},
        "properties",
        "endpointComputeType='Managed'",
    ),
    "a class that shares its name with a nested type": (
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": "artefacts", "enabled": True},
        "enabled",
        "no such property",
    ),
    "what a secret wraps": (
        ENDPOINT,
        {"displayName": {**SECRET, "value": 3}, "location": "europe-west4"},
        "displayName",
        "expected string",
    ),
}


@pytest.mark.parametrize(("token", "inputs", "path", "reason"), WRONG.values(), ids=WRONG)
def test_wrong_inputs_are_found_by_path_and_reason(token, inputs, path, reason):
    found = {finding.path: finding.reason for finding in check_resource(token, inputs)}
    assert path in found
    assert reason in found[path]


RIGHT = {
    "whole numbers as the engine sends them": (
        CONFIGURATION,
        {"productionVariants": [{**VARIANT, "initialInstanceCount": 1.0}]},
    ),
    "what is not known yet": (CONFIGURATION, {"productionVariants": [{**VARIANT, "modelName": UNKNOWN}]}),
    "a whole list that is not known yet": (CONFIGURATION, {"productionVariants": UNKNOWN}),
    "a word that an open union does not know": (
        DEPLOYMENT,
        {**MANAGED, "properties": {"endpointComputeType": "Managed", "egressPublicNetworkAccess": "Later"}},
    ),
    "a secret of the right type": (
        ENDPOINT,
        {"displayName": {**SECRET, "value": "credit"}, "location": "europe-west4"},
    ),
}


@pytest.mark.parametrize(("token", "inputs"), RIGHT.values(), ids=RIGHT)
def test_right_inputs_pass(token, inputs):
    assert check_resource(token, inputs) == []


def test_a_resource_that_the_package_does_not_have_is_named():
    with pytest.raises(NotFound, match="aws:s3/bucket:Pail"):
        check_resource("aws:s3/bucket:Pail", {})


def test_outputs_are_told_apart_from_inputs():
    outputs, inputs = (
        introspect.outputs("aws:kms/key:Key"),
        introspect.members(introspect.arguments_class("aws:kms/key:Key")),
    )
    assert {"arn", "keyId"} <= outputs.keys()
    assert not {"arn", "keyId"} & inputs.keys()
