from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from mlinfra.runner import metrics
from mlinfra.runner.metrics import log_metric, read_line, read_log

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Server


class Number:
    """A number of a library's own, such as numpy's."""

    def __float__(self) -> float:
        return 0.25


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLINFRA_RESULT", str(tmp_path))
    return tmp_path


@pytest.fixture
def mlflow(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server.url}/")
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    server.script((200, {}, b"{}"))
    return server


def test_one_parsable_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    log_metric("auc", 0.83, step=3)
    log_metric("rows", 2)
    log_metric("odd", Number())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mlinfra-metric name=auc value=0.83 step=3"
    assert [(m.name, m.value, m.step) for m in map(read_line, lines) if m] == [
        *(("auc", 0.83, 3), ("rows", 2.0, None), ("odd", 0.25, None))
    ]


@pytest.mark.parametrize("value", [1e-300, -0.0, 1.7976931348623157e308, 0.1 + 0.2, math.inf, -math.inf, math.nan])
def test_no_digit_is_lost(value: float, result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_metric("x", value)
    printed = read_line(capsys.readouterr().out.rstrip())
    assert printed is not None
    assert repr(printed.value) == repr(value)
    (logged,) = read_log(result)
    assert repr(logged.value) == repr(value if math.isfinite(value) else math.nan)
    json.loads((result / "metrics.jsonl").read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


@pytest.mark.parametrize(
    "line", ["", "auc=1", "mlinfra-metric name=a", "mlinfra-metric name=a value=b", "x mlinfra-metric"]
)
def test_other_lines_hold_no_metric(line: str) -> None:
    assert read_line(line) is None


def test_the_result_keeps_every_value_and_a_torn_line_is_left_out(result: Path) -> None:
    for step in range(3):
        log_metric("loss", 1 / (step + 1), step)
    with (result / "metrics.jsonl").open("a") as file:
        file.write('{"name": "loss", "va')
    assert [(metric.step, metric.value) for metric in read_log(result)] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def test_characters_that_no_platform_carries_are_replaced_once_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    log_metric("my metric=1", 1)
    log_metric("my metric=1", 2)
    out, err = capsys.readouterr()
    assert "name=my_metric_1 value=1.0\n" in out
    assert err.count("my_metric_1") == 1


def test_a_value_that_is_no_number_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        log_metric("auc", "high")  # type: ignore[arg-type]  the error is the point


def test_a_result_that_cannot_be_written_is_said_once(
    result: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLINFRA_RESULT", str(result / "missing"))
    log_metric("auc", 1)
    log_metric("auc", 2)
    assert capsys.readouterr().err.count("metrics cannot be written") == 1


def test_mlflow_is_told(mlflow: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    log_metric("auc", 0.5, 4)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    log_metric("auc", 0.75)
    first, second = mlflow.asked
    assert (first.method, first.path) == ("POST", "/api/2.0/mlflow/runs/log-metric")
    body = json.loads(first.body)
    assert isinstance(body.pop("timestamp"), int)
    assert body == {"run_id": "abc", "key": "auc", "value": 0.5, "step": 4}
    assert first.headers["Authorization"] == "Basic dXNlcjpodW50ZXIy"
    assert second.headers["Authorization"] == "Bearer t0ken"
    assert json.loads(second.body)["step"] == 0


def test_an_mlflow_that_fails_costs_one_warning_and_is_left_alone_for_a_while(
    mlflow: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.script((500, {}, b""))
    for step in range(5):
        log_metric("auc", 0.5, step)
    assert capsys.readouterr().err.count("MLflow does not take metrics") == 1
    assert len(mlflow.asked) == 1
    monkeypatch.setattr(metrics, "_quiet_until", {})
    log_metric("auc", 0.5)
    assert len(mlflow.asked) == 2
    assert capsys.readouterr().err == ""


def test_an_mlflow_that_is_not_there_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    log_metric("auc", 0.5)
    log_metric("auc", 0.5)
    assert capsys.readouterr().err.count("mlinfra:") == 1


def test_what_mlflow_refuses_is_not_sent(mlflow: Server, capsys: pytest.CaptureFixture[str]) -> None:
    log_metric("loss", math.nan)
    assert mlflow.asked == []
    assert "refuses" in capsys.readouterr().err


@pytest.mark.parametrize("uri", ["", "file:///tmp/mlruns", "databricks"])
def test_other_tracking_stores_are_left_to_mlflow_itself(
    uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    log_metric("auc", 0.5)
    assert capsys.readouterr().err == ""
