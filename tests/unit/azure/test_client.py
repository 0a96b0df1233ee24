"""Who we are, whom we reach, and that nothing of this machine gets in between."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError

from mlinfra.contract.requests import Request
from mlinfra.emulator.faults import Fault
from mlinfra.errors import CapabilityError, Denied, NotFound, SpecError, Throttled, Unavailable
from mlinfra_azure.addresses import is_container_registry, vault_address
from mlinfra_azure.calls import call_of
from mlinfra_azure.client import AzureClient
from mlinfra_azure.scoring import Scoring

if TYPE_CHECKING:
    from mlinfra.emulator.azure import AzureEmulator
    from mlinfra.environment import AzureEnvironment

LISTING = Request("x", "ml", "ModelContainers_List", effect=False)


def token(**claims: Any) -> str:
    return f"x.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


def bearing(environment: AzureEnvironment, **claims: Any) -> AzureEnvironment:
    return environment.model_copy(
        update={"native": {**environment.native, "credentials": {"token": token(**claims), "principal": "x"}}}
    )


@pytest.mark.parametrize(
    ("claims", "principal"),
    [
        ({"oid": "o", "upn": "mara@example.com"}, "mara@example.com"),
        ({"oid": "o", "unique_name": "mara@example.com"}, "mara@example.com"),
        ({"oid": "o", "appid": "a"}, "o"),
        ({"sub": "s"}, "s"),
    ],
)
def test_the_caller_is_who_the_token_says_and_its_tenant_decides(
    at_hand: AzureEnvironment, claims: dict[str, str], principal: str
):
    ours = AzureClient(bearing(at_hand, tid=at_hand.native["tenant"], **claims)).caller()
    assert (ours.account, ours.principal) == (at_hand.account, principal)
    theirs = AzureClient(bearing(at_hand, tid="another", **claims)).caller()
    assert theirs.account == "of tenant another"


def test_where_no_tenant_is_told_the_subscription_is_looked_at(emulator: AzureEmulator):
    environment = emulator.environment()
    untold = environment.model_copy(update={"native": {**environment.native, "tenant": ""}})
    client = AzureClient(untold)
    assert client.caller().account == environment.account
    elsewhere = AzureClient(untold.model_copy(update={"account": "11111111-1111-4111-8111-111111111111"}))
    assert elsewhere.caller().account == "none that they may see"
    client.close()
    elsewhere.close()


def test_an_emulated_environment_reads_nothing_of_this_machine(
    emulator: AzureEmulator, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {
        "AZURE_CLIENT_ID": "production",
        "AZURE_CLIENT_SECRET": "production",
        "AZURE_TENANT_ID": "production",
        "AZURE_AUTHORITY_HOST": "https://192.0.2.1",
        "AZURE_STORAGE_ACCOUNT_NAME": "production",
        "AZURE_STORAGE_ENDPOINT": "https://192.0.2.1",
        "AZURE_STORAGE_SAS_TOKEN": "sig=x",
        "IDENTITY_ENDPOINT": "http://192.0.2.1",
        "IDENTITY_HEADER": "x",
        "MSI_ENDPOINT": "http://192.0.2.1",
        "HTTPS_PROXY": "http://192.0.2.1:3128",
        "https_proxy": "http://192.0.2.1:3128",
        "ARM_CLOUD_METADATA_URL": "https://192.0.2.1",
        "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem",
    }.items():
        monkeypatch.setenv(name, value)
    client = AzureClient(emulator.environment())
    assert client.caller().account == emulator.place.subscription
    assert client.send(LISTING)["value"] == []
    client.store().put("a", b"b")
    assert client.store().get("a") == b"b"
    client.store().delete("a")
    client.close()


@pytest.mark.parametrize("address", ["https://management.azure.com", "http://192.0.2.1"])
def test_an_emulated_environment_never_leads_beyond_this_machine(at_hand: AzureEnvironment, address: str):
    with pytest.raises(SpecError, match="beyond this machine"):
        AzureClient(at_hand.model_copy(update={"endpoints": {"management": address}}))


def test_nor_does_an_address_that_a_reply_tells(at_hand: AzureEnvironment):
    client = AzureClient(at_hand)
    with pytest.raises(SpecError, match="beyond this machine"):
        client._piece("https://risk.blob.core.windows.net/azureml/log.txt?sig=x", 0, 1)
    asked = {
        "url": "https://churn.westeurope.inference.ml.azure.com/score",
        "endpoint": "churn",
        "authMode": "AADToken",
    }
    with pytest.raises(SpecError, match="beyond this machine"):
        client.send(Request("x", "scoring", "Score", {**asked, "body": ""}, effect=False))


def test_a_token_goes_to_no_operation_that_is_not_resource_managers(at_hand: AzureEnvironment):
    with pytest.raises(Unavailable, match="not Azure Resource Manager's"):
        AzureClient(at_hand).send(
            Request("x", "operations", "Get", {"url": "https://evil.example.com/operations/1"}, effect=False)
        )


def test_a_service_that_the_emulator_lacks_is_not_looked_for_elsewhere(at_hand: AzureEnvironment):
    asked = {"resourceUri": "/subscriptions/x", "metricnames": "RequestsPerMinute"}
    with pytest.raises(CapabilityError, match="no service monitor"):
        AzureClient(at_hand).send(Request("x", "monitor", "Metrics_List", asked, effect=False))
    addresses = {name: url for name, url in at_hand.endpoints.items() if name != "blob"}
    with pytest.raises(CapabilityError, match="no service blob"):
        AzureClient(at_hand.model_copy(update={"endpoints": addresses})).store()


def test_an_emulated_environment_without_credentials_is_refused(at_hand: AzureEnvironment):
    with pytest.raises(SpecError, match="own credentials"):
        AzureClient(at_hand.model_copy(update={"native": {}}))


def test_a_body_that_the_service_would_refuse_is_not_sent(at_hand: AzureEnvironment):
    with pytest.raises(SpecError, match="did you mean listViewType"):
        AzureClient(at_hand).send(Request("x", "ml", "Jobs_List", {"listViewTyp": "All"}, effect=False))


class Chain:
    """azure-identity's chain: a token for whom it is asked for, for so long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[str] = []
        self.closed = False

    def get_token(self, scope: str) -> AccessToken:
        self.asked.append(scope)
        return AccessToken(f"{scope} {len(self.asked)}", int(time.time() + self.seconds))

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("seconds", "times"), [(3600, 1), (60, 2)])
def test_each_service_gets_a_token_of_its_own_kept_until_shortly_before_its_end(
    environment: AzureEnvironment, monkeypatch: pytest.MonkeyPatch, seconds: float, times: int
):
    chain = Chain(seconds)
    monkeypatch.setattr("mlinfra_azure.client.DefaultAzureCredential", lambda **_: chain)
    client = AzureClient(environment)
    assert chain.asked == []
    for _ in range(2):
        assert client._token("management").startswith("https://management.azure.com/.default")
        assert client._store_token()["token"].startswith("https://storage.azure.com/.default")
        assert client._token("scoring").startswith("https://ml.azure.com/.default")
    assert len(chain.asked) == 3 * times
    client.close()
    assert chain.closed


