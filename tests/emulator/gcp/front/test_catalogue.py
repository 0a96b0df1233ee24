"""Which methods there are, and what the fidelity table is told of them."""

from __future__ import annotations

import pytest

from mlinfra.emulator.gcp import GcpEmulator, catalogue
from mlinfra.emulator.gcp.wire import longrunning, rpcs

# What training, models, endpoints and predictions take on Vertex AI, with stop, delete, lists and changes.
_NEEDED = {
    "JobService": "CreateCustomJob GetCustomJob ListCustomJobs CancelCustomJob DeleteCustomJob",
    "ModelService": """
        UploadModel CopyModel GetModel ListModels ListModelVersions UpdateModel MergeVersionAliases DeleteModelVersion
        DeleteModel
    """,
    "EndpointService": """
        CreateEndpoint GetEndpoint ListEndpoints UpdateEndpoint DeleteEndpoint
        DeployModel UndeployModel MutateDeployedModel
    """,
    "PredictionService": "Predict RawPredict",
    "Operations": "GetOperation ListOperations CancelOperation DeleteOperation WaitOperation",
}


@pytest.mark.parametrize("service", sorted(_NEEDED))
def test_what_an_adapter_and_the_vendors_clients_need_is_emulated(service):
    assert set(_NEEDED[service].split()) <= {name for owner, name in catalogue.table() if owner == service}


def test_every_method_is_one_of_the_vendors():
    for service, name in catalogue.table():
        known = longrunning.MESSAGES if service == longrunning.SERVICE else rpcs.rpcs(service)
        assert name in known


def test_every_method_asks_for_a_permission_of_the_vendors_form():
    for method in catalogue.table().values():
        service, _, rest = method.permission.partition(".")
        assert service == "aiplatform"
        assert rest.count(".") == 1


def test_the_fidelity_table_names_every_method_of_the_services_played():
    told = list(GcpEmulator.operations())
    named = {(each.service, each.operation) for each in told}
    assert len(named) == len(told)
    assert catalogue.table().keys() <= named
    assert ("JobService", "CreateNasJob") in named
    emulated = [each for each in told if each.emulated]
    assert all(each.validated for each in emulated)
    assert not any(each.validated or each.differences for each in told if not each.emulated)


def test_every_method_draws_on_the_quota_that_the_service_documents_for_it():
    """Jobs and whatever answers with an operation are submissions; predictions have quotas of their own."""
    for (service, name), method in catalogue.table().items():
        reply = longrunning.MESSAGES[name][1] if service == longrunning.SERVICE else rpcs.rpcs(service)[name].reply
        submits = name == "CreateCustomJob" or (service != longrunning.SERVICE and reply.__name__ == "Operation")
        expected = "submit" if submits else "other" if service == "PredictionService" else "read"
        assert (name, method.kind) == (name, expected)
        assert method.control is (service != "PredictionService")
