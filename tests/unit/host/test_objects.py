from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlinfra.errors import CapacityUnavailable, Conflict, IntegrityError, NotFound, UsageError
from mlinfra.host import Host


@pytest.fixture
def store(host):
    return host.objects("artefacts")


def files(host):
    """Every file below the buckets' folder, by path."""
    return sorted(
        path.relative_to(host.root).as_posix() for path in (host.root / "buckets").rglob("*") if path.is_file()
    )


def test_what_is_put_is_got_and_told(store):
    info = store.put("models/a.bin", b"content", metadata={"mlinfra_id": "x"})
    assert store.get("models/a.bin") == b"content"
    assert store.head("models/a.bin") == info
    assert (info.size, dict(info.metadata)) == (7, {"mlinfra_id": "x"})
    assert info.sha256 == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert info.modified.utcoffset().total_seconds() == 0


def test_content_lies_in_a_file_by_its_key(store, host):
    store.put("models/a.bin", b"content")
    assert store.path("models/a.bin").read_bytes() == b"content"
    assert store.path("models/a.bin") == host.root / "buckets" / "artefacts" / "models" / "a.bin"


def test_files_and_streams_are_put_and_downloaded(store, tmp_path):
    content = os.urandom(3 << 20)
    source = tmp_path / "source"
    source.write_bytes(content)
    store.put("from-file", source)
    with source.open("rb") as stream:
        store.put("from-stream", stream)
    for key in ("from-file", "from-stream"):
        store.download(key, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == content


def test_a_consumed_file_becomes_the_object(store, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"content")
    number = source.stat().st_ino
    store.put("moved", source, consume=True)
    assert not source.exists()
    assert store.path("moved").stat().st_ino == number
    assert store.get("moved") == b"content"


def test_a_folder_is_adopted_file_by_file(store, tmp_path):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "a").write_text("1")
    (tmp_path / "out" / "deep" / "b").write_text("2")
    adopted = store.adopt(tmp_path / "out", "runs/1")
    assert [info.key for info in adopted] == ["runs/1/a", "runs/1/deep/b"]
    assert store.get("runs/1/deep/b") == b"2"
    assert [info.key for info in store.adopt(tmp_path / "out", "runs/1")] == []


def test_an_object_that_is_not_there(store, tmp_path):
    assert store.head("nothing") is None
    for reading in (store.get, store.open, lambda key: store.download(key, tmp_path / "target")):
        with pytest.raises(NotFound):
            reading("nothing")
    store.delete("nothing")


def test_every_write_has_an_etag_of_its_own(store):
    assert store.put("a", b"same").etag != store.put("a", b"same").etag


def test_if_absent_writes_only_where_nothing_is(store):
    store.put("a", b"first", if_absent=True)
    with pytest.raises(Conflict):
        store.put("a", b"second", if_absent=True)
    assert store.get("a") == b"first"
    store.delete("a")
    store.put("a", b"third", if_absent=True)
    assert store.get("a") == b"third"


def test_if_match_writes_only_over_what_was_read(store):
    read = store.put("a", b"first")
    second = store.put("a", b"second", if_match=read.etag)
    for etag in (read.etag, "made-up"):
        with pytest.raises(Conflict):
            store.put("a", b"third", if_match=etag)
        with pytest.raises(Conflict):
            store.delete("a", if_match=etag)
    with pytest.raises(Conflict):
        store.put("absent", b"x", if_match=second.etag)
    assert store.get("a") == b"second"
    store.delete("a", if_match=second.etag)
    assert store.head("a") is None


def test_a_refused_write_leaves_nothing_behind(store, host):
    store.put("a", b"first")
    before = files(host)
    with pytest.raises(Conflict):
        store.put("a", b"second", if_absent=True)
    assert files(host) == before


def test_deleting_is_complete(store, host):
    store.put("deep/er/a", b"content")
    store.put("deep/b", b"content")
    store.delete("deep/er/a")
    assert files(host) == ["buckets/artefacts/deep/b"]
    assert not (host.root / "buckets/artefacts/deep/er").exists()
    store.delete("deep/b")
    assert files(host) == []
    assert store.list().objects == ()


def test_a_key_cannot_lie_across_another(store):
    store.put("a/b", b"x")
    for key in ("a", "a/b/c"):
        with pytest.raises(Conflict):
            store.put(key, b"y")
    store.put("a/bc", b"z")
    store.put("a-", b"z")


