"""Many models in one server: loaded when asked, dropped when memory is short, none hurt by another."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mlinfra.modelkit import save_model
from mlinfra.serving.fleet import Fleet, Held
from mlinfra.serving.fleetroutes import Asked, FleetRoutes
from mlinfra.serving.lane import Lane
from mlinfra.serving.memory import resident, usual_limit
from mlinfra.serving.metrics import Metrics
from mlinfra.serving.models import Model
from mlinfra.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = [[1.0, 0.5, 0.25]]
MIB = 1 << 20


def save_small(folder: Path, slope: float) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(40, 3))
    save_model(LinearRegression().fit(matrix, slope * matrix.sum(axis=1)), folder, example=matrix)


@pytest.fixture(scope="module")
def folder(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fleet")
    save_small(root / "one", 1.0)
    save_small(root / "two", 2.0)
    shutil.copytree(packages / "slow", root / "slow")
    (root / "empty").mkdir()
    shutil.copytree(root / "one", root / "damaged")
    next((root / "damaged").glob("*.joblib")).write_bytes(b"evil")
    (root / "raises").mkdir()
    (root / "raises.py").write_text("raise RuntimeError('at import')\ndef predict(rows): return rows\n")
    save_model(root / "raises.py", root / "raises", example=[{"x": 1}])
    (root / "raises.py").unlink()
    (root / "with space").mkdir()
    save_small(root / "with space" / "model", 3.0)
    (root / ".hidden").mkdir()
    return root


@pytest.fixture(scope="module")
def fleet(start: Any, folder: Path) -> Iterator[Any]:
    with start(None, "--models", str(folder)) as server:
        yield server


def ask(server: Any, name: str, rows: Any = ROW) -> Any:
    return server.post({"instances": rows}, f"/models/{name}/invoke")


def states(server: Any) -> dict[str, str]:
    return {item["name"]: item["state"] for item in server.post(b"", "/v2/repository/index").json}


def test_each_dialect_reaches_a_model_by_name(fleet: Any):
    assert fleet.get("/ping").status == 200
    assert ask(fleet, "one").json["predictions"] == pytest.approx([1.75])
    assert fleet.post({"instances": ROW}, "/v1/models/two:predict").json["predictions"] == pytest.approx([3.5])
    tensor = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": ROW[0]}]}
    for address in ("/v2/models/with%20space/infer", "/v2/models/with%20space/versions/1/infer"):
        assert fleet.post(tensor, address).json["outputs"][0]["data"] == pytest.approx([5.25])
    assert fleet.get("/v2/models/two/ready").status == 200
    assert fleet.get("/v2/models/two").json["name"] == "two"
    assert fleet.get("/v1/models/two").json == {"name": "two", "ready": True}
    assert "one" in fleet.get("/v1/models").json["models"]
    assert {"one", "two"} <= {item["name"] for item in fleet.get("/metadata").json["models"]}
    assert ask(fleet, "one", [[1, 2]]).status == 400


def test_the_same_model_alone_gives_the_same_bits(fleet: Any, start: Any, folder: Path):
    rows = np.random.default_rng(2).normal(size=(50, 3)).tolist()
    with start(folder / "one") as alone:
        assert ask(fleet, "one", rows).json == alone.post({"instances": rows}).json


@pytest.mark.parametrize("name", ["absent", "..", "%2e%2e", "a%2fb", ".hidden", "%00", "x" * 300])
def test_a_model_that_is_not_there_is_not_found(fleet: Any, name: str):
    assert ask(fleet, name).status == 404
    assert fleet.get(f"/v2/models/{name}/ready").status == 404


@pytest.mark.parametrize("name", ["empty", "damaged", "raises"])
def test_a_bad_package_is_refused_with_its_reason_and_hurts_no_other(fleet: Any, name: str):
    for _ in range(2):  # the second time from memory
        answer = ask(fleet, name)
        assert (answer.status, answer.json["error"]["code"]) == (503, "ModelUnavailable")
        assert name in answer.json["error"]["message"]
    assert fleet.get(f"/v2/models/{name}/ready").status == 503
    assert ask(fleet, "one").status == 200
    assert fleet.get("/ping").status == 200


def test_a_version_that_is_not_there_is_not_found(fleet: Any):
    assert fleet.post({"inputs": []}, "/v2/models/one/versions/2/infer").status == 404
    assert fleet.get("/v2/models/one/versions/2").status == 404


def test_however_a_name_is_written_no_memory_is_kept_for_it(folder: Path):
    models = Fleet(Settings(models=str(folder)))
    routes = FleetRoutes(Settings(models=str(folder)), models, Lane.__new__(Lane), Metrics(1))
    before = len(routes.routes.table)
    one = Model("one", "1", folder / "one", None)
    one.load()
    models._held["one"] = Held(one, 1, 1)
    written = [
        b"%b%b%b" % choice for choice in itertools.product((b"o", b"%6f", b"%6F"), (b"n", b"%6e"), (b"e", b"%65"))
    ]
    for name in written:
        route = routes.routes.find(b"/models/%b/invoke" % name)
        assert route
        assert isinstance(route.post, Asked)
    assert len(routes.routes.table) == before + 8
    models.drop("one")
    assert len(routes.routes.table) == before


def test_routes_without_a_name_say_so(fleet: Any):
    assert fleet.post({"instances": ROW}).status == 404
    assert fleet.call("DELETE", "/ping").status == 405


def test_models_are_loaded_and_unloaded_as_sagemaker_does(fleet: Any, folder: Path):
    fleet.call("DELETE", "/models/two")
    body = {"model_name": "abc123", "url": str(folder / "two")}
    assert fleet.post(body, "/models").status == 200
    assert fleet.post(body, "/models").status == 409
    assert fleet.get("/models/abc123").json == {"modelName": "abc123", "modelUrl": str(folder / "two")}
    assert "abc123" in [item["modelName"] for item in fleet.get("/models").json["models"]]
    assert ask(fleet, "abc123").json["predictions"] == pytest.approx([3.5])
    assert fleet.call("DELETE", "/models/abc123").status == 200
    assert fleet.call("DELETE", "/models/abc123").status == 404
    assert fleet.get("/models/abc123").status == 404
    assert ask(fleet, "abc123").status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no", 400),
        ({"model_name": "x"}, 400),
        ([], 400),
        ({"model_name": "x", "url": "/etc"}, 400),
        ({"model_name": "x", "url": "{folder}/one/../../.."}, 400),
        ({"model_name": "a/b", "url": "{folder}/one"}, 400),
        ({"model_name": "x", "url": "{folder}/absent"}, 404),
        ({"model_name": "x", "url": "{folder}/empty"}, 503),
    ],
)
def test_what_cannot_be_loaded_is_refused(fleet: Any, folder: Path, body: Any, status: int):
    text = body if isinstance(body, bytes) else json.dumps(body).replace("{folder}", str(folder)).encode()
    assert fleet.post(text, "/models").status == status


def test_models_are_loaded_and_unloaded_as_triton_does(fleet: Any):
    ask(fleet, "one")
    assert states(fleet)["one"] == "READY"
    assert fleet.post({}, "/v2/repository/models/one/unload").status == 200
    assert fleet.post({}, "/v2/repository/models/one/unload").status == 404
    assert states(fleet)["one"] == "UNAVAILABLE"
    assert fleet.get("/v2/models/one").status == 503
    for _ in range(2):
        assert fleet.post({}, "/v2/repository/models/one/load").status == 200
    assert states(fleet)["one"] == "READY"
    assert fleet.post({}, "/v2/repository/models/absent/load").status == 404


def test_a_crowd_that_asks_for_one_model_loads_it_once(start: Any, folder: Path):
    with start(None, "--models", str(folder)) as server:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(ask(server, "two").status)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [200] * 12
        assert server.metric("model_loads_total") == 1
        assert server.stop() == 0


def test_several_workers_load_when_asked_and_refuse_to_be_told(start: Any, folder: Path):
    with start(None, "--models", str(folder), "--workers", "2") as server:
        server.event("ready")
        for _ in range(6):
            assert ask(server, "one").status == 200
        answer = server.post({}, "/v2/repository/models/one/load")
        assert (answer.status, answer.json["code"]) == (409, "SeveralWorkers")


def test_a_folder_that_is_not_there_ends_the_server(start: Any, tmp_path: Path):
    with start(None, "--models", str(tmp_path / "absent"), wait=False) as server:
        assert server.process.wait(10) == 4


def test_sagemakers_variable_names_the_folder(start: Any):
    with start(None, wait=False, env={"SAGEMAKER_MULTI_MODEL": "true"}) as server:
        assert "/opt/ml/models" in server.event("failed")["message"]


def copies(source: Path, target: Path, count: int) -> None:
    for index in range(count):
        shutil.copytree(source, target / f"m{index:04}")


def test_the_longest_unused_go_first_and_come_back(start: Any, folder: Path, tmp_path: Path):
    (tmp_path / "forty").mkdir()
    copies(folder / "one", tmp_path / "forty", 40)
    with start(None, "--models", str(tmp_path / "forty")) as probe:
        ask(probe, "m0000")
        held = rss(probe)
    with start(None, "--models", str(tmp_path / "forty"), "--memory-limit", str(held + MIB)) as server:
        for index in range(40):
            assert ask(server, f"m{index:04}").status == 200
            assert ask(server, "m0000").status == 200
        found = states(server)
        assert found["m0000"] == "READY"  # asked for all the time
        assert found["m0039"] == "READY"
        assert found["m0001"] == "UNAVAILABLE"
        assert server.metric("model_evictions_total") > 0
        assert ask(server, "m0001").status == 200


def rss(server: Any) -> int:
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.thorough
def test_a_thousand_models_answer_within_the_memory_limit(start: Any, folder: Path, tmp_path: Path):
    (tmp_path / "many").mkdir()
    copies(folder / "one", tmp_path / "many", 1000)
    limit = 80 * MIB
    with start(None, "--models", str(tmp_path / "many"), "--memory-limit", str(limit)) as server:
        highest = 0
        for index in range(1000):
            answer = ask(server, f"m{index:04}")
            assert answer.status == 200, (index, answer.body)
            highest = max(highest, rss(server))
        assert highest <= limit
        hot = []
        for _ in range(300):
            started = time.perf_counter()
            assert ask(server, "m0999").status == 200
            hot.append(time.perf_counter() - started)
        assert sorted(hot)[int(0.99 * len(hot))] < 0.25  # seconds; on an idle machine 2 ms


def test_the_measures_of_memory_make_sense():
    assert 0 < resident() < usual_limit()
