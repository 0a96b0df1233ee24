"""What every call passes: faults, permissions, quotas, the ledger."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.calls import Call, Cut, Refusal
from mlinfra.emulator.clock import Clock
from mlinfra.emulator.faults import Fault, Faults, member, read_file
from mlinfra.emulator.policy import Statement
from mlinfra.emulator.quotas import Quotas
from mlinfra.errors import NotFound, SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.desk import Desk

CREATE = Call("toy", "Create", body={"name": "a"})


def outcome(desk: Desk, call: Call = CREATE, answer: Any = None) -> Any:
    """What the caller sees."""
    try:
        return desk.admit(call, lambda: {"done": True} if answer is None else answer)
    except Refusal as refusal:
        return refusal.code
    except Cut:
        return "cut"


def outcomes(desk: Desk, count: int, call: Call = CREATE) -> list[Any]:
    return ["ok" if (seen := outcome(desk, call)) == {"done": True} else seen for _ in range(count)]


# Permissions


def test_a_call_that_needs_a_permission_is_refused_without_it(desk: Desk):
    call = Call("toy", "Create", action="toy:Create", principal="me", resources=("x", "y"))
    assert outcome(desk, call) == "Denied"
    desk.policy.put("me", "half", [Statement("allow", ("toy:Create",), ("x",))])
    assert outcome(desk, call) == "Denied"
    desk.policy.put("me", "rest", [Statement("allow", ("toy:Create",), ("y",))])
    assert outcome(desk, call) == {"done": True}


def test_a_refused_call_has_no_effect_and_takes_no_quota(desk: Desk):
    desk.quotas.limit("toy", "Create", 0.001)
    done = []
    call = Call("toy", "Create", action="toy:Create", principal="me")
    for _ in range(3):
        with pytest.raises(Refusal, match="Denied"):
            desk.admit(call, lambda: done.append(1))
    assert done == []
    assert outcome(desk) == {"done": True}


def test_conditions_see_the_call_s_context(desk: Desk):
    desk.policy.put("me", "safe", [Statement("allow", ("*",), conditions={"Bool": {"secure": "true"}})])
    assert outcome(desk, Call("toy", "A", action="toy:A", principal="me", context={"secure": True})) == {"done": True}
    assert outcome(desk, Call("toy", "A", action="toy:A", principal="me")) == "Denied"


def test_a_further_permission_is_asked_in_the_same_name(desk: Desk):
    desk.policy.put("me", "pass", [Statement("allow", ("iam:PassRole",), ("role/a",))])
    call = Call("toy", "Create", principal="me")
    desk.allow(call, "iam:PassRole", "role/a")
    with pytest.raises(Refusal) as refused:
        desk.allow(call, "iam:PassRole", "role/b")
    assert (refused.value.status, refused.value.message) == (403, "me may not iam:PassRole on role/b")


def test_permissions_may_be_switched_off(desk: Desk):
    desk.enforce = False
    assert outcome(desk, Call("toy", "A", action="toy:A")) == {"done": True}


# Quotas


def test_calls_beyond_the_rate_are_throttled_until_time_has_passed(desk: Desk, clock: Clock):
    desk.quotas.limit("toy", "Create", per_second=2, burst=2)
    assert outcomes(desk, 3) == ["ok", "ok", "Throttled"]
    clock.advance(0.5)
    assert outcomes(desk, 2) == ["ok", "Throttled"]
    clock.advance(3600)
    assert outcomes(desk, 3) == ["ok", "ok", "Throttled"]


def test_a_throttled_caller_learns_when_to_come_back(desk: Desk, clock: Clock):
    desk.quotas.limit("toy", "*", per_second=0.1)
    outcome(desk)
    clock.advance(4)
    with pytest.raises(Refusal) as refused:
        desk.admit(CREATE, dict)
    assert float(refused.value.headers["Retry-After"]) == pytest.approx(6, abs=0.01)


def test_a_pattern_is_one_allowance_for_all_that_it_describes(desk: Desk):
    desk.quotas.limit("toy", "*", per_second=1, burst=3)
    desk.quotas.limit("toy", "List*", per_second=1, burst=1)
    seen = [outcome(desk, Call("toy", name)) for name in ("Create", "ListA", "ListB", "Describe", "Delete")]
    assert [each == {"done": True} for each in seen] == [True, True, False, True, False]
    assert outcome(desk, Call("other", "Create")) == {"done": True}


@given(st.lists(st.floats(0, 5), min_size=1, max_size=40), st.floats(0.1, 10), st.integers(1, 5))
def test_no_more_calls_pass_than_rate_and_burst_allow(pauses: list[float], rate: float, burst: int):
    clock = Clock(1e-9)
    quotas = Quotas(clock)
    quotas.limit("toy", "*", rate, burst)
    passed = 0
    for pause in pauses:
        clock.advance(pause)
        passed += quotas.take(CREATE) == 0
    assert passed <= burst + sum(pauses) * rate + 1e-6


def test_what_is_left_of_an_allowance_is_told(clock: Clock):
    quotas = Quotas(clock)
    quotas.limit("s", "read", per_second=1, burst=5)
    assert quotas.left("s", "read") == 5
    quotas.take(Call("s", "read"))
    assert 4 <= quotas.left("s", "read") < 5
    clock.advance(10)
    assert quotas.left("s", "read") == 5
    assert quotas.left("s", "write") is None


def test_ceilings_hold_until_quotas_are_switched_off(clock: Clock):
    quotas = Quotas(clock)
    quotas.ceiling("jobs", 2)
    assert [quotas.fits("jobs", used) for used in (0, 1, 2)] == [True, True, False]
    assert quotas.fits("jobs", 0, more=3) is False
    assert quotas.fits("unknown", 1000)
    quotas.enforced = False
    assert quotas.fits("jobs", 2)
    assert quotas.ceiling_of("jobs") is None


# Faults


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        ({"do": "fail"}, ["Broken-unavailable", "ok", "ok", "ok", "ok", "ok"]),
        ({"do": "fail", "nth": 3}, ["ok", "ok", "Broken-unavailable", "ok", "ok", "ok"]),
        ({"do": "fail", "nth": None, "times": 2}, ["Broken-unavailable"] * 2 + ["ok"] * 4),
        ({"do": "fail", "nth": 2, "every": 3, "times": None}, ["ok", "Broken-unavailable", "ok"] * 2),
        ({"do": "fail", "times": None, "code": "throttled"}, ["Throttled"] * 6),
        ({"do": "fail", "code": "capacity"}, ["Broken-capacity", "ok", "ok", "ok", "ok", "ok"]),
        ({"do": "fail", "code": "TheirOwn"}, ["TheirOwn", "ok", "ok", "ok", "ok", "ok"]),
        ({"do": "cut", "times": 2}, ["cut", "cut", "ok", "ok", "ok", "ok"]),
        ({"do": "fail", "operation": "Delete*"}, ["ok"] * 6),
        ({"do": "fail", "service": "t?y", "principal": ""}, ["Broken-unavailable"] + ["ok"] * 5),
        ({"do": "fail", "match": {"name": "b"}}, ["ok"] * 6),
        ({"do": "fail", "match": {"name": "?"}}, ["Broken-unavailable"] + ["ok"] * 5),
    ],
)
def test_a_rule_strikes_the_calls_it_names(desk: Desk, rule: dict[str, Any], seen: list[str]):
    desk.faults.script([{"when": "before", **rule}])
    assert outcomes(desk, 6) == seen[:6]


def test_before_has_no_effect_and_after_has(desk: Desk):
    done: list[str] = []
    desk.faults.script(
        [{"do": "cut"}, {"do": "cut", "when": "after", "nth": 2}, {"do": "fail", "when": "after", "nth": 3}]
    )
    for name in ("before", "after", "failed", "well"):
        with suppress(Cut, Refusal):
            desk.admit(CREATE, lambda name=name: done.append(name))
    assert done == ["after", "failed", "well"]
    assert [entry.outcome for entry in desk.ledger.calls()] == ["cut", "cut", "Broken-unavailable", "ok"]


def test_a_lie_before_takes_the_answer_s_place_and_after_patches_it(desk: Desk):
    desk.faults.script(
        [
            {"do": "lie", "reply": {"status": "Odd"}},
            {"do": "lie", "when": "after", "nth": 2, "reply": {"status": "Odd", "token": None}},
        ]
    )
    truth = {"status": "Done", "token": "t", "rest": {"a": 1}}
    assert outcome(desk, answer=truth) == {"status": "Odd"}
    assert outcome(desk, answer=truth) == {"status": "Odd", "rest": {"a": 1}}
    assert truth["status"] == "Done"


def test_a_protocol_that_is_not_json_lies_in_its_own_way(desk: Desk):
    desk.faults.script([{"do": "lie", "when": "after", "reply": {"flip": 1}}])
    assert (
        desk.admit(CREATE, lambda: b"ab", lie=lambda true, reply: bytes([true[0] ^ reply["flip"]]) + true[1:]) == b"`b"
    )


def test_a_delay_is_in_virtual_time(desk: Desk, clock: Clock):
    desk.faults.script([{"do": "delay", "seconds": 600}])
    seen: list[Any] = []
    caller = threading.Thread(target=lambda: seen.append(outcome(desk)), daemon=True)
    caller.start()
    time.sleep(0.05)
    assert seen == []
    clock.advance(601)
    caller.join(5)
    assert seen == [{"done": True}]


def test_rules_after_a_delay_still_strike(desk: Desk):
    desk.faults.script([{"do": "delay", "seconds": 1e-9}, {"do": "fail"}])
    assert outcome(desk) == "Broken-unavailable"


def test_a_fault_says_what_the_script_says(desk: Desk):
    desk.faults.script([{"do": "fail", "code": "throttled", "status": 418, "message": "teapot", "seconds": 7}])
    with pytest.raises(Refusal) as refused:
        desk.admit(CREATE, dict)
    assert (refused.value.status, refused.value.message) == (418, "teapot")
    assert refused.value.headers == {"Retry-After": "7"}


def test_parallel_calls_are_struck_as_often_as_the_rule_says(desk: Desk):
    desk.faults.script([{"do": "fail", "every": 3, "times": None}])
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.extend(outcomes(desk, 30)), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count("ok") == 80


@pytest.mark.parametrize(
    ("path", "found"),
    [("a.b.0.c", 1), ("a", {"b": [{"c": 1}]}), ("a.b.1", None), ("a.b.x", None), ("a.b.0.c.d", None)],
)
def test_members_are_found_by_path(path: str, found: Any):
    assert member({"a": {"b": [{"c": 1}]}}, path) == found


def test_a_matched_value_is_of_the_same_type(desk: Desk):
    desk.faults.script([{"do": "fail", "match": {"count": True}, "times": None}])
    assert outcome(desk, Call("toy", "Create", body={"count": 1})) == {"done": True}
    assert outcome(desk, Call("toy", "Create", body={"count": True})) == "Broken-unavailable"


RULES = [{"do": "fail", "operation": "Create*", "code": "throttled", "times": None}, {"do": "cut", "when": "after"}]


def test_a_script_is_read_from_yaml_and_from_json(tmp_path: Path):
    (tmp_path / "faults.json").write_text(json.dumps(RULES))
    (tmp_path / "faults.yaml").write_text(
        "# two rules\n- {do: fail, operation: Create*, code: throttled, times: null}\n- do: cut\n  when: after\n"
    )
    read = read_file(tmp_path / "faults.yaml")
    assert read == read_file(tmp_path / "faults.json") == tuple(Fault(**rule) for rule in RULES)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- do: fail\n- do: cut\n  wen: after\n", "faults.yaml:3:3: rule 2, wen: unknown key"),
        ("- do: fial\n", "faults.yaml:1:7: rule 1, do: not one of the known words"),
        ("- {operation: A}\n", "rule 1, do: missing"),
        ("- {do: delay}\n", "rule 1: a delay of no length"),
        ("- {do: lie}\n", "rule 1: a lie without words"),
        ("- {do: fail, nth: 0}\n", "rule 1, nth: too small"),
        ("- 7\n", "rule 1: not a mapping"),
        ("do: fail\n", "one list of rules"),
        ("", "one list of rules"),
        ("- do: [\n", "faults.yaml"),
    ],
)
def test_a_wrong_script_is_refused_naming_the_rule(tmp_path: Path, text: str, told: str):
    (tmp_path / "faults.yaml").write_text(text)
    with pytest.raises(SpecError) as refused:
        read_file(tmp_path / "faults.yaml")
    assert told in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 2


def test_a_script_that_is_not_there_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound):
        read_file(tmp_path / "none.yaml")


def test_a_wrong_script_changes_nothing():
    faults = Faults([{"do": "fail"}])
    with pytest.raises(SpecError, match="rule 2"):
        faults.script([{"do": "cut"}, {"do": "nothing"}])
    assert [rule.do for rule, _ in faults.rules()] == ["fail"]
    faults.script([])
    assert faults.striking(CREATE) == []


# The ledger


def test_every_call_is_counted_once_with_its_outcome(desk: Desk):
    desk.faults.script([{"do": "fail", "operation": "List"}])
    desk.admit(CREATE, dict)
    desk.admit(Call("store", "Put", control=False, principal="me"), dict)
    outcome(desk, Call("toy", "List"))
    with pytest.raises(ZeroDivisionError):
        desk.admit(CREATE, lambda: 1 // 0)
    calls = desk.ledger.calls()
    assert [(call.service, call.operation, call.outcome) for call in calls] == [
        ("toy", "Create", "ok"),
        ("store", "Put", "ok"),
        ("toy", "List", "Broken-unavailable"),
        ("toy", "Create", "fault"),
    ]
    assert [len(desk.ledger.calls(**chosen)) for chosen in ({"service": "toy"}, {"control": False})] == [3, 1]
    assert desk.ledger.calls("store", "Put")[0].principal == "me"
    desk.ledger.clear()
    assert desk.ledger.calls() == []