def test_a_copy_is_verified_and_keeps_its_words(store, host):
    store.put("a", b"content", metadata={"k": "v"})
    other = host.objects("other")
    copied = store.copy("a", "b", to=other)
    assert (other.get("b"), dict(copied.metadata)) == (b"content", {"k": "v"})
    assert dict(store.copy("a", "c", metadata={}).metadata) == {}
    with pytest.raises(Conflict):
        store.copy("a", "b", to=other, if_absent=True)
    with pytest.raises(NotFound):
        store.copy("nothing", "d")
    store.path("a").write_bytes(b"cOntent")
    with pytest.raises(IntegrityError):
        store.copy("a", "d")
    assert store.head("d") is None


@pytest.mark.parametrize("damage", [b"cOntent", b"short", b"content and more"])
def test_a_corrupted_object_is_an_error_and_not_an_answer(store, tmp_path, damage):
    store.put("a", b"content")
    store.path("a").write_bytes(damage)
    with pytest.raises(IntegrityError):
        store.get("a")
    with pytest.raises(IntegrityError):
        store.download("a", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_lost_content_is_an_error_and_not_an_absence(store):
    store.put("a", b"content")
    store.path("a").unlink()
    with pytest.raises(IntegrityError):
        store.get("a")
    store.put("a", b"again")
    assert store.get("a") == b"again"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../../b",
        "a/./b",
        "a//b",
        "a/",
        ".",
        "..",
        "a\x00b",
        "a\nb",
        "x" * 256,
        "y/" * 600 + "z",
        "\ud800",
    ],
)
def test_keys_that_lead_astray_are_refused(store, host, key):
    for operation in (
        lambda: store.put(key, b"x"),
        lambda: store.get(key),
        lambda: store.head(key),
        lambda: store.delete(key),
    ):
        with pytest.raises(UsageError):
            operation()
    assert files(host) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", ".staging", "x" * 64, "a\n"])
def test_bucket_names_that_lead_astray_are_refused(host, name):
    with pytest.raises(UsageError):
        host.objects(name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(min_size=1, max_size=40))
def test_any_text_is_a_key_or_refused(host, key):
    store = host.objects("any")
    try:
        store.put(key, key.encode())
    except (UsageError, Conflict):
        return
    assert store.get(key) == key.encode()
    assert store.path(key).resolve().is_relative_to((host.root / "buckets" / "any").resolve())
    store.delete(key)
    assert store.list().objects == ()


def test_buckets_are_listed_and_deleted_when_empty(host):
    assert host.buckets() == []
    host.objects("b").put("x", b"")
    host.objects("a").put("x", b"")
    assert host.buckets() == ["a", "b"]
    with pytest.raises(Conflict):
        host.delete_bucket("a")
    host.objects("a").delete("x")
    host.delete_bucket("a")
    host.delete_bucket("a")
    assert host.buckets() == ["b"]


def test_a_long_list_comes_page_by_page_quickly(host, store):
    store.put("seed", b"x")
    row = dict(host._objects_database.connection.execute("SELECT * FROM objects").fetchone())
    rows = [{**row, "key": f"runs/{n:05d}/model"} for n in range(5000)]
    with host._objects_database.write() as connection:
        connection.executemany(
            "INSERT INTO objects VALUES (:bucket, :key, :state, :staged, :size, :sha256, :etag, :modified, :metadata)",
            rows,
        )
    started = time.process_time()
    keys, token = [], None
    while True:
        page = store.list("runs/", page_size=700, page_token=token)
        keys += [info.key for info in page.objects]
        token = page.next_token
        if token is None:
            break
    assert keys == [row["key"] for row in rows]
    assert [info.key for info in store.list("runs/0012").objects] == [f"runs/{n:05d}/model" for n in range(120, 130)]
    assert store.list("absent").objects == ()
    assert time.process_time() - started < 10
    made_up = "!"
    with pytest.raises(UsageError):
        store.list("", page_token=made_up)


SWAP = """
import json, sys
from pathlib import Path
from mlinfra.errors import Conflict
from mlinfra.host import Host
store = Host(Path(sys.argv[1])).objects("artefacts")
sys.stdin.read(1)
won = 0
while won < 40:
    info = store.head("counter")
    value = json.loads(store.get("counter"))
    try:
        store.put("counter", json.dumps(value + 1).encode(), if_match=info.etag)
    except Conflict:
        continue
    won += 1
"""


