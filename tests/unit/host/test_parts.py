"""What the host's processes are made of: process table, laziness, tables that several processes share."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from mlinfra.errors import Denied
from mlinfra.host import Host, processes


def test_a_process_is_known_by_more_than_its_number():
    child = subprocess.Popen(["/bin/sleep", "60"])
    mark = processes.mark(child.pid)
    assert processes.is_alive(child.pid, mark)
    assert not processes.is_alive(child.pid, f"{mark}0")
    assert not processes.is_alive(os.getpid(), mark)
    child.kill()
    child.wait()
    assert not processes.is_alive(child.pid, mark)
    assert not processes.is_alive(None, mark)
    assert not processes.is_alive(child.pid, None)


def test_a_zombie_is_dead():
    child = subprocess.Popen(["/bin/true"])
    deadline = time.monotonic() + 10
    while processes.look(child.pid).state != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes.mark(child.pid) == ""
    child.wait()


def test_a_process_of_an_earlier_boot_is_dead_and_one_of_another_namespace_is_not():
    own = processes.mark(os.getpid())
    boot, namespace, started = own.split(" ")
    assert not processes.is_alive(os.getpid(), f"another-boot {namespace} {started}")
    assert processes.is_alive(os.getpid(), f"{boot} pid:[1] {started}")


def test_names_with_blanks_and_brackets_do_not_confuse_the_process_table(tmp_path):
    program = tmp_path / "a) Z 1 ("
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "60"])
    try:
        found = processes.look(child.pid)
        assert (found.pid, found.parent) == (child.pid, os.getpid())
        assert child.pid in processes.descendants(os.getpid())
    finally:
        child.kill()
        child.wait()


def test_work_below_a_piece_of_work_belongs_to_it():
    children = {
        name: subprocess.Popen(["/bin/sleep", "60"], env={processes.WORK: name})
        for name in ("/r/jobs/a", "/r/jobs/a/b", "/r/jobs/ab")
    }
    try:
        found = set(processes.belonging("/r/jobs/a"))
        assert {children["/r/jobs/a"].pid, children["/r/jobs/a/b"].pid} <= found
        assert children["/r/jobs/ab"].pid not in found
    finally:
        for child in children.values():
            child.kill()
            child.wait()


def test_a_detached_process_is_nobodys_child(tmp_path):
    line = 'echo "$PPID $MLINFRA_HOST_WORK ${SECRET-unset}"; pwd'
    processes.spawn_detached(
        ["/bin/sh", "-c", line], work="/r/w", output=tmp_path / "out", environment={"PATH": os.defpath}
    )
    deadline = time.monotonic() + 10
    while len((tmp_path / "out").read_text().splitlines()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    first, folder = (tmp_path / "out").read_text().splitlines()
    parent, work, secret = first.split()
    assert int(parent) != os.getpid()
    assert (work, secret, folder) == ("/r/w", "unset", "/")


LOADED = """
import sys
import mlinfra.host
{line}
heavy = {{"pydantic", "httptools", "uvloop", "numpy", "asyncio", "mlinfra.package", "mlinfra.spec"}}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("line", ["", "import mlinfra.host.supervisor"])
def test_what_every_job_pays_for_imports_little(line):
    code = LOADED.format(line=line)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_many_threads_may_use_one_host(host):
    failures = []

    def work(number):
        try:
            for turn in range(10):
                host.call("CreateModelVersion", _version(f"m{number}", turn))
                host.call("ListModels")
        except Exception as exc:  # noqa: BLE001  told below
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {model["newest"] for model in host.call("ListModels")["models"]} == {10}


def _version(model, number):
    return {"model": model, "digest": f"sha256:{number:064x}", "artifact": {}}


def test_a_host_that_was_closed_opens_again(host):
    host.call("CreateModelVersion", _version("m", 1))
    host.close()
    assert len(host.call("ListModels")["models"]) == 1


def test_the_folder_is_its_owners_alone(host):
    host.objects("b").put("k", b"x")
    for path in (host.root, host.root / "host.db", host.root / "objects.db"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(Denied):
        Host(blocked)
    with pytest.raises(Denied):
        Host(blocked / "below")


OPEN_AND_WRITE = """
import sys
from pathlib import Path
from mlinfra.host import Host
with Host(Path(sys.argv[1])) as host:
    host.call("CreateModelVersion", {"model": "other", "digest": f"sha256:{int(sys.argv[2]):064x}", "artifact": {}})
"""


@pytest.mark.thorough
def test_another_host_object_in_this_process_takes_no_locks_away(host):
    """Closing any descriptor of a database drops every lock that its process holds on it, and then data is lost."""
    for number in range(3):
        host.call("CreateModelVersion", _version("m", number))
        Host(host.root).close()
        subprocess.run([sys.executable, "-c", OPEN_AND_WRITE, str(host.root), str(number)], check=True)
    models = {model["model"]: model["versions"] for model in host.call("ListModels")["models"]}
    assert models == {"m": 3, "other": 3}
    assert host._database.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
