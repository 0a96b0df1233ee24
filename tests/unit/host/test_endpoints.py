from __future__ import annotations

import collections
import http.client
import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlinfra.errors import CapabilityError, Conflict, NotFound, SpecError, Unavailable
from mlinfra.host import endpointtable, processes
from mlinfra.host.clock import stamp


class Callers:
    """Threads that ask without a pause, each over one connection, and keep what they were answered."""

    def __init__(self, rig, *, threads=4, pause=0.02):
        self.answers = collections.Counter()
        self._go_on = True
        self._port = rig.port
        self._pause = pause
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc):
        self._go_on = False
        for thread in self._threads:
            thread.join()

    @property
    def statuses(self):
        return {status for _, status in self.answers}

    def _ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while self._go_on:
            try:
                connection.request("POST", "/invocations", b"{}")
                reply = connection.getresponse()
                reply.read()
                self.answers[reply.getheader("mlinfra-deployment"), reply.status] += 1
            except OSError as exc:
                self.answers[None, repr(exc)] += 1
                connection.close()
            time.sleep(self._pause)
        connection.close()


def test_an_endpoint_answers_through_its_deployment(endpoint):
    endpoint.create(tags={"team": "risk"})
    endpoint.deploy("main", tags={"k": "v"})
    endpoint.traffic(main=100)
    status, document = endpoint.ask(body=b'{"x": 1}')
    assert (status, document["name"], document["size"], document["path"]) == (200, "main", 8, "/invocations")
    told = endpoint.describe()
    assert (told["state"], told["traffic"], told["tags"]) == ("ready", {"main": 100}, {"team": "risk"})
    (deployment,) = told["deployments"]
    assert (deployment["state"], deployment["traffic"], deployment["ready_replicas"]) == ("ready", 100, 1)
    assert deployment["tags"] == {"k": "v"}
    assert endpoint.log("main") == ["serving main"]


def test_without_traffic_an_endpoint_says_so(endpoint):
    endpoint.create()
    status, document = endpoint.ask()
    assert (status, document["error"]["message"]) == (503, "no deployment has traffic")


