"""`kill -9` of an `up` of a cloud's stack in the create of every resource: the next one settles it, with no orphan.

The engine makes at once whatever depends on nothing that is missing. So an `up` whose every create stands still comes
to rest with a whole layer of the stack under way; it is killed there, and the next one, which lets those through, in
the next layer, until one comes to its end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.engine.liveness import is_alive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Site

PATIENCE = 240.0  # s on a busy machine
QUIET = 2.0  # s without anything new
AGES = 3600.0  # s; the engine is killed long before
AT_ONCE = "48"  # more than any layer of a stack has


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def creates(it: Site) -> list[str]:
    return [subject for _, _, subject in it.providers.state.calls("Create")]


def is_idle(it: Site) -> bool:
    """Whether nothing is asked for and nothing comes to exist for a while."""
    before = (len(creates(it)), it.providers.state.all())
    time.sleep(QUIET)
    return before == (len(creates(it)), it.providers.state.all())


def start(it: Site) -> subprocess.Popen[str]:
    quick = ("--yes", "--skip-preview", "--parallel", AT_ONCE)
    return it.clone.start("pulumi", "--non-interactive", "up", *quick, "--stack", it.stack)


def kill(it: Site, process: subprocess.Popen[str]) -> None:
    """Kill the engine alone. What it started ends by itself, and what it has asked for comes to an end."""
    started = children(process.pid)
    process.kill()
    process.communicate()
    wait_for("what the engine started to end with it", lambda: not any(map(is_alive, started)))
    it.providers.faults.script([])
    wait_for("what was asked of the cloud to be done", lambda: is_idle(it))


def stand_still(it: Site, names: set[str], moment: str) -> None:
    """Let the creates of these resources begin and never end: before they have an effect, or right after."""
    rule = {"operation": "Create", "times": None, "do": "delay", "seconds": AGES, "when": moment}
    it.providers.faults.script([{**rule, "match": {"name": name}} for name in sorted(names)])


def killed_in_a_layer(it: Site, left: set[str], moment: str) -> set[str]:
    """Kill an `up` that stands still in the creates of all that it can make of `left`; empty where it got through."""
    before = len(creates(it))
    stand_still(it, left, moment)
    process = start(it)

    def stands() -> bool:
        return not left.isdisjoint(creates(it)[before:]) and is_idle(it)

    wait_for("a layer of creates", lambda: process.poll() is not None or stands())
    if process.poll() is not None:
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        return set()
    caught = left.intersection(creates(it)[before:])
    kill(it, process)
    return caught


def ends_clean(it: Site) -> None:
    it.up()
    it.quiet(refresh=True)
    assert not it.orphans()
    before = it.providers.state.all()
    it.destroy()
    assert it.providers.state.all() == []
    assert it.left(before) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_the_next_up_settles_every_create_that_was_cut_short(
    site: Callable[[str, str], Site], platform: str, moment: str
):
    it = site(platform, "staging")
    it.up()
    left = set(creates(it))
    it.destroy()
    while caught := killed_in_a_layer(it, left, moment):
        it.said.clear()
        told = "\n".join(it.settle())
        assert [name for name in caught if f"{name} (" not in told] == []
        assert any("taken over: that process is gone" in line for line in it.said)
        assert not it.orphans()
        left -= caught
    assert not left
    ends_clean(it)
