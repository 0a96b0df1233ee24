"""Capture keeps every question, replay answers it again bit for bit, and neither ever costs a request."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.modelkit import load_predictor
from mlinfra.serving.capture import Capture, read
from mlinfra.serving.exchange import Exchange
from mlinfra.serving.messages import Request
from mlinfra.serving.metrics import Metrics
from mlinfra.serving.replay import replay
from mlinfra.serving.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {"age": 60, "income": 2000.123456789, "home": "rent", "married": True}
ROWS = [GOOD, {"age": 20, "income": None, "home": None}, [61.0, 0.1, "other", None]]


@pytest.fixture
def captured(start: Any, packages: Path, tmp_path: Path) -> Any:
    def run(*options: str, model: str = "applicants", ask: Any = None) -> list[dict[str, Any]]:
        folder = tmp_path / "capture"
        names = ("--endpoint", "credit-risk", "--deployment", "blue", "--name", model)
        with start(packages / model, "--capture", str(folder), *names, *options) as server:
            ask(server)
            assert server.stop() == 0
        return list(read(folder))

    return run


def test_a_record_holds_all_that_repeating_takes(captured: Any, packages: Path) -> None:
    (record,) = captured(ask=lambda server: server.post({"instances": ROWS}, x_request_id="abc-1"))
    manifest = load_predictor(packages / "applicants").manifest

    assert record["id"] == "abc-1"
    assert (record["endpoint"], record["deployment"], record["model"]) == ("credit-risk", "blue", "applicants")
    assert (record["model_digest"], record["schema_version"]) == (manifest.digest, manifest.schema_version)
    assert record["input"] == [
        GOOD,
        {"age": 20, "income": None, "home": None, "married": None},
        {"age": 61, "income": 0.1, "home": "other", "married": None},
    ]
    assert record["output"] == ["good", "bad", "good"]
    assert record["latency_ms"] >= 0
    assert record["time"].endswith("Z")
    assert "masked" not in record


def test_records_lie_by_date_and_hour(captured: Any, tmp_path: Path) -> None:
    captured(ask=lambda server: server.post({"instances": ROWS}))
    (path,) = (tmp_path / "capture").rglob("*.jsonl")

    assert path.parent.name.startswith("hour=")
    assert path.parent.parent.name == time.strftime("date=%Y-%m-%d", time.gmtime())


@pytest.mark.parametrize("model", ["applicants", "numbers", "chances"])
def test_every_captured_prediction_is_repeated_bit_for_bit(captured: Any, packages: Path, model: str) -> None:
    numbers = [[1 / 3, -2.5, 1e-300, 7], [0.1, 0.2, 0.3, 4]]
    rows = ROWS if model == "applicants" else numbers

    def ask(server: Any) -> None:
        for count in range(1, 30):
            assert server.post({"instances": (rows * 30)[:count]}).status == 200
        large = {"instances": rows * 300}
        assert server.post(large).status == 200
        assert len(json.dumps(large)) > 8192

    records = captured(model=model, ask=ask)

    assert len(records) == 30
    assert replay(records, load_predictor(packages / model)) == []


def test_other_answers_and_other_models_are_told(captured: Any, packages: Path) -> None:
    (record,) = captured(model="chances", ask=lambda server: server.predict([[1, 2, 3, 4]]))
    predictor = load_predictor(packages / "chances")
    nudged = {**record, "output": [[record["output"][0][0], record["output"][0][1] + 2**-53]]}

    (difference,) = replay([nudged], predictor)
    assert (difference.id, difference.reason) == (record["id"], "another answer")
    assert difference.replayed == record["output"]
    (difference,) = replay([record], load_predictor(packages / "numbers"))
    assert "another model" in difference.reason
    (difference,) = replay([{**record, "input": [{"x0": "a"}]}], predictor)
    assert "refuses" in difference.reason


def test_masked_columns_never_reach_the_disk(captured: Any, packages: Path, tmp_path: Path) -> None:
    def ask(server: Any) -> None:
        server.post({"instances": [{**GOOD, "income": 77123.5}]})
        server.post({"instances": [{**GOOD, "income": -77123.5}]})
        server.post({"instances": [{**GOOD, "income": 77123.5, "age": 770}]})
        server.post({"instances": [[60, 77123.5, "rent"]]})
        server.post(b'{"instances": [{"income": 77123.5')

    records = captured("--capture-exclude", "income", "--capture-exclude", "home", ask=ask)

    assert len(records) == 5
    assert b"77123" not in b"".join(path.read_bytes() for path in (tmp_path / "capture").rglob("*.jsonl"))
    assert records[0]["masked"] == ["income", "home"]
    assert records[0]["input"] == [{"age": 60, "income": None, "home": None, "married": True}]
    assert [cell["value"] for cell in records[2]["rejection"]["rows"]] == [770]
    (difference,) = replay(records, load_predictor(packages / "applicants"))
    assert "income, home were masked" in difference.reason


def test_a_rejection_is_kept_with_its_reason(captured: Any, packages: Path) -> None:
    def ask(server: Any) -> None:
        server.post({"instances": [{**GOOD, "age": 770}]})
        server.post(b'{"instances": [NaN]}')

    first, second = captured(ask=ask)

    assert (first["rejection"]["status"], first["rejection"]["code"]) == (400, "InputRejected")
    assert first["rejection"]["rows"][0]["column"] == "age"
    assert first["input"] is None
    assert json.loads(first["rejection"]["body"])["instances"][0]["age"] == 770
    assert second["rejection"]["code"] == "MalformedBody"
    assert replay([first, second], load_predictor(packages / "applicants")) == []


def test_a_sample_is_a_share(captured: Any) -> None:
    def ask(server: Any) -> None:
        for _ in range(400):
            server.predict([GOOD])

    assert 40 < len(captured("--capture-sample", "0.25", ask=ask)) < 160


def test_nothing_is_kept_unasked(start: Any, packages: Path, tmp_path: Path) -> None:
    with start(packages / "numbers", env={"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}) as server:
        server.predict([[1, 2, 3, 4]])
        server.stop()

    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_folder_that_cannot_be_written_costs_no_request(start: Any, packages: Path, tmp_path: Path) -> None:
    (tmp_path / "capture").write_text("a file, no folder")
    with start(packages / "numbers", "--capture", str(tmp_path / "capture")) as server:
        for _ in range(20):
            assert server.predict([[1, 0, 0, 0]]) == [1]
        server.event("capture records cannot be written")
        deadline = time.monotonic() + 10
        while server.metric("capture_failed_total") < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.metric("capture_failed_total") == 20
        assert server.stop() == 0


def test_records_that_come_too_fast_are_dropped_and_counted(monkeypatch: Any, packages: Path, tmp_path: Path) -> None:
    monkeypatch.setattr("mlinfra.serving.capture._MOST", 3)
    metrics = Metrics(1)
    capture = Capture(Settings(capture=str(tmp_path)), metrics)
    exchange = finished(packages)
    for _ in range(10):
        capture.take(exchange)
    capture.start()
    capture.close()

    assert metrics.total("capture_dropped_total") == 7
    assert metrics.total("capture_written_total") == 3
    assert len(list(read(tmp_path))) == 3


def test_large_bodies_bound_the_queue_too(monkeypatch: Any, packages: Path, tmp_path: Path) -> None:
    monkeypatch.setattr("mlinfra.serving.capture._MOST_BYTES", 1000)
    metrics = Metrics(1)
    capture = Capture(Settings(capture=str(tmp_path)), metrics)
    exchange = finished(packages)
    exchange.request.body = b" " * 600
    for _ in range(5):
        capture.take(exchange)
    capture.start()
    capture.close()

    assert metrics.total("capture_dropped_total") == 3


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "date=2026-01-01" / "hour=00"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(b'{"id":"1"}\n{"id":"2"}\n{"id":"3"')

    assert [record["id"] for record in read(tmp_path)] == ["1", "2"]


def finished(packages: Path) -> Exchange:
    """An exchange as the server leaves it."""

    @dataclasses.dataclass
    class Model:
        manifest: Any
        name: str = "numbers"

    predictor = load_predictor(packages / "numbers")
    exchange = Exchange(Request(), Model(predictor.manifest))  # type: ignore[arg-type]
    exchange.rows = [[1.0, 0.0, 0.0, 0.0]]
    exchange.predictions = predictor.predict(exchange.rows)
    return exchange
