"""Moving bytes: once, whole, verified."""

from __future__ import annotations

import errno
import os

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.engine import transfer
from mlinfra.engine.listing import Listing
from mlinfra.engine.transfer import download_tree, read_listing, upload_file, upload_tree
from mlinfra.errors import CapacityUnavailable, Conflict, IntegrityError, NotFound, SpecError, WrongAccount
from mlinfra.package import tree_digest


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    (root / "deep" / "er").mkdir(parents=True)
    for name, content in {"a.csv": b"1,2\n", "deep/b.bin": bytes(range(256)), "deep/er/c": b""}.items():
        (root / name).write_bytes(content)
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    return root


def send(session, folder):
    digest = tree_digest(folder).digest
    return upload_tree(session, folder, f"inputs/{digest.removeprefix('sha256:')}", digest)


def test_a_folder_comes_back_as_it_was(world, folder, contents, tmp_path):
    session = world.session()
    artefact = send(session, folder)
    download_tree(session, artefact, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)
    assert tree_digest(tmp_path / "back").digest == artefact.digest == tree_digest(folder).digest
    assert os.access(tmp_path / "back" / "run.sh", os.X_OK)
    assert artefact.is_folder
    assert artefact.size == sum(map(len, contents(folder).values()))


def test_only_the_files_themselves_lie_below_the_prefix(world, folder, contents):
    session = world.session()
    prefix = session.client.store().key(send(session, folder).uri)
    below = {key.removeprefix(f"{prefix}/") for key in world.place().objects if key.startswith(prefix)}
    assert below == set(contents(folder))


def test_what_is_there_is_not_sent_again_by_this_machine_nor_by_another(world, folder, faults):
    send(world.session(), folder)
    same, other = faults(), faults()
    send(world.session(faults=same), folder)
    assert same.calls == []
    send(world.session(faults=other, machine="elsewhere"), folder)
    assert other.count("put") == 0


def test_what_this_machine_knows_is_forgotten_after_an_hour(world, folder, faults):
    send(world.session(), folder)
    world.clock.sleep(3601)
    world.place().objects.clear()
    again = faults()
    send(world.session(faults=again), folder)
    assert again.count("put") == 5


