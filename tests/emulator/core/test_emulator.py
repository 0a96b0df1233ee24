"""The life of an emulator, and its own requests."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from pydantic import ValidationError

from mlinfra.emulator import hostwork
from mlinfra.emulator.admin import TOKEN_HEADER
from mlinfra.emulator.settings import Settings
from mlinfra.host.processes import belonging

if TYPE_CHECKING:
    from pathlib import Path


def post(toy, request: str, body: Any = None, token: str | None = None) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    headers = {TOKEN_HEADER: toy.token if token is None else token}
    answer = urllib3.request("POST", f"{toy.url}/_mlinfra/{request}", body=data, headers=headers)
    return answer.status, answer.json()


def echo(toy) -> int:
    return urllib3.request("POST", toy.url, body=b'{"a": 1}').status


def test_every_answer_says_that_it_is_emulated(toy):
    for request in ("status", "variables", "calls", "leftovers", "nothing"):
        assert post(toy, request)[1]["emulated"] is True


def test_its_own_requests_want_the_token(toy):
    assert post(toy, "status", token="wrong")[0] == 200  # noqa: S106  no secret
    for request in ("variables", "stop", "faults"):
        assert post(toy, request, token="wrong")[0] == 403  # noqa: S106  no secret
    assert not toy.asked_to_stop.is_set()


def test_what_a_test_does_in_process_works_over_http(toy):
    assert echo(toy) == 403
    assert post(toy, "environment")[1]["environment"]["platform"] == "toy"
    assert echo(toy) == 200
    assert post(toy, "faults", {"rules": [{"do": "fail", "times": 2}]})[1]["rules"][0]["counted"] == 0
    assert [echo(toy), echo(toy), echo(toy)] == [503, 503, 200]
    assert post(toy, "faults")[1]["rules"][0]["counted"] == 3
    calls = post(toy, "calls", {"operation": "Echo"})[1]["calls"]
    assert [call["outcome"] for call in calls] == ["Denied", "ok", "Broken-unavailable", "Broken-unavailable", "ok"]
    post(toy, "calls/clear")
    assert post(toy, "calls")[1]["calls"] == []
    assert post(toy, "variables")[1]["variables"] == {"TOY_URL": toy.url}


def test_an_environment_is_seeded_over_http(toy):
    code, answer = post(toy, "seed", {"environment": {"name": "dev", "platform": "toy"}})
    assert (code, answer["environment"]["emulated"]) == (200, True)


def test_time_is_moved_over_http(toy):
    before = toy.clock.monotonic()
    post(toy, "clock/advance", {"seconds": 3600})
    assert toy.clock.monotonic() - before >= 3600


@pytest.mark.parametrize(
    ("request_", "body", "code", "told"),
    [
        ("faults", {"rules": [{"do": "explode"}]}, 400, "problem in the script"),
        ("faults", {"rules": 1}, 400, "list of rules"),
        ("seed", {}, 400, "JSON object"),
        ("seed", {"environment": {"name": "Bad Name", "platform": "toy"}}, 400, "not an environment"),
        ("clock/advance", {"seconds": -1}, 400, "forward"),
        ("clock/advance", {"seconds": "1"}, 400, "forward"),
        ("status", b"{", 400, "not JSON"),
        ("status", [1], 400, "JSON object"),
        ("bogus", {}, 404, "no such request"),
    ],
)
def test_a_wrong_request_is_told(toy, request_: str, body: Any, code: int, told: str):
    status, answer = post(toy, request_, body)
    assert (status, told in answer["error"]["what"]) == (code, True), answer


def test_stopping_is_asked_for_and_done_by_who_runs_it(toy):
    post(toy, "stop")
    assert toy.asked_to_stop.wait(1)


def run(toy, script: str, **options: Any) -> None:
    """Start a job and wait until its script has begun."""
    begun = toy.folder / "begun"
    argv = ["sh", "-c", f"{script}; touch {begun}; while :; do sleep 0.02; done"]
    toy.host.call("CreateJob", {"name": "job", "argv": argv, **options})
    deadline = time.monotonic() + 20
    while not begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_is_asked_to_stop_before_it_is_killed(toy):
    parted = toy.folder / "parted"
    run(toy, f"trap 'touch {parted}; exit' TERM", stop_grace=20)
    toy.stop()
    assert parted.exists()
    assert belonging(str(toy.folder)) == []
    toy.stop()


def test_a_job_that_will_not_stop_is_killed(toy, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hostwork, "_PATIENCE", 0.3)
    run(toy, "trap '' TERM", stop_grace=600)
    assert belonging(str(toy.folder))
    toy.stop()
    assert belonging(str(toy.folder)) == []


def test_settings_are_checked():
    for wrong in ({"speed": 0}, {"list_lag": -1}, {"bogus": 1}, {"faults": [{"do": "x"}]}):
        with pytest.raises(ValidationError):
            Settings(**wrong)


def test_settings_reach_what_they_are_for(toy, tmp_path: Path):
    settings = Settings(speed=5, metric_delay=3, quotas=False, enforce_policy=False, faults=[{"do": "cut"}])
    made = type(toy)(tmp_path / "other", settings)
    assert (made.clock.speed, made.metrics.delay, made.quotas.enforced, made.desk.enforce) == (5, 3, False, False)
    assert [rule.do for rule, _ in made.faults.rules()] == ["cut"]
