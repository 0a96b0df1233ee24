"""`kill -9` of an `up` of a cloud's stack in the create of a resource: the next one settles it, with no orphan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mlinfra.engine.liveness import is_alive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Site

PATIENCE = 240.0  # s on a busy machine
QUIET = 1.0  # s
AGES = 3600.0  # s; the engine is killed long before
EVERY = 40  # of the resources in the order of their creation, the one at which an `up` is killed


class Chosen(NamedTuple):
    """A resource by the end of its name, its type and a part of its id, and when in its create the engine dies."""

    platform: str
    suffix: str
    token: str
    part: str
    moment: str


# One whose inputs tell the id and that is there; one that is not; one whose id the cloud makes up, which is asked for.
CHOSEN = (
    Chosen("aws", "stores-artefacts-bucket", "aws:s3/bucket:Bucket", "artefacts", "after"),
    Chosen("aws", "identities-trainer", "aws:iam/role:Role", "trainer", "before"),
    Chosen("aws", "secrets-risk-db", "aws:secretsmanager/secret:Secret", "risk-db", "after"),
    Chosen("azure", "stores-kept-account", "azure-native:storage:StorageAccount", "/kep", "after"),
    Chosen("azure", "identities-trainer", "azure-native:managedidentity:UserAssignedIdentity", "trainer", "before"),
    Chosen("gcp", "stores-artefacts", "gcp:storage/bucket:Bucket", "artefacts", "after"),
    Chosen("gcp", "identities-trainer", "gcp:serviceaccount/account:Account", "trainer", "before"),
    Chosen("gcp", "alarms-mail-1", "gcp:monitoring/notificationChannel:NotificationChannel", "", "after"),
)


def wait_for(what: str, condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_idle(it: Site) -> bool:
    """Whether nothing came to exist for a while."""
    before = it.providers.state.all()
    time.sleep(QUIET)
    return it.providers.state.all() == before


def stand_still(it: Site, name: str, moment: str, begun: Callable[[], bool]) -> subprocess.Popen[str]:
    """An `up` that stands still in the create of a resource: before it has an effect, or right after."""
    rule = {"operation": "Create", "match": {"name": name}, "do": "delay", "seconds": AGES, "when": moment}
    it.providers.faults.script([rule])
    process = it.clone.start("pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "--stack", it.stack)
    wait_for(f"the create of {name}", begun, process)
    return process


def kill(it: Site, process: subprocess.Popen[str]) -> None:
    """Kill the engine alone. What it started ends by itself, and what it has asked for comes to an end."""
    started = children(process.pid)
    process.kill()
    process.communicate()
    wait_for("what the engine started to end with it", lambda: not any(map(is_alive, started)))
    it.providers.faults.script([])
    wait_for("what was asked of the cloud to be done", lambda: is_idle(it))


def ends_clean(it: Site) -> None:
    it.up()
    it.quiet(refresh=True)
    assert not it.orphans()
    before = it.providers.state.all()
    it.destroy()
    assert it.providers.state.all() == []
    assert it.left(before) == []


@pytest.mark.slow
@pytest.mark.parametrize("chosen", CHOSEN, ids=lambda chosen: f"{chosen.platform}-{chosen.suffix}-{chosen.moment}")
def test_the_next_up_settles_what_a_killed_one_left(site: Callable[[str, str], Site], chosen: Chosen):
    it = site(chosen.platform, "dev")
    name = f"{it.stack}-{chosen.suffix}"
    it.clone.pulumi("stack", "init", it.stack)

    def begun() -> bool:
        if chosen.moment == "before":
            return ("Create", chosen.token, name) in it.providers.state.calls("Create")
        return bool(it.made(chosen.token, chosen.part))

    kill(it, stand_still(it, name, chosen.moment, begun))
    settled = it.settle()
    assert any(name in line for line in settled)
    assert any("taken over: that process is gone" in line for line in it.said)
    ends_clean(it)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_an_up_that_is_killed_again_and_again_ends_clean_at_last(site: Callable[[str, str], Site], platform: str):
    it = site(platform, "dev")
    it.up()
    names = [subject for _, _, subject in it.providers.state.calls("Create")]
    it.destroy()
    for name in names[::EVERY]:
        calls = len(it.providers.state.calls("Create"))

        def begun(name: str = name, since: int = calls) -> bool:
            return any(subject == name for _, _, subject in it.providers.state.calls("Create")[since:])

        kill(it, stand_still(it, name, "before", begun))
        it.settle()
        assert not it.orphans()
    ends_clean(it)