def test_a_missing_object_is_noticed_when_used_and_sent_again_by_the_next_upload(world, folder, tmp_path):
    session = world.session()
    artefact = send(session, folder)
    lost = next(key for key in world.place().objects if key.endswith("deep/b.bin"))
    del world.place().objects[lost]
    with pytest.raises(IntegrityError, match="gone from the store"):
        download_tree(session, artefact, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    send(world.session(), folder)
    download_tree(session, artefact, tmp_path / "back")


@pytest.mark.parametrize("lists_tell", [True, False])
def test_a_damaged_object_is_refused_and_replaced_by_the_next_upload(world, folder, tmp_path, contents, lists_tell):
    world.place().metadata_in_lists = lists_tell
    session = world.session()
    artefact = send(session, folder)
    key = next(key for key in world.place().objects if key.endswith("a.csv"))
    world.place().objects[key].content = b"1,3\n"
    with pytest.raises(IntegrityError, match="not what was sent there"):
        download_tree(session, artefact, tmp_path / "back")
    assert list(tmp_path.glob("*back*")) == []
    send(world.session(), folder)
    download_tree(session, artefact, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


def test_a_store_that_keeps_something_else_is_an_error_and_nothing_counts_as_complete(world, folder):
    world.place().bucket().damage = lambda key, content: content + b"!" if key.endswith(".csv") else content
    with pytest.raises(IntegrityError, match="something else than was sent"):
        send(world.session(), folder)
    assert not any(key.startswith(transfer.COMPLETE) for key in world.place().objects)
    assert not any(key.endswith(".csv") for key in world.place().objects)


def test_an_upload_killed_at_any_call_goes_on_where_it_stood(world, folder, survive, contents, tmp_path):
    number = iter(range(1000))

    def prepare():
        name = f"dev-{next(number)}"

        def judge(case):
            session = world.session(name, machine="judge")
            target = tmp_path / "judged" / name
            artefact = send(session, folder)
            assert contents(download_tree(session, artefact, target)) == contents(folder), case

        return lambda faults: send(world.session(name, faults=faults), folder), judge

    survive(prepare)


def test_what_arrived_before_a_kill_is_not_sent_again(world, tmp_path, faults, killed):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(40):
        (folder / f"{index}.bin").write_bytes(bytes([index]))
    first, second = faults(), faults()
    first.kill_at = 33
    with pytest.raises(killed):
        send(world.session(faults=first), folder)
    arrived = len(world.place().objects)
    send(world.session(faults=second), folder)
    assert arrived >= 25
    assert second.count("put") == 40 - arrived + 1  # and the listing


@pytest.mark.parametrize("lists_tell", [True, False])
def test_other_bytes_of_the_same_size_that_lie_there_are_replaced(world, folder, contents, tmp_path, lists_tell):
    world.place().metadata_in_lists = lists_tell
    session = world.session()
    prefix = f"inputs/{tree_digest(folder).digest.removeprefix('sha256:')}"
    session.client.store().put(f"{prefix}/a.csv", b"9,9\n", metadata={"sha256": "0" * 64})
    session.client.store().put(f"{prefix}/run.sh", b"#!/bin/xx\n")
    artefact = send(session, folder)
    assert contents(download_tree(session, artefact, tmp_path / "back")) == contents(folder)


def test_a_lost_answer_costs_one_more_sending_and_nothing_else(world, folder, faults, tmp_path, contents):
    lossy = faults()
    lossy.lose.append(lambda place, operation: operation == "put" and place.endswith("a.csv"))
    artefact = send(world.session(faults=lossy), folder)
    assert contents(download_tree(world.session(), artefact, tmp_path / "back")) == contents(folder)


def test_a_single_file_is_one_object(world, tmp_path, sha256, contents):
    path = tmp_path / "credit.csv"
    path.write_bytes(b"age\n30\n")
    session = world.session()
    artefact = upload_tree(session, path, "inputs/ab", tree_digest(path).digest)
    assert artefact == Artefact("mem://dev-artefacts/inputs/ab/credit.csv", sha256(b"age\n30\n"), 7)
    assert list(world.place().objects) == ["inputs/ab/credit.csv"]
    assert contents(download_tree(session, artefact, tmp_path / "back")) == {"credit.csv": b"age\n30\n"}


def test_a_file_is_sent_once_and_its_loss_is_mended(world, tmp_path, sha256, faults):
    path = tmp_path / "bundle.pyz"
    path.write_bytes(b"code")
    first, second, third = faults(), faults(), faults()
    upload_file(world.session(faults=first), path, "code/ab.pyz", sha256(b"code"))
    upload_file(world.session(faults=second), path, "code/ab.pyz", sha256(b"code"))
    assert (first.count("put"), second.calls) == (1, [])
    world.place().objects.clear()
    session = world.session(faults=third)
    with pytest.raises(NotFound):
        download_tree(session, Artefact("mem://dev-artefacts/code/ab.pyz", sha256(b"code")), tmp_path / "back")
    upload_file(session, path, "code/ab.pyz", sha256(b"code"))
    assert third.count("put") == 1


def test_a_file_that_is_not_what_its_digest_says_is_not_sent(world, tmp_path, sha256):
    path = tmp_path / "bundle.pyz"
    path.write_bytes(b"code")
    with pytest.raises(Conflict):
        upload_file(world.session(), path, "code/ab.pyz", sha256(b"other"))
    assert world.place().objects == {}


def test_a_folder_that_changed_since_it_was_named_is_not_sent(world, folder):
    digest = tree_digest(folder).digest
    (folder / "a.csv").write_bytes(b"9,9\n")
    with pytest.raises(Conflict, match="changed"):
        upload_tree(world.session(), folder, "inputs/ab", digest)
    assert world.place().objects == {}


def test_a_file_that_changes_while_it_is_sent_leaves_no_object(world, folder):
    def grow(key, content):
        if key.endswith("a.csv"):
            (folder / "a.csv").write_bytes(b"changed while it was sent")
        return content

    world.place().bucket().damage = grow
    with pytest.raises(Conflict, match="changed"):
        send(world.session(), folder)
    assert not any(key.endswith("a.csv") for key in world.place().objects)


def test_nothing_is_sent_to_another_account(world, folder):
    world.place().account = "43"
    with pytest.raises(WrongAccount):
        send(world.session(), folder)
    assert world.place().objects == {}


def test_an_empty_folder_is_refused(world, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="no file"):
        upload_tree(world.session(), tmp_path / "empty", "inputs/ab", tree_digest(tmp_path / "empty").digest)


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_of_a_download(world, folder, tmp_path, monkeypatch, fault):
    session = world.session()
    artefact = send(session, folder)
    store = type(session.client.store())
    real = store.download

    def fill(self, key, target):
        if key.endswith("b.bin"):
            target.write_bytes(b"half")
            raise OSError(fault, os.strerror(fault), str(target))
        real(self, key, target)

    monkeypatch.setattr(store, "download", fill)
    (tmp_path / "into").mkdir()
    with pytest.raises(CapacityUnavailable):
        download_tree(session, artefact, tmp_path / "into" / "back")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(world, folder, tmp_path, contents):
    artefact = send(world.session(), folder)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "mine.txt").write_text("mine")
    with pytest.raises(Conflict, match="holds something"):
        download_tree(world.session(), artefact, tmp_path / "back")
    assert contents(tmp_path / "back") == {"mine.txt": b"mine"}


def test_an_empty_folder_is_filled(world, folder, tmp_path, contents):
    artefact = send(world.session(), folder)
    (tmp_path / "back").mkdir()
    assert contents(download_tree(world.session(), artefact, tmp_path / "back")) == contents(folder)


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", ""])
def test_a_listing_that_leads_out_of_its_folder_is_refused(world, folder, tmp_path, path):
    session = world.session()
    artefact = send(session, folder)
    key = next(key for key in world.place().objects if key.startswith(transfer.COMPLETE))
    listing = Listing.loads(world.place().objects[key].content, origin="test")
    forged = Listing(listing.digest, {path: listing.files["a.csv"]})
    world.place().objects[key].content = forged.dumps()
    with pytest.raises(IntegrityError, match="out of its folder"):
        download_tree(session, artefact, tmp_path / "into" / "back")
    assert not (tmp_path / "into").exists() or list((tmp_path / "into").iterdir()) == []


def test_keys_of_a_strange_bucket_cannot_leave_the_folder(world, tmp_path):
    session = world.session()
    session.client.store().put("jobs/1/1/model/../../../evil", b"x")
    with pytest.raises(IntegrityError, match="out of its folder"):
        download_tree(session, "jobs/1/1/model", tmp_path / "back")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"digest": 1}', b'{"digest": "x", "files": {"a": 3}}'])
