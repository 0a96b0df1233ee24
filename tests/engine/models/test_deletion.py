"""Deleting: never what is in use, never half, and the bytes go with the last version that holds them."""

from __future__ import annotations

import itertools

import pytest

from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation
from mlinfra.contract.states import EndpointState
from mlinfra.engine import uses
from mlinfra.engine.deletion import delete, delete_model
from mlinfra.engine.history import history
from mlinfra.engine.marks import alias
from mlinfra.engine.models import download, register
from mlinfra.errors import Conflict, NotFound, Unavailable


def bytes_of_models(place):
    return [key for key in place.objects if key.startswith(("models/", "kit/complete/models/", "kit/uses/"))]


def serving(version):
    deployment = DeploymentObservation(
        "main-1", EndpointState.READY, traffic=100, model=version.model, version=version.version, digest=version.digest
    )
    return EndpointObservation("e-1", "credit", "credit-abc", EndpointState.READY, (deployment,))


def test_a_version_goes_with_its_bytes_and_the_empty_model_goes_too(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    world.clock.sleep(1)
    assert delete(session, "credit-risk:1") == "credit-risk:1"
    assert world.place().versions == []
    assert world.place().registry.names == []
    assert bytes_of_models(world.place()) == []
    assert history(session, "credit-risk")[-1].verb == "delete"


def test_bytes_stay_as_long_as_another_model_holds_them(world, package, tmp_path):
    session = world.session()
    folder = package()
    register(session, "credit-risk", folder)
    register(session, "other-model", folder)
    delete(session, "credit-risk")
    download(session, "other-model", tmp_path / "back")
    delete(session, "other-model")
    assert bytes_of_models(world.place()) == []


def test_what_was_deleted_can_be_registered_again_from_any_machine(world, package, tmp_path):
    folder = package()
    register(world.session(), "credit-risk", folder)
    delete(world.session(machine="elsewhere"), "credit-risk:1")
    version = register(world.session(), "credit-risk", folder)
    download(world.session(), version.name, tmp_path / "back")


def test_what_an_alias_points_at_is_refused_unless_forced(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    alias(session, "credit-risk:1", "champion")
    with pytest.raises(Conflict, match="in use") as caught:
        delete(session, "credit-risk:1")
    assert "champion" in caught.value.given
    assert world.place().versions == ["credit-risk:1"]
    delete(session, "credit-risk:1", force=True)
    assert world.place().versions == []


@pytest.mark.parametrize("by", ["digest", "name"])
def test_what_an_endpoint_serves_is_refused_unless_forced(world, package, by):
    session = world.session()
    version = register(session, "credit-risk", package())
    endpoint = serving(version)
    (deployment,) = endpoint.deployments
    blank = {"digest": ""} if by == "name" else {"model": "", "version": ""}
    endpoint = EndpointObservation(
        **{**vars(endpoint), "deployments": (DeploymentObservation(**{**vars(deployment), **blank}),)}
    )
    with pytest.raises(Conflict) as caught:
        delete(session, "credit-risk:1", endpoints=[endpoint])
    assert "endpoint credit, deployment main-1" in caught.value.given
    delete(session, "credit-risk:1", endpoints=[endpoint], force=True)
    assert world.place().versions == []


def test_a_model_goes_with_all_its_versions_or_not_at_all(world, package):
    session = world.session()
    register(session, "credit-risk", package("one"))
    two = register(session, "credit-risk", package("two", b"other"))
    with pytest.raises(Conflict):
        delete_model(session, "credit-risk", endpoints=[serving(two)])
    assert world.place().versions == ["credit-risk:1", "credit-risk:2"]
    assert delete_model(session, "credit-risk") == ["credit-risk:1", "credit-risk:2"]
    assert (world.place().versions, world.place().registry.names) == ([], [])
    assert bytes_of_models(world.place()) == []


def test_what_is_not_there_is_not_found(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    with pytest.raises(NotFound):
        delete(session, "credit-risk:2")
    with pytest.raises(NotFound):
        delete_model(session, "kredit-risk")
    assert world.place().versions == ["credit-risk:1"]


@pytest.mark.thorough
def test_a_deletion_killed_at_any_call_is_ended_by_the_same_command(world, package, faults, killed):
    folder = package()
    number = iter(range(1000))
    for after in (False, True):
        for nth in itertools.count(1):
            name = f"dev-{next(number)}"
            register(world.session(name, machine=name), "credit-risk", folder)
            dying = faults()
            dying.kill_at, dying.after = nth, after
            try:
                delete(world.session(name, machine=name, faults=dying), "credit-risk:1")
            except killed:
                pass
            else:
                break
            case = f"{'after' if after else 'before'} call {nth}: {dying.calls[-1]}"
            left = [key for key in world.place(name).objects if key.startswith("kit/deletions/")]
            if world.place(name).versions or left:
                delete(world.session(name, machine=name), "credit-risk:1")
            assert world.place(name).versions == [], case
            assert bytes_of_models(world.place(name)) == [], case
            assert not [key for key in world.place(name).objects if key.startswith("kit/deletions/")], case


def test_a_removal_left_undone_is_ended_by_who_comes_next(world, package, faults, killed, tmp_path):
    folder = package()
    register(world.session(), "credit-risk", folder)
    dying = faults()
    session = world.session(faults=dying)
    real = type(session.client.store()).delete

    def die(self, key):
        if key.startswith("models/"):
            raise killed
        return real(self, key)

    type(session.client.store()).delete = die
    try:
        with pytest.raises(killed):
            delete(session, "credit-risk:1")
    finally:
        type(session.client.store()).delete = real
    version = register(world.session(machine="elsewhere", who="bob"), "other-model", folder)
    assert world.heard("waiting for the end of that")
    download(world.session(), version.name, tmp_path / "back")


def test_a_removal_and_a_registration_at_once_leave_whole_bytes(world, package, tmp_path, monkeypatch):
    """Whoever registers while the last holder's bytes go waits for that, then sends them again."""
    folder = package()
    register(world.session(), "credit-risk", folder)
    remover, comer = world.session(), world.session(machine="elsewhere", who="bob")
    real = uses._remove

    def interleave(session, digest):
        monkeypatch.setattr(uses, "_remove", real)
        monkeypatch.setattr(uses, "_TRIES", 2)
        with pytest.raises(Unavailable):
            register(comer, "other-model", folder)
        monkeypatch.setattr(uses, "_TRIES", 50)
        real(session, digest)

    monkeypatch.setattr(uses, "_remove", interleave)
    delete(remover, "credit-risk:1")
    version = register(comer, "other-model", folder)
    download(world.session(), version.name, tmp_path / "back")
