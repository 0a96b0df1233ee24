"""Operations that go on after their call was answered, as ARM lets callers follow them."""

from __future__ import annotations

import threading

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import policies
from azure.core.pipeline.transport import RequestsTransport
from azure.core.polling import LROPoller
from azure.core.rest import HttpRequest
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.polling.arm_polling import ARMPolling

from mlinfra.emulator.azure.operations import Request
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.azure.wire.longrunning import RESULT, STATUS
from mlinfra.emulator.calls import Call
from mlinfra.emulator.progress import Cancelled
from mlinfra.emulator.settings import Settings

NAME = "/subscriptions/s/resourceGroups/g/providers/p/things/t"


@pytest.fixture
def emulator_settings() -> Settings:
    return Settings(delays_scale=0.001, quotas=False)


@pytest.fixture
def asked(emulator, environment):
    def make(method: str) -> Request:
        return Request(NAME, {}, method, {}, "2025-12-01", call=Call("p", "Things_Do"), address=emulator.secure)

    return make


@pytest.fixture
def gate():
    event = threading.Event()
    yield event
    event.set()


def test_a_put_answers_with_the_resource_and_the_address_of_a_status(emulator, asked, arm, gate):
    reply = emulator.longrunning.start(asked("PUT"), lambda _progress: gate.wait(10), {"a": 1}, created=True)
    assert (reply.status, reply.body) == (201, {"a": 1})
    assert f"/{STATUS}/" in reply.headers["Azure-AsyncOperation"]
    assert arm("GET", reply.headers["Azure-AsyncOperation"]).json()["status"] == "InProgress"
    gate.set()
    while (told := arm("GET", reply.headers["Azure-AsyncOperation"]).json())["status"] == "InProgress":
        pass
    assert told["status"] == "Succeeded"
    assert told["startTime"] <= told["endTime"]


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "POST"])
def test_the_others_answer_202_and_tell_their_result_at_an_address(emulator, asked, arm, gate, method):
    def work(_progress):
        gate.wait(10)
        return {"done": True} if method == "PATCH" else None

    reply = emulator.longrunning.start(asked(method), work)
    assert reply.status == 202
    assert f"/{RESULT}/" in reply.headers["Location"]
    assert arm("GET", reply.headers["Location"]).status_code == 202
    gate.set()
    while (told := arm("GET", reply.headers["Location"])).status_code == 202:
        pass
    assert told.status_code == (200 if method == "PATCH" else 204)
    assert method != "PATCH" or told.json() == {"done": True}


def test_what_the_work_refuses_is_the_operations_error(emulator, asked, arm):
    def work(_progress):
        raise refusals.user_error("no room", "OutOfQuota")

    reply = emulator.longrunning.start(asked("PUT"), work)
    while (told := arm("GET", reply.headers["Azure-AsyncOperation"]).json())["status"] == "InProgress":
        pass
    assert (told["status"], told["error"]["message"]) == ("Failed", "no room")


def test_work_that_waits_ends_with_the_emulator(emulator, asked):
    ended = []

    def work(progress):
        try:
            progress.sleep(10_000)
        except Cancelled:
            ended.append(progress.cancelled)
            raise

    emulator.longrunning.start(asked("PUT"), work)
    emulator.longrunning.stop()
    assert ended == [True]


def test_an_operation_that_never_was_is_not_found(emulator, environment, arm):
    path = (
        f"{emulator.place.subscription_id}/providers/Microsoft.MachineLearningServices/locations/westeurope/{STATUS}/x"
    )
    assert arm("GET", path).status_code == 404


class TestTheVendorsPoller:
    """azure-mgmt-core's, which follows the headers by itself."""

    @pytest.fixture
    def client(self, emulator, credential):
        transport = RequestsTransport(connection_verify=str(emulator.ca_file), use_env_settings=False)
        bearer = policies.BearerTokenCredentialPolicy(credential(), "https://management.azure.com/.default")
        with ARMPipelineClient(
            emulator.secure, policies=[policies.RequestIdPolicy(), bearer], transport=transport
        ) as made:
            yield made

    def test_it_ends_when_the_operation_does(self, emulator, client, arm):
        owner = emulator.credentials().principal.object_id
        emulator.assignments.assign(owner, "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", emulator.place.subscription_id)
        url = f"{emulator.secure}{emulator.place.workspace_id}?api-version=2025-12-01"
        body = arm("GET", emulator.place.workspace_id).json()
        first = client.send_request(HttpRequest("PUT", url, json=body), _return_pipeline_response=True)
        poller = LROPoller(client, first, lambda each: each.http_response.json(), ARMPolling(0.02))
        assert poller.result(30)["name"] == "mlinfra"
        gone = client.send_request(HttpRequest("DELETE", url), _return_pipeline_response=True)
        assert gone.http_response.status_code == 202
        LROPoller(client, gone, lambda each: each, ARMPolling(0.02)).wait(30)
        assert arm("GET", emulator.place.workspace_id).status_code == 404

    def test_it_raises_the_operations_error(self, emulator, client, asked):
        def work(_progress):
            raise refusals.user_error("no room", "OutOfQuota")

        reply = emulator.longrunning.start(asked("DELETE"), work)
        while (told := client.send_request(HttpRequest("GET", reply.headers["Location"]))).status_code == 202:
            pass
        with pytest.raises(HttpResponseError, match="no room"):
            told.raise_for_status()
