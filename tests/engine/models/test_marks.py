"""Aliases and stages: one client at a time, visible when done, and never between two versions."""

from __future__ import annotations

import itertools

import pytest

from mlinfra.contract.capabilities import Capability, absent
from mlinfra.engine.audit import history as log
from mlinfra.engine.marks import alias, stage, unalias
from mlinfra.engine.models import register
from mlinfra.engine.versions import resolve, write_move
from mlinfra.errors import CapabilityError, Conflict, KitFault, NotFound, Unavailable, UsageError


@pytest.fixture
def two(world, package):
    """A model with two versions."""

    def make(place="dev"):
        session = world.session(place)
        for index in (1, 2):
            folder = made.setdefault(index, None) or package(f"v{index}", f"weights {index}".encode())
            made[index] = folder
            register(session, "credit-risk", folder)
        return session

    made = {}
    return make


def carriers(world, name, place="dev"):
    return [row.name for row in world.place(place).registry.rows if name in row.aliases]


def test_an_alias_points_at_one_version_and_moves(world, two):
    session = two()
    assert alias(session, "credit-risk:1", "champion").aliases == ("champion",)
    world.clock.sleep(1)
    alias(session, "credit-risk:2", "champion")
    assert carriers(world, "champion") == ["credit-risk:2"]
    assert resolve(session, "credit-risk@champion").version == "2"
    moved = [entry for entry in log(session, "model/credit-risk") if entry.verb == "alias"][-1]
    assert moved.details == {"alias": "champion", "moved_from": ["credit-risk:1"]}


def test_an_alias_that_is_there_already_is_said_and_nothing_is_sent(world, two, faults):
    two()
    alias(world.session(), "credit-risk:1", "champion")
    again = faults()
    alias(world.session(faults=again), "credit-risk:1", "champion")
    assert again.count("mark") == 0
    assert world.heard("already")


@pytest.mark.thorough
@pytest.mark.parametrize("remove_first", [False, True])
def test_at_every_moment_of_a_move_the_alias_means_one_version(world, two, faults, killed, remove_first):
    """Killed at any call, in whichever order the platform's requests come, a reader finds the old or the new one."""
    number = iter(range(1000))
    world.renderer.remove_first = remove_first
    for after in (False, True):
        for nth in itertools.count(1):
            place = f"dev-{next(number)}"
            alias(two(place), "credit-risk:1", "champion")
            dying = faults()
            dying.kill_at, dying.after = nth, after
            try:
                alias(world.session(place, faults=dying), "credit-risk:2", "champion")
            except killed:
                pass
            else:
                break
            reader = world.session(place, machine="reader", who="bob")
            assert resolve(reader, "credit-risk@champion").version in ("1", "2")
            alias(world.session(place), "credit-risk:2", "champion")
            assert carriers(world, "champion", place) == ["credit-risk:2"]
            assert resolve(reader, "credit-risk@champion").version == "2"


def test_an_alias_on_two_versions_without_a_word_on_why_is_an_error_that_a_move_settles(world, two):
    session = two()
    for row in world.place().registry.rows:
        row.aliases = ["champion"]
    with pytest.raises(Conflict, match="several versions"):
        resolve(session, "credit-risk@champion")
    alias(session, "credit-risk:2", "champion")
    assert carriers(world, "champion") == ["credit-risk:2"]


def test_a_mark_counts_when_the_platform_shows_it(world, two):
    session = two()
    world.place().registry.mark_lag = 10.0
    began = world.clock.monotonic()
    assert stage(session, "credit-risk:1", "prod").stage == "prod"
    assert world.clock.monotonic() - began >= 10


def test_a_mark_that_never_shows_is_said(world, two):
    session = two()
    world.place().registry.mark_lag = 1e9
    with pytest.raises(Unavailable, match="to show"):
        stage(session, "credit-risk:1", "prod")


def test_an_alias_is_taken_away_and_taking_it_away_again_is_no_error(world, two):
    session = two()
    alias(session, "credit-risk:1", "champion")
    assert unalias(session, "credit-risk", "champion").version == "1"
    assert unalias(session, "credit-risk", "champion") is None
    with pytest.raises(NotFound) as caught:
        resolve(session, "credit-risk@champion")
    assert "credit-risk:1" in caught.value.allowed


def test_a_move_that_died_after_its_end_does_not_bring_an_alias_back(world, two):
    session = two()
    alias(session, "credit-risk:1", "champion")
    write_move(session, resolve(session, "credit-risk:2"), "champion")
    assert resolve(session, "credit-risk@champion").version == "1"
    unalias(session, "credit-risk", "champion")
    with pytest.raises(NotFound):
        resolve(session, "credit-risk@champion")


def test_somebody_else_at_work_is_waited_for(world, two, monkeypatch):
    two()
    first, second = world.session(), world.session(machine="elsewhere", who="bob")
    real = first.adapter.models.mark
    tried = []

    def interleave(version, marks, siblings, environment):
        if not tried:
            tried.append(True)
            monkeypatch.setattr("mlinfra.engine.marks.PATIENCE", 10.0)
            with pytest.raises(Conflict, match="ann"):
                alias(second, "credit-risk:2", "champion")
            monkeypatch.setattr("mlinfra.engine.marks.PATIENCE", 600.0)
        return real(version, marks, siblings, environment)

    first.adapter.models.mark = interleave
    alias(first, "credit-risk:1", "champion")
    assert carriers(world, "champion") == ["credit-risk:1"]
    alias(second, "credit-risk:2", "champion")
    assert carriers(world, "champion") == ["credit-risk:2"]


def test_a_platform_without_aliases_or_stages_refuses_with_its_reason(world, two, faults):
    two()
    world.capabilities[Capability.MODEL_ALIASES] = absent("it has no aliases")
    world.capabilities[Capability.MODEL_STAGE] = absent("it has no stages")
    silent = faults()
    session = world.session(faults=silent)
    for verb in (
        lambda: alias(session, "credit-risk:1", "champion"),
        lambda: unalias(session, "credit-risk", "champion"),
        lambda: stage(session, "credit-risk:1", "prod"),
    ):
        with pytest.raises(CapabilityError, match="it has no"):
            verb()
    assert silent.calls == []


def test_wrong_words_are_refused_before_anything_is_asked(world, faults):
    silent = faults()
    session = world.session(faults=silent)
    for verb in (
        lambda: alias(session, "credit-risk:1", "latest"),
        lambda: alias(session, "credit-risk::1", "champion"),
        lambda: stage(session, "credit-risk:1", "production"),
        lambda: unalias(session, "Credit", "champion"),
    ):
        with pytest.raises(UsageError):
            verb()
    assert silent.calls == []


def test_thousands_of_versions_are_read_by_pages(world, two, faults):
    two()
    registry = world.place().registry
    for number in range(3, 2501):
        row = registry.rows[0]
        registry.rows.append(
            type(row)(**{**vars(row), "version": number, "aliases": [], "digest": f"sha256:{number:064x}"})
        )
    counted = faults()
    assert resolve(world.session(faults=counted), "credit-risk:2400").version == "2400"
    assert counted.count("list") == 2
    counted = faults()
    alias(world.session(faults=counted), "credit-risk:1", "champion")
    assert counted.count("list") <= 4 * 25


def test_a_listing_in_circles_is_found_out(world, two):
    session = two()
    real = world.place().registry._list
    world.place().registry._list = lambda model, **_: {**real(model), "token": "1"}
    with pytest.raises(KitFault, match="in a circle"):
        resolve(session, "credit-risk:77")
