from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.errors import Conflict, SpecError
from mlinfra.package import build_bundle, bundle, ignore, kitfiles, listing, statcache, tree_digest

if TYPE_CHECKING:
    from collections.abc import Callable

FILES: dict[str, str | bytes] = {"train.py": "print('hello')\n", "lib/util.py": "x = 1\n", "lib/data.bin": b"\x00\xff"}


def names_in(packed: bundle.Bundle) -> list[str]:
    with zipfile.ZipFile(packed.path) as archive:
        return archive.namelist()


def code_in(packed: bundle.Bundle) -> set[str]:
    return {name.removeprefix("code/") for name in names_in(packed) if name.startswith("code/")}


def test_a_bundle_holds_the_code_the_runner_and_what_it_is(fill: Callable[..., Path], cache: Path) -> None:
    code = fill("code", FILES)
    packed = build_bundle(code, requirements_lock="numpy==2.0\n", cache=cache)
    assert code_in(packed) == set(FILES)
    assert {"__main__.py", "mlinfra/__init__.py", "mlinfra/errors.py", "mlinfra/runner/main.py"} <= set(
        names_in(packed)
    )
    with zipfile.ZipFile(packed.path) as archive:
        about = json.loads(archive.read("mlinfra-bundle.json"))
        assert archive.read("requirements.lock") == b"numpy==2.0\n"
        assert archive.read("code/lib/data.bin") == b"\x00\xff"
    assert about == {
        "version": 1,
        "code_digest": packed.code_digest,
        "files": 3,
        "requirements": "requirements.lock",
    }
    assert packed.code_digest == tree_digest(code).digest
    assert (packed.files, packed.size) == (3, packed.path.stat().st_size)
    assert packed.digest == tree_digest(packed.path).digest


def test_a_bundle_runs(fill: Callable[..., Path], cache: Path) -> None:
    packed = build_bundle(fill("code", FILES), cache=cache)
    done = subprocess.run([sys.executable, str(packed.path)], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no manifest" in done.stderr


def test_only_the_tables_files_of_the_kit_travel(fill: Callable[..., Path], cache: Path) -> None:
    kit = [name for name in names_in(build_bundle(fill("code", FILES), cache=cache)) if name.startswith("mlinfra/")]
    assert {name.split("/")[1] for name in kit} <= set(kitfiles.TRAVELS)
    assert all(name.endswith((".py", ".json")) for name in kit)


def test_same_content_gives_the_same_bytes_whatever_the_circumstances(
    fill: Callable[..., Path], tmp_path: Path
) -> None:
    first = build_bundle(fill("one", FILES), cache=tmp_path / "cache-1")
    fill("two", dict(reversed(FILES.items())))
    os.utime(tmp_path / "two/train.py", (10**9, 10**9))
    (tmp_path / "two/lib/util.py").chmod(0o600)
    (tmp_path / "two/empty").mkdir()
    program = (
        "import os, sys; os.umask(0o077); from pathlib import Path; from mlinfra.package import build_bundle;"
        "print(build_bundle(Path(sys.argv[1]), cache=Path(sys.argv[2])).digest)"
    )
    for number, locale in enumerate(("C", "C.UTF-8")):
        variables = {**os.environ, "LC_ALL": locale, "PYTHONHASHSEED": str(number), "TZ": "Asia/Tokyo"}
        command = [sys.executable, "-c", program, str(tmp_path / "two"), str(tmp_path / f"cache-2{number}")]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == first.digest


def test_times_and_modes_inside_are_fixed(fill: Callable[..., Path], cache: Path) -> None:
    code = fill("code", FILES)
    (code / "train.py").chmod(0o711)
    with zipfile.ZipFile(build_bundle(code, cache=cache).path) as archive:
        modes = {member.filename: stat.filemode(member.external_attr >> 16) for member in archive.infolist()}
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert modes["code/train.py"] == "-rwxr-xr-x"
    assert modes["code/lib/util.py"] == modes["mlinfra/errors.py"] == "-rw-r--r--"


def test_the_system_that_packs_leaves_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    here = bundle._member("a", executable=True)
    monkeypatch.setattr(sys, "platform", "win32")
    there = bundle._member("a", executable=True)
    assert (here.create_system, here.external_attr) == (there.create_system, there.external_attr)


def test_names_beyond_ascii_travel(fill: Callable[..., Path], cache: Path) -> None:
    assert code_in(build_bundle(fill("code", {"größe/模型.py": ""}), cache=cache)) == {"größe/模型.py"}


def test_unchanged_content_is_never_packed_again(
    fill: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = fill("code", FILES)
    first = build_bundle(code, cache=cache)
    monkeypatch.setattr(bundle, "_pack", lambda *_: pytest.fail("packed again"))
    assert build_bundle(code, cache=cache) == first
    moved = shutil.copytree(code, code.parent / "elsewhere")
    assert build_bundle(moved, cache=cache) == first


def test_code_and_bundle_digests_tell_code_and_requirements_apart(fill: Callable[..., Path], cache: Path) -> None:
    code = fill("code", FILES)
    none, empty, some = (build_bundle(code, requirements_lock=lock, cache=cache) for lock in (None, "", "six==1\n"))
    assert len({none.digest, empty.digest, some.digest}) == 3
    assert len({none.code_digest, empty.code_digest, some.code_digest}) == 1
    (code / "train.py").write_text("other")
    assert build_bundle(code, cache=cache).code_digest != none.code_digest


@pytest.mark.parametrize("harm", [b"", b"PK\x05\x06", b"other"])
def test_a_bundle_that_somebody_touched_is_packed_again(fill: Callable[..., Path], cache: Path, harm: bytes) -> None:
    code = fill("code", FILES)
    first = build_bundle(code, cache=cache)
    first.path.write_bytes(harm)
    assert build_bundle(code, cache=cache) == first
    assert tree_digest(first.path).digest == first.digest


def test_old_bundles_are_forgotten(fill: Callable[..., Path], cache: Path) -> None:
    old = build_bundle(fill("code", FILES), cache=cache)
    os.utime(old.path, (1, 1))
    build_bundle(fill("code", {"new.py": ""}), cache=cache)
    assert not old.path.exists()


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.production",
        ".ENV",
        "gha-creds-0123456789abcdef.json",
        "server.pem",
        "tls.key",
        "id_rsa",
        "id_ed25519.pub",
        "credentials.json",
        "credentials-prod.json",
        "gcp_credentials.json",
        "client_secret_1.apps.json",
        "service-account.json",
        ".netrc",
        ".git-credentials",
        ".pypirc",
        "kubeconfig",
        "terraform.tfstate.backup",
        ".aws/config",
        ".ssh/known_hosts",
        "deep/er/.env",
        "KEYS/Server.PEM",
    ],
)
def test_secrets_stay_at_home_and_are_named(fill: Callable[..., Path], cache: Path, name: str) -> None:
    code = fill("code", {**FILES, name: "a secret", ".mlinfraignore": f"!{name}\n"})
    assert code_in(build_bundle(code, cache=cache)) == {*FILES, ".mlinfraignore"}
    (withheld,) = bundle.select(code).withheld
    assert name.startswith(withheld)


