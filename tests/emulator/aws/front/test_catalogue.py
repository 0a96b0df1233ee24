"""Which operations there are, and what the fidelity table is told of them."""

from __future__ import annotations

import pytest

from mlinfra.emulator.aws import AwsEmulator, catalogue
from mlinfra.emulator.aws.wire import shapes

# What training, models, packages, endpoints and inference take on SageMaker, with update, stop, delete, lists and tags.
_NEEDED = {
    "sagemaker": """
        CreateTrainingJob DescribeTrainingJob ListTrainingJobs StopTrainingJob UpdateTrainingJob DeleteTrainingJob
        CreateModel DescribeModel ListModels DeleteModel
        CreateModelPackageGroup DescribeModelPackageGroup ListModelPackageGroups DeleteModelPackageGroup
        CreateModelPackage DescribeModelPackage ListModelPackages UpdateModelPackage DeleteModelPackage
        BatchDescribeModelPackage
        CreateEndpointConfig DescribeEndpointConfig ListEndpointConfigs DeleteEndpointConfig
        CreateEndpoint DescribeEndpoint ListEndpoints UpdateEndpoint UpdateEndpointWeightsAndCapacities DeleteEndpoint
        AddTags DeleteTags ListTags Search
    """,
    "sagemaker-runtime": "InvokeEndpoint InvokeEndpointAsync",
    "cloudwatch": """
        PutMetricData GetMetricData GetMetricStatistics ListMetrics PutMetricAlarm DescribeAlarms DeleteAlarms
    """,
}


@pytest.mark.parametrize("service", sorted(_NEEDED))
def test_what_an_adapter_and_the_vendor_s_sdk_need_is_emulated(service: str) -> None:
    assert set(_NEEDED[service].split()) <= catalogue.tables()[service].keys()


def test_every_operation_is_one_of_the_vendor_s() -> None:
    for service, table in catalogue.tables().items():
        assert table.keys() <= set(shapes.service(service).operation_names)
        assert all(name == entry.name for name, entry in table.items())


def test_the_fidelity_table_names_every_operation_of_the_services_emulated_here() -> None:
    told = list(AwsEmulator.operations())
    named = {(each.service, each.operation) for each in told}
    for service in ("sagemaker", "sagemaker-runtime", "cloudwatch"):
        assert {(service, name) for name in shapes.service(service).operation_names} <= named
    assert len(named) == len(told)
    emulated = [each for each in told if each.emulated]
    assert all(each.validated for each in emulated)
    assert not any(each.validated or each.differences for each in told if not each.emulated)