@pytest.mark.thorough
def test_shares_are_exact(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.deploy("b")
    endpoint.traffic(a=90, b=10)
    connection = endpoint.connect()
    names = []
    for _ in range(1000):
        connection.request("POST", "/invocations", b"{}")
        reply = connection.getresponse()
        names.append((reply.getheader("mlinfra-deployment"), json.loads(reply.read())["name"]))
    connection.close()
    assert all(told == answered for told, answered in names)
    assert abs([told for told, _ in names].count("b") - 100) <= 1
    for start in range(0, 1000, 100):
        assert abs([told for told, _ in names[start : start + 100]].count("b") - 10) <= 1


def test_a_header_asks_for_one_deployment(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.deploy("b")
    endpoint.traffic(a=100)
    assert endpoint.ask("b")[1]["name"] == "b"
    assert endpoint.ask("nobody")[0] == 404


@pytest.mark.thorough
def test_metrics_count_errors_and_rejections_apart(endpoint):
    endpoint.create()
    for name, status in (("good", "200"), ("bad", "500"), ("fussy", "400")):
        endpoint.deploy(name, "--status", status, "--delay", "0.02")
    before = stamp()
    for name, status in (("good", 200), ("bad", 500), ("fussy", 400)):
        for _ in range(5):
            assert endpoint.ask(name)[0] == status
    connection = endpoint.connect()
    connection.request("GET", "/metadata", headers={"mlinfra-deployment": "good"})
    assert connection.getresponse().read() == b"{}"
    connection.close()
    expected = {"good": (5, 0, 0), "bad": (5, 5, 0), "fussy": (5, 0, 5)}
    for name, counts in expected.items():
        told = endpoint.counted(name, 5)
        assert (told["requests"], told["errors"], told["rejected"]) == counts
        assert 0.02 <= told["p50"] <= told["p99"] < 5
        assert before < told["as_of"] < stamp()
    late = endpoint.call("GetDeploymentMetrics", {"endpoint": "e", "deployment": "good", "since": stamp()})
    assert (late["requests"], late["p50"]) == (0, None)


@pytest.mark.thorough
def test_as_of_goes_on_though_nobody_asks(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    body = {"endpoint": "e", "deployment": "a", "since": stamp()}
    first = endpoint.until(
        lambda: (now := endpoint.call("GetDeploymentMetrics", body)["as_of"]) > body["since"] and now
    )
    endpoint.until(lambda: endpoint.call("GetDeploymentMetrics", body)["as_of"] > first)


@pytest.mark.thorough
def test_a_lost_connection_is_an_error_of_the_deployment(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.traffic(a=100)
    for route in ("/hang-up", "/nonsense"):
        status, document = endpoint.ask(route=route)
        assert status == 502, document
    with pytest.raises(Unavailable):
        endpoint.ask(route="/half")
    told = endpoint.counted("a", 3)
    assert (told["requests"], told["errors"]) == (3, 3)


@pytest.mark.thorough
def test_a_time_out_is_an_error_of_the_deployment(endpoint):
    endpoint.create(timeout=0.5)
    endpoint.deploy("slow", "--delay", "20")
    endpoint.traffic(slow=100)
    started = time.monotonic()
    status, document = endpoint.ask()
    assert (status, document["error"]["code"]) == (504, 504)
    assert time.monotonic() - started < 3
    assert endpoint.counted("slow", 1)["errors"] == 1


@pytest.mark.thorough
def test_a_deployment_that_never_gets_ready_fails_and_harms_nobody(endpoint):
    endpoint.create()
    endpoint.deploy("good")
    endpoint.traffic(good=100)
    with Callers(endpoint) as callers:
        endpoint.deploy("never", "--unready", wait=False, start_timeout=1.0)
        failed = endpoint.deployment_in("never", "failed")
    assert "was not ready within 1 s" in failed["reason"]
    assert "serving never" in failed["reason"]
    assert callers.statuses == {200}
    with pytest.raises(Conflict):
        endpoint.traffic(never=100)
    endpoint.call("DeleteDeployment", {"endpoint": "e", "deployment": "never"})
    endpoint.until(lambda: endpoint.deployment("never") is None)


def test_a_server_that_cannot_load_fails_early_with_its_last_words(endpoint):
    endpoint.create()
    started = time.monotonic()
    endpoint.deploy("broken", "--exit", "3", wait=False, start_timeout=60.0)
    failed = endpoint.deployment_in("broken", "failed")
    assert "broken.replica-0 exited with code 3 before it was ready" in failed["reason"]
    assert failed["reason"].endswith("cannot load the model")
    assert time.monotonic() - started < 20


@pytest.mark.thorough
def test_a_program_that_is_not_there_fails_the_deployment(endpoint):
    endpoint.create()
    endpoint.call("CreateDeployment", {"endpoint": "e", "deployment": "a", "argv": ["/no/such/program"]})
    assert "/no/such/program" in endpoint.deployment_in("a", "failed")["reason"]


def test_a_server_that_dies_later_is_started_again_and_counted(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.traffic(a=100)
    pid = endpoint.ask()[1]["pid"]
    assert endpoint.ask(route="/die")[0] == 502
    endpoint.until(lambda: endpoint.deployment("a")["restarts"] == 1)
    assert endpoint.deployment("a")["state"] in {"updating", "ready"}
    endpoint.deployment_in("a", "ready")
    status, document = endpoint.ask()
    assert status == 200
    assert document["pid"] != pid
    assert "exited with code 9" in endpoint.deployment("a")["reason"]


@pytest.mark.thorough
def test_with_two_replicas_a_death_costs_at_most_what_was_under_way(endpoint):
    endpoint.create()
    endpoint.deploy("a", replicas=2)
    endpoint.traffic(a=100)
    with Callers(endpoint) as callers:
        endpoint.until(lambda: callers.answers["a", 200] > 20)
        os.kill(endpoint.ask()[1]["pid"], signal.SIGKILL)
        endpoint.until(lambda: endpoint.deployment("a")["restarts"] == 1)
        endpoint.until(lambda: endpoint.deployment("a")["ready_replicas"] == 2)
    failed = sum(count for (_, status), count in callers.answers.items() if status != 200)
    assert failed <= 4, callers.answers


@pytest.mark.thorough
def test_a_server_that_hangs_is_started_again(endpoint):
    endpoint.create(timeout=1.0)
    endpoint.deploy("a", "--deaf", health_period=0.2)
    endpoint.traffic(a=100)
    pid = endpoint.ask()[1]["pid"]
    endpoint.until(lambda: endpoint.deployment("a")["restarts"] == 1, patience=60)
    assert "did not answer" in endpoint.deployment("a")["reason"]
    endpoint.deployment_in("a", "ready")
    assert endpoint.ask()[1]["pid"] != pid


@pytest.mark.thorough
def test_replicas_share_the_work_and_their_number_can_change(endpoint):
    endpoint.create()
    endpoint.deploy("a", replicas=2)
    endpoint.traffic(a=100)

    def pids():
        with Callers(endpoint, pause=0.0) as callers:
            found = {endpoint.ask()[1]["pid"] for _ in range(30)}
        assert callers.statuses == {200}
        return found

    assert len(pids()) == 2
    with Callers(endpoint) as callers:
        endpoint.call("UpdateDeployment", {"endpoint": "e", "deployment": "a", "replicas": 1})
        endpoint.until(lambda: endpoint.deployment("a")["ready_replicas"] == 1)
        assert len(pids()) == 1
        endpoint.call("UpdateDeployment", {"endpoint": "e", "deployment": "a", "replicas": 3, "tags": {"k": "v"}})
        endpoint.until(lambda: endpoint.deployment("a")["ready_replicas"] == 3)
    assert callers.statuses == {200}
    assert endpoint.deployment("a")["tags"] == {"k": "v"}


@pytest.mark.thorough
def test_a_change_of_deployments_under_load_fails_no_request(endpoint, nothing_runs):
    endpoint.create()
    endpoint.deploy("old", "--delay", "0.02")
    endpoint.traffic(old=100)
    with Callers(endpoint, threads=8, pause=0.02) as callers:  # 200 requests a second
        endpoint.deploy("new", "--delay", "0.02")
        for share in (10, 50, 100):
            endpoint.traffic(old=100 - share, new=share)
            time.sleep(0.3)
        endpoint.call("DeleteDeployment", {"endpoint": "e", "deployment": "old"})
        endpoint.until(lambda: endpoint.deployment("old") is None)
        time.sleep(0.3)
    assert callers.statuses == {200}, callers.answers
    assert callers.answers["old", 200] > 20
    assert callers.answers["new", 200] > 20
    assert nothing_runs(str(endpoint.host.root / "endpoints" / "e" / "servers" / "old"))


@pytest.mark.thorough
def test_a_drained_deployment_answers_what_it_was_asked(endpoint):
    endpoint.create()
    endpoint.deploy("slow", "--delay", "1.0")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(endpoint.ask("slow")))
    asking.start()
    time.sleep(0.4)
    endpoint.call("DeleteDeployment", {"endpoint": "e", "deployment": "slow"})
    endpoint.until(lambda: endpoint.ask("slow")[0] == 404)
    asking.join()
    assert answers[0][0] == 200
    endpoint.until(lambda: endpoint.deployment("slow") is None)
    assert endpoint.log("slow") == []


@pytest.mark.thorough
def test_a_deployment_with_traffic_or_as_shadow_is_not_deleted(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.deploy("b")
    endpoint.update(traffic={"a": 100}, shadow={"deployment": "b"})
    for name in "ab":
        with pytest.raises(Conflict):
            endpoint.call("DeleteDeployment", {"endpoint": "e", "deployment": name})


@pytest.mark.thorough
def test_a_shadow_gets_copies_and_its_answers_are_dropped(endpoint):
    endpoint.create()
    endpoint.deploy("main")
    endpoint.deploy("shadow", "--status", "500")
    endpoint.update(traffic={"main": 100}, shadow={"deployment": "shadow", "percent": 50})
    assert {endpoint.ask()[0] for _ in range(20)} == {200}
    assert endpoint.counted("main", 20)["errors"] == 0
    told = endpoint.counted("shadow", 10)
    assert (told["requests"], told["errors"]) == (10, 10)
    endpoint.update(remove_shadow=True)
    assert endpoint.describe()["shadow"] is None


def test_traffic_that_does_not_add_up_is_refused(endpoint):
    endpoint.create()
    for traffic in ({"a": 99}, {"a": 50, "b": 51}, {"a": 101}, {"a": -1, "b": 101}, {"a": 50.5, "b": 49.5}):
        with pytest.raises(SpecError):
            endpoint.update(traffic=traffic)


@pytest.mark.thorough
def test_traffic_can_be_taken_away_from_all(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.traffic(a=100)
    endpoint.traffic(a=0)
    assert endpoint.ask()[0] == 503
    assert endpoint.describe()["traffic"] == {}


def test_an_update_of_what_somebody_else_has_changed_is_refused(endpoint):
    endpoint.create()
    endpoint.deploy("a")
    read = endpoint.describe()["etag"]
    endpoint.update(etag=read, tags={"k": "v"})
    with pytest.raises(Conflict):
        endpoint.update(etag=read, traffic={"a": 100})
    with pytest.raises(Conflict):
        endpoint.call("DeleteEndpoint", {"endpoint": "e", "etag": read})
    assert endpoint.describe()["traffic"] == {}
    endpoint.update(etag=endpoint.describe()["etag"], traffic={"a": 100}, tags={"k": None})
    assert endpoint.describe()["tags"] == {}


@pytest.mark.thorough
def test_traffic_to_who_is_not_there_is_refused(endpoint):
    endpoint.create()
    with pytest.raises(NotFound):
        endpoint.traffic(nobody=100)
    with pytest.raises(NotFound):
        endpoint.update(shadow={"deployment": "nobody"})


def test_names_that_exist_are_conflicts_and_others_not_found(endpoint):
    endpoint.create()
    with pytest.raises(Conflict):
        endpoint.call("CreateEndpoint", {"endpoint": "e"})
    endpoint.deploy("a", wait=False)
    with pytest.raises(Conflict):
        endpoint.deploy("a", wait=False)
    for operation, more in (
        ("DescribeEndpoint", {}),
        ("UpdateEndpoint", {}),
        ("DeleteEndpoint", {}),
        ("GetEndpointLogs", {}),
        ("InvokeEndpoint", {"body": ""}),
        ("UpdateDeployment", {"deployment": "a"}),
        ("DeleteDeployment", {"deployment": "a"}),
        ("GetDeploymentMetrics", {"deployment": "a", "since": stamp()}),
        ("CreateDeployment", {"deployment": "a", "argv": ["x"]}),
    ):
        with pytest.raises(NotFound):
            endpoint.call(operation, {"endpoint": "nobody", **more})


def test_a_version_that_is_served_is_not_deleted(endpoint):
    digest = f"sha256:{7:064x}"
    registered = {"model": "m", "digest": digest, "artifact": {"uri": "x"}}
    endpoint.call("CreateModelVersion", registered)
    endpoint.create()
    with pytest.raises(NotFound):
        endpoint.deploy("a", wait=False, model={"name": "m", "version": 2})
    endpoint.deploy("a", wait=False, model={"name": "m", "digest": digest})
    with pytest.raises(Conflict, match="deployment e/a"):
        endpoint.call("DeleteModelVersion", {"model": "m", "version": 1})
    endpoint.call("DeleteDeployment", {"endpoint": "e", "deployment": "a"})
    endpoint.until(lambda: endpoint.deployment("a") is None)
    endpoint.call("DeleteModelVersion", {"model": "m", "version": 1})


def test_deleting_an_endpoint_leaves_nothing(endpoint, nothing_runs):
    endpoint.create(tags={"k": "v"})
    endpoint.deploy("a", replicas=2, tags={"k": "v"})
    endpoint.traffic(a=100)
    assert endpoint.call("DeleteEndpoint", {"endpoint": "e"}) == {}
    endpoint.gone()
    assert nothing_runs(str(endpoint.host.root / "endpoints" / "e"))
    rows = "SELECT (SELECT count(*) FROM endpoints) + (SELECT count(*) FROM deployments) + (SELECT count(*) FROM tags)"
    assert endpoint.host._database.connection.execute(rows).fetchone()[0] == 0
    endpoint.create()
    assert endpoint.describe()["deployments"] == []


@pytest.mark.thorough
def test_a_killed_gateway_is_replaced_at_its_address_by_whoever_looks(endpoint, nothing_runs):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.traffic(a=100)
    before = endpoint.describe()
    server = endpoint.ask()[1]["pid"]
    os.kill(before["gateway"]["pid"], signal.SIGKILL)
    endpoint.until(lambda: not processes.mark(server), "the server ends with its gateway")
    assert endpoint.describe()["state"] == "creating"
    assert endpoint.deployment("a")["state"] == "creating"
    endpoint.deployment_in("a", "ready")
    assert endpoint.ask()[0] == 200
    after = endpoint.describe()
    assert after["url"] == before["url"]
    assert after["restarts"] == 1
    assert after["traffic"] == {"a": 100}


@pytest.mark.thorough
def test_an_endpoint_is_deleted_though_its_gateway_is_dead(endpoint, nothing_runs):
    endpoint.create()
    endpoint.deploy("a")
    os.kill(endpoint.describe()["gateway"]["pid"], signal.SIGKILL)
    endpoint.call("DeleteEndpoint", {"endpoint": "e"})
    endpoint.gone()
    assert nothing_runs(str(endpoint.host.root / "endpoints" / "e"))


@pytest.mark.thorough
def test_a_gateway_told_to_end_leaves_nothing_running_and_is_replaced_when_needed(endpoint, nothing_runs):
    endpoint.create()
    endpoint.deploy("a")
    row = endpoint.host._database.connection.execute("SELECT pid FROM endpoints").fetchone()
    os.kill(row["pid"], signal.SIGTERM)
    assert nothing_runs(str(endpoint.host.root / "endpoints" / "e"))
    endpoint.until(lambda: endpoint.describe()["gateway"]["alive"])
    endpoint.until(lambda: endpoint.deployment("a")["ready_replicas"] == 1)


@pytest.mark.thorough
def test_an_endpoint_ends_by_itself_when_its_time_is_over(endpoint, nothing_runs):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.traffic(a=100)
    moment = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    endpoint.call("UpdateEndpoint", {"endpoint": "e", "expires_at": moment})
    assert nothing_runs(str(endpoint.host.root / "endpoints" / "e"))
    told = endpoint.describe()
    assert (told["state"], told["deployments"][0]["state"]) == ("expired", "expired")
    assert "time to live" in told["reason"]
    assert not told["gateway"]["alive"]
    with pytest.raises(Conflict):
        endpoint.deploy("b", wait=False)
    with pytest.raises(Unavailable):
        endpoint.ask()


@pytest.mark.thorough
def test_time_runs_out_though_the_gateway_is_dead(endpoint):
    endpoint.create(expires_at=(datetime.now(UTC) + timedelta(seconds=1.5)).isoformat())
    endpoint.deploy("a", wait=False)
    os.kill(endpoint.describe()["gateway"]["pid"], signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(endpoint.host._database.connection.execute("SELECT pid FROM endpoints").fetchone()["pid"], signal.SIGKILL)
    endpoint.until(lambda: endpoint.describe()["state"] == "expired")
    assert endpoint.describe()["restarts"] == 0


@pytest.mark.thorough
def test_a_gateway_that_cannot_start_fails_the_endpoint(endpoint, monkeypatch):
    monkeypatch.setattr(endpointtable, "_SPAWN_PATIENCE", 0.05)
    monkeypatch.setattr(endpointtable, "module_environment", lambda: {"LD_LIBRARY_PATH": "", "PYTHONHOME": "/nowhere"})
    endpoint.call("CreateEndpoint", {"endpoint": "e"})
    failed = endpoint.until(lambda: (told := endpoint.describe())["state"] == "failed" and told)
    assert failed["reason"].startswith("no gateway would start: ")
    with pytest.raises(Unavailable):
        endpoint.ask()


@pytest.mark.thorough
def test_a_time_to_live_can_be_taken_away(endpoint):
    endpoint.create(expires_at=(datetime.now(UTC) + timedelta(seconds=60)).isoformat())
    endpoint.update(remove_expiry=True)
    assert endpoint.describe()["expires_at"] is None


@pytest.mark.thorough
def test_the_client_may_end_and_the_endpoint_goes_on(root, endpoint):
    endpoint.create()
    endpoint.deploy("a")
    endpoint.traffic(a=100)
    endpoint.host.close()
    assert endpoint.ask()[0] == 200


@pytest.mark.thorough
def test_endpoints_are_listed_by_tag_and_state(endpoint):
    endpoint.create(tags={"team": "risk"})
    listed = endpoint.call("ListEndpoints", {"tags": {"team": "risk"}})
    assert [found["endpoint"] for found in listed["endpoints"]] == ["e"]
    assert endpoint.call("ListEndpoints", {"tags": {"team": "other"}})["endpoints"] == []
    assert endpoint.call("ListEndpoints", {"states": ["failed"]})["endpoints"] == []


def test_without_the_extra_an_endpoint_is_refused_with_the_line_that_helps(endpoint, monkeypatch):
    monkeypatch.setattr("mlinfra.host.endpoints.find_spec", lambda _name: None)
    with pytest.raises(CapabilityError, match=r"pip install 'mlinfra-kit\[serving\]'"):
        endpoint.create()


@pytest.mark.thorough
def test_a_model_server_finds_its_port_in_its_environment(endpoint):
    endpoint.create()
    argv = ["/bin/sh", "-c", 'exec "$0" "$1" --port "$AIP_HTTP_PORT" --name "$GREETING"']
    argv += [sys.executable, str(Path(__file__).with_name("stand_in.py"))]
    body = {
        "endpoint": "e",
        "deployment": "a",
        "argv": argv,
        "env": {"AIP_HTTP_PORT": "{port}", "GREETING": "hi {port}"},
    }
    endpoint.call("CreateDeployment", body)
    endpoint.deployment_in("a", "ready")
    assert endpoint.ask("a")[1]["name"] == "hi {port}"