@pytest.mark.parametrize("name", ["environment.py", "keys.py", "pem.txt", "my_env", "credential_model.py", "envs/a.py"])
def test_names_that_only_resemble_secrets_travel(fill: Callable[..., Path], name: str) -> None:
    assert name in dict(listing(fill("code", {**FILES, name: ""})))


@pytest.mark.parametrize(
    "name",
    [
        ".git/HEAD",
        ".mlinfra/state.sqlite",
        ".venv/bin/activate",
        "lib/__pycache__/util.cpython-311.pyc",
        ".pytest_cache/x",
        ".ipynb_checkpoints/x.ipynb",
        "my-environment/pyvenv.cfg",
    ],
)
def test_clutter_stays_at_home(fill: Callable[..., Path], name: str) -> None:
    code = fill("code", {**FILES, name: "x"})
    assert set(dict(listing(code))) == set(FILES)
    assert bundle.select(code).withheld == ()


def test_the_files_own_ignore_file_is_honoured(fill: Callable[..., Path]) -> None:
    patterns = "# comment\n*.bin\n/notebooks/\n!lib/keep.bin\n"
    code = fill(
        "code", {**FILES, ".mlinfraignore": patterns, "lib/keep.bin": "", "notebooks/a.py": "", "a/notebooks/b": ""}
    )
    assert set(dict(listing(code))) == {"train.py", "lib/util.py", ".mlinfraignore", "lib/keep.bin", "a/notebooks/b"}


def test_inputs_and_outputs_travel_another_way(fill: Callable[..., Path]) -> None:
    code = fill("code", {**FILES, "data/credit.csv": "1", "data/other.csv": "2", "out/model": "3", "database/a": "4"})
    left = [Path("data/credit.csv"), code / "out", Path("data/../lib"), Path("../elsewhere"), Path()]
    assert set(dict(listing(code, exclude=left))) == {"train.py", "data/other.csv", "database/a"}