def test_a_torn_listing_is_an_error_to_readers_and_mended_by_senders(world, folder, tmp_path, content):
    session = world.session()
    artefact = send(session, folder)
    key = next(key for key in world.place().objects if key.startswith(transfer.COMPLETE))
    world.place().objects[key].content = content
    with pytest.raises(IntegrityError, match="not readable"):
        download_tree(session, artefact, tmp_path / "back")
    send(world.session(machine="elsewhere"), folder)
    download_tree(session, artefact, tmp_path / "back")


def test_another_tree_at_the_address_is_refused(world, folder, tmp_path, sha256):
    session = world.session()
    artefact = send(session, folder)
    wanted = Artefact(artefact.uri, sha256(b"another"), is_folder=True)
    with pytest.raises(IntegrityError, match="another tree"):
        download_tree(session, wanted, tmp_path / "back")


def test_what_a_job_wrote_is_compared_with_its_digest(world, tmp_path, folder):
    session = world.session()
    (folder / "run.sh").chmod(0o644)
    for path in folder.rglob("*"):
        if path.is_file():
            session.client.store().put(f"jobs/1/1/report/{path.relative_to(folder).as_posix()}", path)
    uri = session.client.store().uri("jobs/1/1/report")
    download_tree(session, Artefact(uri, tree_digest(folder).digest, is_folder=True), tmp_path / "right")
    session.client.store().put("jobs/1/1/report/a.csv", b"changed")
    with pytest.raises(IntegrityError, match="bytes that were written"):
        download_tree(session, Artefact(uri, tree_digest(folder).digest, is_folder=True), tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


def test_files_that_cannot_lie_beside_each_other_are_refused(world, tmp_path):
    session = world.session()
    session.client.store().put("jobs/1/1/out/a", b"x")
    session.client.store().put("jobs/1/1/out/a/b", b"x")
    with pytest.raises(IntegrityError, match="another one's folder"):
        download_tree(session, "jobs/1/1/out", tmp_path / "back")


def test_nothing_at_an_address_is_not_found(world, tmp_path):
    with pytest.raises(NotFound):
        download_tree(world.session(), "jobs/1/1/model", tmp_path / "back")


def test_long_work_says_how_far_it_got(world, tmp_path, monkeypatch):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(20):
        (folder / f"{index}.bin").write_bytes(b"x" * 1000)
    world.place().bucket().damage = lambda _key, content: world.clock.sleep(1) or content
    send(world.session(), folder)
    assert world.heard("of 20 files")


def test_a_listing_is_known_by_the_digest_of_its_tree(world, folder):
    session = world.session()
    artefact = send(session, folder)
    listing = read_listing(session, session.client.store().key(artefact.uri))
    assert listing.digest == artefact.digest
    assert listing.files["run.sh"].executable
