"""Registering: one version for the same bytes, whatever happens on the way; nothing is ever loaded."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
from contextlib import suppress

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.engine import models
from mlinfra.engine.audit import history as log
from mlinfra.engine.listing import Entry, Listing
from mlinfra.engine.models import download, register, register_from_store, show, verify
from mlinfra.engine.versions import resolve
from mlinfra.errors import CapabilityError, Conflict, IntegrityError, NotFound, SpecError, TemporaryError, UsageError
from mlinfra.modelkit import MANIFEST_NAME, Manifest


def test_a_package_becomes_a_version_with_all_that_is_known_of_it(world, package):
    session = world.session()
    folder = package()
    version = register(
        session, "credit-risk", folder, lineage={"job": "j"}, metrics={"auc": 0.83}, tags={"team": "risk"}
    )
    assert (version.name, version.owner, version.metrics) == ("credit-risk:1", "ann", {"auc": 0.83})
    assert version.digest == Manifest.read(folder).digest
    assert version.lineage == {"job": "j"}
    assert version.tags == {"team": "risk"}
    assert session.client.store().key(version.artefact.uri) == f"models/{version.digest.removeprefix('sha256:')}"
    (entry,) = log(session, "model/credit-risk")
    assert (entry.who, entry.verb, entry.subject) == ("ann", "register", "model/credit-risk:1")


def test_it_comes_back_as_it_was(world, package, contents, tmp_path):
    folder = package(files={"code/helper.py": b"x = 1\n"})
    register(world.session(), "credit-risk", folder)
    download(world.session(machine="elsewhere"), "credit-risk:1", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


def test_the_same_bytes_again_are_the_same_version_and_it_is_said(world, package, faults):
    folder = package()
    first = register(world.session(), "credit-risk", folder)
    again = faults()
    second = register(world.session(faults=again), "credit-risk", folder)
    assert second.name == first.name
    assert world.place().versions == ["credit-risk:1"]
    assert world.heard("credit-risk:1 holds these bytes already")
    assert not [key for key, operation in again.calls if operation == "put" and "artefacts/models/" in key]
    assert again.count("create") == 0


def test_another_machine_sends_nothing_either(world, package, faults):
    register(world.session(), "credit-risk", package("one"))
    other = faults()
    version = register(world.session(machine="elsewhere", who="bob", faults=other), "credit-risk", package("two"))
    assert version.owner == "ann"
    assert world.place().versions == ["credit-risk:1"]
    assert not [key for key, operation in other.calls if operation == "put" and "artefacts/models/" in key]


def test_other_bytes_are_another_version(world, package):
    register(world.session(), "credit-risk", package("one"))
    register(world.session(), "credit-risk", package("two", b"other"))
    assert world.place().versions == ["credit-risk:1", "credit-risk:2"]


@pytest.mark.thorough
def test_killed_at_any_call_and_run_again_there_is_one_version_with_whole_bytes(
    world, package, survive, contents, tmp_path
):
    folder = package(files={"extra.bin": b"more"})
    number = iter(range(1000))

    def prepare():
        name = f"dev-{next(number)}"

        def attempt(faults):
            register(world.session(name, machine=name, faults=faults), "credit-risk", folder, metrics={"auc": 0.8})

        def judge(case):
            place = world.place(name)
            assert place.versions == ["credit-risk:1"], case
            download(world.session(name, machine="judge"), "credit-risk:1", tmp_path / "judged" / name)
            assert contents(tmp_path / "judged" / name) == contents(folder), case
            assert len([key for key in place.objects if key.startswith("kit/uses/")]) == 1, case

        return attempt, judge

    survive(prepare)


@pytest.mark.parametrize("lost", ["create", "put", "find", "get", "list", "head"])
def test_a_lost_answer_makes_no_second_version(world, package, faults, lost):
    lossy = faults()
    for _ in range(3):
        lossy.lose.append(lambda _, operation: operation == lost)
    folder = package()
    with suppress(TemporaryError):  # it may ask for another run, which then finds what the first one did
        register(world.session(faults=lossy), "credit-risk", folder)
    assert register(world.session(), "credit-risk", folder).name == "credit-risk:1"
    assert world.place().versions == ["credit-risk:1"]


@pytest.mark.parametrize("lag", [1.0, 15.0, 60.0])
def test_a_list_that_lags_makes_no_second_version(world, package, lag):
    world.place().registry.lag = lag
    version = register(world.session(), "credit-risk", package())
    assert version.name == "credit-risk:1"
    assert world.place().versions == ["credit-risk:1"]


def test_a_list_that_lags_and_a_lost_answer_and_a_death_make_no_second_version(world, package, faults, killed):
    world.place().registry.lag = 15.0
    folder = package()
    dying = faults()
    dying.lose.append(lambda _, operation: operation == "create")
    session = world.session(faults=dying)
    dying.kill_at = 1_000
    real = session.clock.sleep

    def die(seconds):
        if dying.count("create"):
            raise killed
        real(seconds)

    session.clock.sleep = die
    with pytest.raises(killed):
        register(session, "credit-risk", folder)
    session.clock.sleep = real
    version = register(world.session(), "credit-risk", folder)
    assert version.name == "credit-risk:1"
    assert world.place().versions == ["credit-risk:1"]


def test_a_create_that_had_to_wait_for_a_dead_machine_is_sent_once_though_lists_lag(
    world, package, faults, killed, monkeypatch
):
    world.place().registry.lag = 15.0
    folder = package()
    number = next(
        index
        for index, (_, operation) in enumerate(_calls_of_a_registration(world, package, faults), start=1)
        if operation == "create"
    )
    dying = faults()
    dying.kill_at = number
    with pytest.raises(killed):
        register(world.session(faults=dying), "credit-risk", folder)
    assert dying.calls[-1] == ("registry", "create")
    monkeypatch.setattr("mlinfra.engine.claims.socket.gethostname", lambda: "another-machine")
    counted = faults()
    assert register(world.session(faults=counted), "credit-risk", folder).name == "credit-risk:1"
    assert counted.count("create") == 1
    assert world.heard("another process is creating it")


def _calls_of_a_registration(world, package, faults):
    counted = faults()
    register(world.session("elsewhere", faults=counted), "credit-risk", package("elsewhere"))
    return counted.calls


def test_a_tampered_file_is_found_before_anything_is_sent(world, package):
    folder = package()
    (folder / "model.txt").write_bytes(b"tree\npoison!")
    with pytest.raises(IntegrityError, match="not the file that was saved"):
        register(world.session(), "credit-risk", folder)
    assert world.place().objects == {}
    assert world.place().versions == []


def test_a_file_tampered_with_after_a_first_registration_is_found_too(world, package):
    folder = package()
    register(world.session(), "credit-risk", folder)
    (folder / "model.txt").write_bytes(b"tree\npoison!")
    with pytest.raises(IntegrityError):
        register(world.session(), "other-model", folder)
    assert world.place().versions == ["credit-risk:1"]


@pytest.mark.parametrize(
    "change",
    [{"format": "python"}, {"requirements": ["evil"]}, {"entry": "other"}, {"digest": "sha256:00"}, {"files": {}}],
)
def test_a_tampered_manifest_is_refused(world, package, change):
    folder = package()
    document = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**document, **change}))
    with pytest.raises(IntegrityError):
        register(world.session(), "credit-risk", folder)
    assert world.place().objects == {}


def test_a_manifest_that_names_files_elsewhere_is_refused(world, package, tmp_path):
    (tmp_path / "secret").write_bytes(b"s3cret")
    folder = package()
    found = Manifest.read(folder)
    Manifest(
        format="lightgbm", entry="model.txt", files={**found.files, "../../secret": found.files["model.txt"]}
    ).write(folder)
    with pytest.raises(IntegrityError):
        register(world.session(), "credit-risk", folder)
    assert world.place().objects == {}


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def test_a_strangers_pickle_is_never_loaded(world, tmp_path, contents):
    trap = tmp_path / "sprung"
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Bomb(trap)))
    session = world.session()
    version = register(session, "credit-risk", path)
    register_from_store(session, "again", _left_by_a_job(session, {"model.pkl": path.read_bytes()}))
    show(session, "credit-risk")
    verify(session, "credit-risk")
    download(session, "credit-risk", tmp_path / "back")
    assert contents(tmp_path / "back")["model.pkl"] == path.read_bytes()
    assert version.state == "ready"
    assert not trap.exists()


def test_a_file_of_another_tool_gets_a_manifest_of_its_own(world, tmp_path):
    path = tmp_path / "model.txt"
    path.write_bytes(b"tree\nversion=v4\n")
    version = register(world.session(), "credit-risk", path)
    download(world.session(), version.name, tmp_path / "back")
    assert Manifest.read(tmp_path / "back").digest == version.digest


@pytest.mark.parametrize(("name", "error"), [("nowhere", NotFound), ("notes.txt", SpecError)])
def test_what_is_no_model_is_refused(world, tmp_path, name, error):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(error):
        register(world.session(), "credit-risk", tmp_path / name)
    assert world.place().objects == {}


@pytest.mark.parametrize("name", ["", "Credit", "cr", "../x", "a" * 33, "credit:1"])
def test_a_name_that_no_model_can_have_is_refused_at_once(world, package, name, faults):
    silent = faults()
    with pytest.raises(UsageError):
        register(world.session(faults=silent), name, package())
    assert silent.calls == []


def _left_by_a_job(session, files, prefix="jobs/ab/1/model"):
    for name, content in files.items():
        session.client.store().put(f"{prefix}/{name}", content)
    return prefix


def test_what_a_job_left_is_registered_from_the_store(world, package, contents, tmp_path):
    session = world.session()
    folder = package(files={"extra.bin": b"more"})
    prefix = _left_by_a_job(session, contents(folder))
    version = register_from_store(session, "credit-risk", prefix, metrics={"auc": 0.9})
    assert version.digest == Manifest.read(folder).digest
    for key in [key for key in world.place().objects if key.startswith("jobs/")]:
        del world.place().objects[key]
    download(session, version.name, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


def test_what_a_job_left_and_what_lies_here_are_the_same_version(world, package, contents):
    session = world.session()
    folder = package()
    register_from_store(session, "credit-risk", _left_by_a_job(session, contents(folder)))
    register(session, "credit-risk", folder)
    assert world.place().versions == ["credit-risk:1"]


def test_a_jobs_output_damaged_in_the_store_is_found_and_nothing_is_registered(world, package, contents):
    session = world.session()
    prefix = _left_by_a_job(session, {**contents(package()), "model.txt": b"tree\ndamaged"})
    with pytest.raises(IntegrityError):
        register_from_store(session, "credit-risk", prefix)
    assert world.place().versions == []
    assert not any(key.startswith("kit/complete/models/") for key in world.place().objects)


def test_an_output_that_lacks_a_file_is_found(world, package, contents):
    session = world.session()
    files = contents(package())
    del files["model.txt"]
    with pytest.raises(IntegrityError, match="gone"):
        register_from_store(session, "credit-risk", _left_by_a_job(session, files))


def test_an_output_of_another_tool_is_registered(world):
    session = world.session()
    version = register_from_store(session, "credit-risk", _left_by_a_job(session, {"model.txt": b"tree\nx"}))
    assert version.name == "credit-risk:1"


def test_an_archive_as_sagemaker_leaves_it_is_registered(world, package, contents):
    session = world.session()
    packed = io.BytesIO()
    folder = package()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in contents(folder):
            archive.add(folder / name, arcname=name)
    key = "jobs/ab/1/output/model.tar.gz"
    session.client.store().put(key, packed.getvalue())
    as_file = register_from_store(session, "credit-risk", Artefact(session.client.store().uri(key)))
    as_folder = register_from_store(session, "credit-risk", "jobs/ab/1/output")
    assert as_file.digest == as_folder.digest == Manifest.read(folder).digest


def test_an_archive_that_reaches_out_is_refused(world):
    session = world.session()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../evil")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    session.client.store().put("jobs/ab/1/output/model.tar.gz", packed.getvalue())
    with pytest.raises(IntegrityError):
        register_from_store(session, "credit-risk", "jobs/ab/1/output")
    assert world.place().versions == []


def test_nothing_at_the_jobs_address_is_not_found(world):
    with pytest.raises(NotFound):
        register_from_store(world.session(), "credit-risk", "jobs/ab/1/model")


def test_two_people_at_once_make_one_version(world, package):
    """The second finds the first at work on the model, waits, and finds the version there."""
    folder = package()
    first, second = world.session(), world.session(machine="elsewhere", who="bob")
    registered = []
    real = first.adapter.models.next_step
    began = []

    def interleave(registration, replies, environment):
        if not began:
            began.append(True)
            world.clock.sleep(0)
            with pytest.raises(Conflict):
                _impatiently(second, folder)
        return real(registration, replies, environment)

    first.adapter.models.next_step = interleave
    registered.append(register(first, "credit-risk", folder))
    registered.append(register(second, "credit-risk", folder))
    assert world.place().versions == ["credit-risk:1"]
    assert {version.name for version in registered} == {"credit-risk:1"}


def _impatiently(session, folder):
    from mlinfra.engine import marks  # noqa: PLC0415  only this test shortens the patience

    patience, marks.PATIENCE = marks.PATIENCE, 10.0
    try:
        register(session, "credit-risk", folder)
    finally:
        marks.PATIENCE = patience


def test_verify_finds_a_flipped_byte_and_the_next_registration_mends_it(world, package):
    folder = package()
    session = world.session()
    version = register(session, "credit-risk", folder)
    assert verify(session, "credit-risk:1").name == version.name
    key = next(key for key in world.place().objects if key.endswith("model.txt"))
    healthy = world.place().objects[key].content
    world.place().objects[key].content = healthy.replace(b"weights", b"wEights")
    with pytest.raises(IntegrityError):
        verify(session, "credit-risk:1")
    register(session, "credit-risk", folder)
    assert verify(session, "credit-risk:1").name == version.name


def test_a_swapped_package_at_a_versions_address_is_refused(world, package, tmp_path):
    session = world.session()
    one = register(session, "credit-risk", package("one"))
    two = register(session, "credit-risk", package("two", b"other"))
    here, there = (session.client.store().key(version.artefact.uri) for version in (one, two))
    objects = world.place().objects
    for key in [key for key in objects if key.startswith(f"{there}/")]:
        objects[key.replace(there, here)] = objects[key]
    objects[f"kit/complete/{here}.json"] = objects[f"kit/complete/{there}.json"]
    for check in (lambda: verify(session, one.name), lambda: download(session, one.name, tmp_path / "back")):
        with pytest.raises(IntegrityError):
            check()
    assert show(session, one.name).manifest is None
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("forged", ["package", "file"])
def test_a_listing_forged_to_fit_the_digest_does_not_hide_other_bytes(world, package, tmp_path, forged):
    session = world.session()
    version = register(session, "credit-risk", package("one"))
    prefix = session.client.store().key(version.artefact.uri)
    objects = world.place().objects
    files = {"model.txt": b"tree\nwEights", MANIFEST_NAME: objects[f"{prefix}/{MANIFEST_NAME}"].content}
    if forged == "package":
        files = {path.name: path.read_bytes() for path in package("two", b"wEights").iterdir()}
    for name, content in files.items():
        objects[f"{prefix}/{name}"].content = content
    entries = {name: Entry(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}
    objects[f"kit/complete/{prefix}.json"].content = Listing(version.digest, entries).dumps()
    with pytest.raises(IntegrityError):
        download(session, version.name, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_version_of_another_tool_is_shown_and_not_read(world, tmp_path):
    world.place().registry.answer(
        "create",
        {
            "model": "foreign",
            "digest": "",
            "uri": "mem://else/x",
            "owner": "",
            "lineage": {},
            "metrics": {},
            "tags": {},
        },
    )
    shown = show(world.session(), "foreign:1")
    assert shown.manifest is None
    assert "another tool" in shown.problem
    with pytest.raises(CapabilityError, match="another tool"):
        download(world.session(), "foreign:1", tmp_path / "back")


def test_show_tells_manifest_standing_and_address(world, package):
    session = world.session()
    register(session, "credit-risk", package(requirements=("numpy",)))
    shown = show(session, "credit-risk")
    assert shown.handle == "dev/model/credit-risk:1"
    assert shown.manifest.requirements == ("numpy",)
    assert shown.console_url.endswith("credit-risk:1")
    assert not shown.standing.approved


def test_resolving_by_handle_digest_alias_and_bare_name(world, package):
    session = world.session()
    one = register(session, "credit-risk", package("one"))
    assert resolve(session, "credit-risk").name == "credit-risk:1"
    two = register(session, "credit-risk", package("two", b"other"))
    assert resolve(session, "dev/model/credit-risk:1").name == one.name
    assert resolve(session, f"credit-risk@{two.digest[:19]}").name == two.name
    with pytest.raises(UsageError, match="several versions") as caught:
        resolve(session, "credit-risk")
    assert "credit-risk:1" in caught.value.allowed
    with pytest.raises(UsageError, match="handle"):
        resolve(session, "prod/model/credit-risk:1")


def test_what_is_not_there_is_answered_with_what_is(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    with pytest.raises(NotFound) as caught:
        resolve(session, "credit-risk:7")
    assert "credit-risk:1" in caught.value.allowed
    with pytest.raises(NotFound) as caught:
        resolve(session, "kredit-risk:7")
    assert "credit-risk" in caught.value.allowed


def test_the_deadline_of_a_registry_that_never_shows_the_version_ends_the_waiting(world, package):
    world.place().registry.lag = 10 * models.DEADLINE
    with pytest.raises(TemporaryError, match="run the same command again"):
        register(world.session(), "credit-risk", package())