@pytest.mark.thorough
def test_of_processes_that_compare_and_swap_none_loses_an_update(host, store):
    store.put("counter", b"0")
    command = [sys.executable, "-c", SWAP, str(host.root)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(3)]
    for racer in racers:
        racer.communicate(b"x")
    assert {racer.returncode for racer in racers} == {0}
    assert json.loads(store.get("counter")) == 120


READ = """
import sys
from pathlib import Path
from mlinfra.host import Host
store = Host(Path(sys.argv[1])).objects("artefacts")
print("ready", flush=True)
while True:
    content = store.get("busy")
    assert len(set(content)) == 1, content[:10]
"""


@pytest.mark.thorough
def test_a_reader_beside_a_writer_sees_whole_objects(host, store):
    store.put("busy", b"0" * 5000)
    reader = subprocess.Popen(
        [sys.executable, "-c", READ, str(host.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    reader.stdout.readline()
    for number in range(300):
        store.put("busy", str(number % 10).encode() * (1000 + number))
    assert reader.poll() is None, reader.stderr.read().decode()
    reader.kill()
    reader.communicate()


WRITE = """
import sys
from pathlib import Path
from mlinfra.host import Host
store = Host(Path(sys.argv[1])).objects("artefacts")
number = 0
while True:
    number += 1
    store.put(f"deep/{number % 3}", str(number % 10).encode() * 4000)
    print(number, flush=True)
    if number % 5 == 0:
        store.delete("deep/1")
"""


@pytest.mark.thorough
def test_a_writer_killed_at_any_moment_leaves_whole_objects_and_nothing_else(host, store):
    for round_ in range(25):
        writer = subprocess.Popen([sys.executable, "-c", WRITE, str(host.root)], stdout=subprocess.PIPE)
        for _ in range(3 + round_ % 4):
            writer.stdout.readline()
        time.sleep(0.0007 * round_)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        for info in store.list("deep/").objects:
            content = store.get(info.key)
            assert (len(content), len(set(content))) == (4000, 1)
        store.put("settle", b"x")
        placed = {path for path in files(host) if ".staging" not in path}
        assert placed == {f"buckets/artefacts/{info.key}" for info in store.list().objects}
    for path in (host.root / "buckets" / ".staging").iterdir():
        os.utime(path, (0, 0))
    store.put("settle", b"x")
    assert not list((host.root / "buckets" / ".staging").iterdir())


FULL = """
import resource, sys
from pathlib import Path
from mlinfra.errors import CapacityUnavailable
from mlinfra.host import Host
store = Host(Path(sys.argv[1])).objects("artefacts")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    store.put("a", bytes(1_000_000))
except CapacityUnavailable as exc:
    print(exc.exit_code)
"""


def test_a_full_disk_is_a_clear_error_and_the_old_object_is_intact(host, store):
    store.put("a", b"old")
    before = files(host)
    child = subprocess.run([sys.executable, "-c", FULL, str(host.root)], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "75", child.stderr
    assert store.get("a") == b"old"
    assert files(host) == before


FULL_DATABASE = """
import resource, sys
from pathlib import Path
from mlinfra.errors import CapacityUnavailable
from mlinfra.host import Host
host = Host(Path(sys.argv[1]))
store = host.objects("artefacts")
store.head("a")
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
for operation in (
    lambda: store.put("a", b"new"),
    lambda: host.call("CreateJob", {"name": "job", "argv": ["true"]}),
):
    try:
        operation()
    except CapacityUnavailable as exc:
        print(exc.exit_code)
"""


def test_a_database_that_cannot_grow_is_a_clear_error_and_the_old_state_is_intact(host, store):
    store.put("a", b"old")
    child = subprocess.run(
        [sys.executable, "-c", FULL_DATABASE, str(host.root)], capture_output=True, text=True, check=True
    )
    assert child.stdout.split() == ["75", "75"], child.stderr
    assert store.get("a") == b"old"
    assert host.call("ListJobs")["jobs"] == []
    store.put("a", b"new")
    assert store.get("a") == b"new"


def test_a_folder_of_another_version_is_refused(root):
    with Host(root) as host, host._database.write() as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(IntegrityError):
        Host(root)


def test_a_damaged_database_is_a_clear_error(root):
    root.mkdir()
    (root / "host.db").write_bytes(b"this is no database" * 400)
    with pytest.raises(IntegrityError):
        Host(root)


def test_a_full_disk_is_temporary():
    assert CapacityUnavailable("x").exit_code == 75