def test_an_input_that_is_a_link_out_of_the_folder_is_no_reason_to_refuse(fill: Callable[..., Path]) -> None:
    code, elsewhere = fill("code", FILES), fill("elsewhere", {"a.csv": "1"})
    (code / "data").symlink_to(elsewhere)
    (code.parent / "link").symlink_to(code)
    for place in (code, code.parent / "link"):
        for left in (Path("data"), place / "data", Path("lib/../data")):
            assert set(dict(listing(place, exclude=[left]))) == set(FILES)


def test_the_listing_names_sizes_in_the_bundles_order(fill: Callable[..., Path]) -> None:
    assert listing(fill("code", FILES)) == [("lib/data.bin", 2), ("lib/util.py", 6), ("train.py", 15)]


def test_too_much_code_is_refused_naming_the_five_largest(
    fill: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = fill("code", FILES)
    for number in range(1, 8):
        with (code / f"{number}.dat").open("wb") as file:
            file.truncate(number * 2_000_000)
    monkeypatch.setattr(statcache, "_read", lambda _file: pytest.fail("read what will not be sent"))
    with pytest.raises(SpecError, match=r"holds 56\.0 MB") as caught:
        build_bundle(code, cache=cache)
    given = "7.dat (14.0 MB), 6.dat (12.0 MB), 5.dat (10.0 MB), 4.dat (8.0 MB), 3.dat (6.0 MB)"
    assert caught.value.given == given
    assert not cache.exists()


def test_fifty_megabytes_are_allowed(fill: Callable[..., Path]) -> None:
    code = fill("code", {})
    with (code / "weights.bin").open("wb") as file:
        file.truncate(bundle.LARGEST)
    bundle._check_size(bundle.select(code).files)
    with pytest.raises(SpecError):
        bundle._check_size(bundle.select(fill("code", {"one-more": "x"})).files)


@pytest.mark.parametrize("make", [lambda _place: None, lambda place: place.mkdir(), lambda place: place.touch()])
def test_no_folder_or_nothing_in_it_is_refused(tmp_path: Path, cache: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "code")
    with pytest.raises(SpecError, match="code"):
        build_bundle(tmp_path / "code", cache=cache)


def test_links_bring_in_what_would_travel_by_itself(fill: Callable[..., Path], cache: Path) -> None:
    code = fill("code", {"lib/a.py": "1", "lib/.env": "secret", "data/big": "2", "run.py": "3"})
    (code / "also").symlink_to("lib")
    (code / "settings").symlink_to("lib/.env")
    (code / "input").symlink_to("data")
    packed = build_bundle(code, exclude=[Path("data")], cache=cache)
    assert code_in(packed) == {"lib/a.py", "also/a.py", "run.py"}


def test_a_link_that_leaves_the_folder_is_refused_unless_it_is_ignored(fill: Callable[..., Path], cache: Path) -> None:
    code = fill("code", FILES)
    (code / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(SpecError, match="a link leaves the folder"):
        build_bundle(code, cache=cache)
    fill("code", {".mlinfraignore": "passwords\n"})
    assert "passwords" not in code_in(build_bundle(code, cache=cache))


def test_code_that_changes_while_it_is_packed_is_a_conflict(
    fill: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = fill("code", FILES)
    key = bundle._key

    def meddle(*arguments: object) -> str:
        (code / "train.py").write_text("something else")
        return key(*arguments)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr(bundle, "_key", meddle)
    with pytest.raises(Conflict, match="changed while it was read"):
        build_bundle(code, cache=cache)
    assert list((cache / "bundles").iterdir()) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from mlinfra.errors import CapacityUnavailable
from mlinfra.package import build_bundle
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    build_bundle(Path(sys.argv[1]), cache=Path(sys.argv[2]))
except CapacityUnavailable as exc:
    print(exc.exit_code, exc)
"""


def test_a_full_disk_leaves_what_was_there(fill: Callable[..., Path], cache: Path) -> None:
    code = fill("code", FILES)
    first = build_bundle(code, cache=cache)
    before = sorted((cache / "bundles").iterdir())
    fill("code", {"more.bin": os.urandom(100_000)})
    command = [sys.executable, "-c", FULL_DISK, str(code), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("75 the disk is full; nothing was changed")
    assert sorted((cache / "bundles").iterdir()) == before
    (code / "more.bin").unlink()
    assert build_bundle(code, cache=cache) == first


def test_the_tables_hold_every_name_once() -> None:
    assert len(set(ignore.SECRETS + ignore.CLUTTER)) == len(ignore.SECRETS + ignore.CLUTTER)