def test_without_credentials_one_is_told_how_to_log_in(environment: AzureEnvironment, monkeypatch: pytest.MonkeyPatch):
    class Nobody(Chain):
        def get_token(self, scope: str) -> AccessToken:
            raise CredentialUnavailableError(f"no account for {scope}")

    monkeypatch.setattr("mlinfra_azure.client.DefaultAzureCredential", lambda **_: Nobody(0))
    with pytest.raises(Denied, match="az login"):
        AzureClient(environment).caller()


def test_a_service_that_nobody_answers_for_was_not_reached(at_hand: AzureEnvironment):
    client = AzureClient(at_hand)
    with pytest.raises(Unavailable) as refused:
        client.send(LISTING)
    assert refused.value.sent is False
    client.close()


def test_nothing_is_tried_again(client: AzureClient, emulator: AzureEmulator):
    emulator.ledger.clear()
    emulator.faults.script([Fault(operation="ModelContainers_List", do="fail", code="throttled", seconds=7.0)])
    with pytest.raises(Throttled) as refused:
        client.send(LISTING)
    assert refused.value.retry_after == 7.0
    assert len(emulator.ledger.calls(operation="ModelContainers_List")) == 1


def test_what_is_not_there_is_not_found_and_deleting_it_is_no_error(client: AzureClient):
    path = {"name": "nothing", "version": "1"}
    with pytest.raises(NotFound):
        client.send(Request("x", "ml", "ModelVersions_Get", path, effect=False))
    assert client.send(Request("x", "ml", "ModelVersions_Delete", path, repeatable=True)).get("done") is None


def test_an_unknown_store_is_named_with_those_there_are(at_hand: AzureEnvironment):
    with pytest.raises(NotFound, match="approvals, artefacts, captures, data"):
        AzureClient(at_hand).store("nobody")


def test_a_call_is_as_the_vendors_description_says(environment: AzureEnvironment):
    call = call_of("ml", "Jobs_List", {"jobType": "Command", "skip": "a+b"}, environment)
    base = f"/subscriptions/{environment.account}/resourceGroups/risk/providers/Microsoft.MachineLearningServices"
    assert (call.method, call.path) == ("GET", f"{base}/workspaces/risk/jobs")
    assert call.query == [("api-version", "2025-12-01"), ("$skip", "a+b"), ("jobType", "Command")]
    put = call_of("ml", "Jobs_CreateOrUpdate", {"id": "a b", "body": {"x": 1}, "ifMatch": '"1"'}, environment)
    assert (put.path, put.document, put.if_match) == (f"{base}/workspaces/risk/jobs/a%20b", {"x": 1}, '"1"')
    metrics = call_of("monitor", "Metrics_List", {"resourceUri": f"{base}/x", "filter": "a eq 'b'"}, environment)
    assert metrics.path == f"{base}/x/providers/Microsoft.Insights/metrics"
    assert ("$filter", "a eq 'b'") in metrics.query


def test_a_vault_is_asked_at_its_own_host_or_below_an_emulators(environment: AzureEnvironment):
    assert vault_address(environment, "https://risk.vault.azure.net/") == "https://risk.vault.azure.net"
    emulated = environment.model_copy(update={"endpoints": {"vault": "https://localhost:1/vaults/"}})
    assert vault_address(emulated, "https://risk.vault.azure.net") == "https://localhost:1/vaults/risk"


class Endpoint:
    """An endpoint with a key, and what it was asked."""

    def __init__(self, *statuses: int, **headers: str) -> None:
        self.statuses = list(statuses)
        self.headers = headers
        self.keys = 0
        self.asked: list[dict[str, str]] = []

    def manage(self, _service: str, operation: str, _body: Any) -> dict[str, Any]:
        self.keys += 1
        if operation == "OnlineEndpoints_GetToken":
            return {"accessToken": f"token-{self.keys}", "refreshAfterTimeUtc": 4_000_000_000}
        return {"primaryKey": f"key-{self.keys}"}

    def http(self, _operation: str, _method: str, _url: str, **sent: Any) -> Any:
        self.asked.append(sent["headers"])
        status, headers = self.statuses.pop(0), self.headers

        class Answer:
            status_code = status
            content = b'{"predictions": []}'

            def __init__(self) -> None:
                self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

            def text(self) -> str:
                return self.content.decode()

        return Answer()

    def score(self, **more: str) -> dict[str, Any]:
        body = {"url": "https://churn/score", "endpoint": "churn", "authMode": "Key", "body": "e30=", **more}
        scoring = getattr(self, "scoring", None) or Scoring(self.manage, lambda: "entra", self.http)
        self.scoring = scoring
        return scoring.score(body)


def test_a_key_is_asked_for_once_and_again_after_it_was_changed():
    endpoint = Endpoint(200, 200, 401, 200)
    for _ in range(3):
        endpoint.score()
    assert [each["Authorization"] for each in endpoint.asked] == [
        "Bearer key-1",
        "Bearer key-1",
        "Bearer key-1",
        "Bearer key-2",
    ]


def test_a_token_is_the_endpoints_own_or_entras():
    endpoint = Endpoint(200, 200)
    endpoint.score(authMode="AMLToken", deployment="blue")
    endpoint.score(authMode="AADToken")
    assert [each["Authorization"] for each in endpoint.asked] == ["Bearer token-1", "Bearer entra"]
    assert [each.get("azureml-model-deployment") for each in endpoint.asked] == ["blue", None]


def test_entras_token_that_does_not_hold_is_not_tried_again():
    with pytest.raises(Denied):
        Endpoint(401).score(authMode="AADToken")


def test_a_model_servers_own_error_is_an_answer_and_the_services_is_not():
    reply = Endpoint(424, ms_azureml_model_error_statuscode="400", azureml_model_deployment="blue").score()
    assert (reply["StatusCode"], reply["ModelStatusCode"], reply["Deployment"]) == (424, "400", "blue")
    assert Endpoint(408).score()["StatusCode"] == 408
    with pytest.raises(Unavailable):
        Endpoint(424).score()
    with pytest.raises(Throttled):
        Endpoint(429).score()
    with pytest.raises(NotFound):
        Endpoint(404).score()


def test_a_key_is_not_shown_unencrypted():
    with pytest.raises(Unavailable, match="not encrypted"):
        Endpoint(200).score(url="http://churn.example.com/score")


def test_no_module_but_the_client_imports_azure():
    script = (
        "import sys, mlinfra_azure.config, mlinfra_azure.errors, mlinfra_azure.native, mlinfra_azure.observe\n"
        "import mlinfra_azure.doctor, mlinfra_azure.answers, mlinfra_azure.scoring, mlinfra_azure.calls\n"
        "import mlinfra_azure.render.jobs, mlinfra_azure.render.models, mlinfra_azure.render.endpoints\n"
        "print({'azure', 'azure.core', 'azure.identity', 'obstore', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_connecting_does_not_load_the_vendors_own_sdk():
    script = "import sys, mlinfra_azure.client\nprint([name for name in sys.modules if name.startswith('azure.ai')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("registry", "ours"),
    [
        ("risk.azurecr.io", True),
        ("risk.azurecr.io:443", True),
        ("risk.azurecr.cn", True),
        ("docker.io", False),
        ("azurecr.io.example.com", False),
    ],
)
def test_azures_registries_are_known_by_their_names(registry: str, *, ours: bool):
    assert is_container_registry(registry) is ours


def test_an_emulated_environments_token_goes_to_registries_of_this_machine_alone(at_hand: AzureEnvironment):
    client = AzureClient(at_hand)
    assert client.registry_login("risk.azurecr.io") is None
    login = client.registry_login("localhost:5000")
    assert login is not None
    assert (login.scheme, login.token, login.tenant) == ("azure", "none", at_hand.native["tenant"])
