from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.errors import Conflict, IntegrityError, MlinfraError, NotFound, SpecError
from mlinfra.package import Limits, extract, tree_digest, write_tar_gz

if TYPE_CHECKING:
    from collections.abc import Callable

Entry = tuple[str, dict[str, object], bytes]


def tar_of(place: Path, *entries: Entry, mode: str = "w:gz") -> Path:
    """An archive of members given as (name, attributes of its header, content)."""
    with tarfile.open(place, mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]  any mode
        for name, attributes, content in entries:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            for key, value in attributes.items():
                setattr(header, key, value)
            archive.addfile(header, io.BytesIO(content))
    return place


def zip_of(place: Path, *entries: tuple[str, int, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of members given as (name, mode, content)."""
    with zipfile.ZipFile(place, "w", compression) as archive:
        for name, mode, content in entries:
            member = zipfile.ZipInfo(name)
            member.create_system = 3
            member.external_attr = mode << 16
            member.compress_type = compression
            archive.writestr(member, content)
    return place


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Entry:
    return (name, {"type": kind, "linkname": target}, b"")


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> Entry:
    return (name, {"mode": mode}, content)


HOSTILE_TARS: dict[str, tuple[Entry, ...]] = {
    "a path upwards": (file("../evil"),),
    "a path upwards in the middle": (file("a/../../evil"),),
    "an absolute path": (file("/var/evil"),),
    "a path of another system": (file("C:\\evil"),),
    "a path with backslashes": (file("..\\evil"),),
    "a name with a line break": (file("a\nb"),),
    "a link out": (link("a", "/etc/passwd"),),
    "a link upwards": (link("a", "../../etc/passwd"),),
    "a link upwards from a folder": (link("d/e/a", "../../../x"),),
    "a link to the top": (file("f"), link("a", ".")),
    "a link to a folder out, then a file through it": (link("a", "/var"), file("a/evil")),
    "a link to a folder inside, then a file through it": (file("d/f"), link("a", "d"), file("a/evil")),
    "a link to itself": (link("a", "a"),),
    "links in circles": (link("a", "b"), link("b", "a")),
    "a link to nothing": (link("a", "missing"),),
    "a link inside its own target": (file("d/f"), link("d/a", "../d")),
    "a hard link out": (link("a", "/etc/passwd", tarfile.LNKTYPE),),
    "a hard link upwards": (link("a", "../x", tarfile.LNKTYPE),),
    "a hard link to nothing": (link("a", "missing", tarfile.LNKTYPE),),
    "a device": (("a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}, b""),),
    "a block device": (("a", {"type": tarfile.BLKTYPE}, b""),),
    "a pipe": (("a", {"type": tarfile.FIFOTYPE}, b""),),
    "another's rights": (file("a", mode=0o4755),),
    "another group's rights": (file("a", mode=0o2755),),
    "a folder with another group's rights": (("a", {"type": tarfile.DIRTYPE, "mode": 0o2755}, b""),),
    "a file twice": (file("a", b"1"), file("a", b"2")),
    "a file twice under two spellings": (file("a"), file("./a")),
    "a file in the place of a folder": (file("a"), file("a/b")),
    "a folder in the place of a file": (file("a/b"), file("a")),
    "a long name": (file("a" * 256),),
    "a long path": (file("/".join(["abcdefgh"] * 200)),),
    "a name that is not UTF-8": (file("a\udcff"),),
}
HOSTILE_ZIPS: dict[str, tuple[str, int, bytes]] = {
    "a path upwards": ("../evil", 0o100644, b"x"),
    "an absolute path": ("/var/evil", 0o100644, b"x"),
    "a path with backslashes": ("..\\evil", 0o100644, b"x"),
    "a link": ("a", stat.S_IFLNK | 0o777, b"/etc/passwd"),
    "a device": ("a", stat.S_IFCHR | 0o644, b""),
    "another's rights": ("a", 0o104755, b"x"),
}


def refused(archive: Path, target: Path, limits: Limits | None = None) -> IntegrityError:
    """Extract what must be refused, and see that nothing of it is left anywhere."""
    beside = set(target.parent.parent.rglob("*"))
    with pytest.raises(IntegrityError) as caught:
        extract(archive, target, limits)
    assert set(target.parent.parent.rglob("*")) - beside <= {target.parent}
    return caught.value


@pytest.mark.parametrize("name", HOSTILE_TARS)
@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_hostile_tars_are_refused_whole(tmp_path: Path, name: str, mode: str) -> None:
    archive = tar_of(tmp_path / "archive", file("first", b"good"), *HOSTILE_TARS[name], mode=mode)
    assert "refused" in str(refused(archive, tmp_path / "in/target"))


@pytest.mark.parametrize("name", HOSTILE_ZIPS)
def test_hostile_zips_are_refused_whole(tmp_path: Path, name: str) -> None:
    archive = zip_of(tmp_path / "archive.zip", ("first", 0o100644, b"good"), HOSTILE_ZIPS[name])
    assert "refused" in str(refused(archive, tmp_path / "in/target"))


def test_a_zip_compressed_in_an_unusual_way_is_refused(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("a", 0o100644, b"x" * 1000), compression=zipfile.ZIP_LZMA)
    assert "unusual way" in str(refused(archive, tmp_path / "in/target"))


def test_a_zip_with_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("a", 0o100644, b"x"))
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert "encrypted" in str(refused(archive, tmp_path / "in/target"))


def test_a_zip_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("a", 0o100644, b"1"), ("./a", 0o100644, b"2"))
    refused(archive, tmp_path / "in/target")


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path, pack: Callable[..., Path]) -> None:
    zeros = bytes(3_000_000)
    member = file("zeros", zeros) if pack is tar_of else ("zeros", 0o100644, zeros)
    archive = pack(tmp_path / "bomb", member)
    assert archive.stat().st_size < 10_000
    bomb = Limits(floor=1_000_000)
    assert "far more than it is" in str(refused(archive, tmp_path / "in/target", bomb))
    assert extract(archive, tmp_path / "in/target", Limits()).size == 3_000_000


def test_ten_gigabytes_of_nothing_are_refused_before_they_are_written(tmp_path: Path) -> None:
    header = tarfile.TarInfo("zeros")
    header.size = 10 * 10**9
    with gzip.open(tmp_path / "bomb", "wb", compresslevel=9) as archive:
        archive.write(header.tobuf())
        for _ in range(150):
            archive.write(bytes(1_000_000))
    assert "far more than it is" in str(refused(tmp_path / "bomb", tmp_path / "in/target"))


def test_a_sparse_file_counts_as_large_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as sparse:
        sparse.truncate(500_000_000)
    subprocess.run(
        ["tar", "--sparse", "-cf", "bomb", "holes"],  # noqa: S607  GNU tar, wherever it is
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "bomb").stat().st_size < 100_000
    assert "far more than it is" in str(refused(tmp_path / "bomb", tmp_path / "in/target"))


def test_links_cannot_multiply_what_is_unpacked(tmp_path: Path) -> None:
    entries = [file("0/f", b"x" * 50_000)]
    for number in range(1, 40):
        entries += [link(f"{number}/{name}", f"../{number - 1}") for name in "ab"]
    limits = Limits(floor=1_000_000, ratio=1)
    assert "refused" in str(refused(tar_of(tmp_path / "bomb", *entries), tmp_path / "in/target", limits))


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "many", *(file(str(number), b"") for number in range(101)))
    assert "too many members" in str(refused(archive, tmp_path / "in/target", Limits(members=100)))


def test_a_header_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type = tarfile.XHDTYPE
    header.size = 2 * 10**9
    (tmp_path / "a").write_bytes(header.tobuf() + bytes(10_240))
    assert "enormous" in str(refused(tmp_path / "a", tmp_path / "in/target"))


def test_a_tar_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a", file("a"), mode="w")
    with archive.open("ab") as stream:
        stream.write(bytes(2_000_000))
    assert "after its end" in str(refused(archive, tmp_path / "in/target"))


@pytest.mark.parametrize("kind", ["w:gz", "w", "zip"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    content = hashlib.shake_128(b"any").digest(3_000)
    place = tmp_path / "whole"
    if kind == "zip":
        zip_of(place, ("a", 0o100644, content), ("b", 0o100644, content))
    else:
        tar_of(place, file("a", content), file("b", content), mode=kind)
    whole = place.read_bytes()
    needed = len(whole.rstrip(b"\0")) if kind == "w" else len(whole)
    for length in range(0, needed, 97):
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises((IntegrityError, SpecError)):
            extract(tmp_path / "part", tmp_path / "in/target")
        assert not (tmp_path / "in/target").exists()


@given(position=st.floats(0, 1), value=st.integers(0, 255), kind=st.sampled_from(["w:gz", "w", "zip"]))
@settings(max_examples=150, deadline=None)
def test_a_damaged_archive_is_unpacked_or_refused_and_nothing_else(position: float, value: int, kind: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch, "archive")
        if kind == "zip":
            zip_of(place, ("a", 0o100644, b"1" * 50), ("d/b", 0o100755, b"2"))
        else:
            tar_of(place, file("a", b"1" * 50), file("ü" * 90, b"2"), link("l", "a"), mode=kind)
        content = bytearray(place.read_bytes())
        content[int(position * (len(content) - 1))] = value
        place.write_bytes(content)
        target = Path(scratch, "in", "target")
        try:
            extract(place, target)
        except MlinfraError:
            assert not target.exists()
        assert {path.name for path in Path(scratch).iterdir()} <= {"archive", "in"}


def test_another_format_is_refused_naming_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.tar.xz").write_bytes(b"\xfd7zXZ\x00" + bytes(600))
    with pytest.raises(SpecError, match=r"tar, tar\.gz, zip"):
        extract(tmp_path / "a.tar.xz", tmp_path / "target")


def test_what_is_in_the_way_stays(tmp_path: Path, fill: Callable[..., Path]) -> None:
    archive = tar_of(tmp_path / "a", file("a"))
    target = fill("target", {"mine": "1"})
    with pytest.raises(Conflict):
        extract(archive, target)
    assert [path.name for path in target.iterdir()] == ["mine"]
    with pytest.raises(NotFound):
        extract(tmp_path / "none", tmp_path / "other")


def test_an_empty_folder_may_be_the_target(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    extract(tar_of(tmp_path / "a", file("a")), tmp_path / "target")
    assert (tmp_path / "target/a").read_bytes() == b"x"


def test_honest_archives_are_unpacked_with_plain_rights(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a",
        (".", {"type": tarfile.DIRTYPE, "mode": 0o700}, b""),
        file("./d/tool", b"1", mode=0o700),
        file("./d/data", b"2", mode=0o666),
        link("./d/same", "data"),
        link("./first", "d"),
        link("./hard", "./d/data", tarfile.LNKTYPE),
    )
    found = extract(archive, tmp_path / "target")
    target = tmp_path / "target"
    modes = {path.relative_to(target).as_posix(): oct(path.lstat().st_mode) for path in target.rglob("*")}
    data, tool, folder = "0o100644", "0o100755", "0o40755"
    expected = {"d": folder, "d/tool": tool, "d/data": data, "d/same": data, "hard": data}
    expected |= {"first": folder, "first/tool": tool, "first/data": data, "first/same": data}
    assert modes == expected
    assert (target / "first/same").read_bytes() == b"2"
    assert found == tree_digest(target)


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("d/", 0o40755, b""), ("d/a", 0o100755, b"1"), ("b", 0, b"2"))
    extract(archive, tmp_path / "target")
    assert (tmp_path / "target/d/a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "target/b").read_bytes() == b"2"


def test_a_packed_folder_comes_back_the_same(tmp_path: Path, fill: Callable[..., Path]) -> None:
    folder = fill("tree", {"a/b/c.bin": os.urandom(100_000), "größe": "1", "a/tool": "2", "l" * 200: "3"})
    (folder / "a/tool").chmod(0o755)
    digest = write_tar_gz(folder, tmp_path / "packed.tar.gz")
    assert digest == tree_digest(tmp_path / "packed.tar.gz").digest
    assert extract(tmp_path / "packed.tar.gz", tmp_path / "back") == tree_digest(folder)
    with tarfile.open(tmp_path / "packed.tar.gz") as archive:
        assert archive.getnames() == ["a", "a/b", "a/b/c.bin", "a/tool", "größe", "l" * 200]


def test_packing_gives_the_same_bytes_whatever_the_circumstances(tmp_path: Path, fill: Callable[..., Path]) -> None:
    first = write_tar_gz(fill("one", {"a": "1", "b/ü": "2"}), tmp_path / "1.tar.gz")
    two = fill("two", {"b/ü": "2", "a": "1"})
    os.utime(two / "a", (1, 1))
    (two / "a").chmod(0o600)
    program = (
        "import os, sys; os.umask(0o077); from pathlib import Path; from mlinfra.package import write_tar_gz;"
        "print(write_tar_gz(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, str(two), str(tmp_path / "2.tar.gz")]
    done = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == first


FULL_DISK = """
import resource, sys
from pathlib import Path
from mlinfra.errors import CapacityUnavailable
from mlinfra.package import extract, write_tar_gz
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for act in (extract, write_tar_gz):
    try:
        act(Path(sys.argv[1]), Path(sys.argv[2]))
    except CapacityUnavailable as exc:
        print(exc.exit_code)
    sys.argv[1:] = sys.argv[3:]
"""


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, fill: Callable[..., Path]) -> None:
    folder = fill("tree", {"a": os.urandom(100_000)})
    write_tar_gz(folder, tmp_path / "whole.tar.gz")
    kept = tmp_path / "out/kept.tar.gz"
    kept.parent.mkdir()
    kept.write_bytes(b"old")
    places = [tmp_path / "whole.tar.gz", tmp_path / "out/target", folder, kept]
    command = [sys.executable, "-c", FULL_DISK, *map(str, places)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["75", "75"]
    assert [path.name for path in kept.parent.iterdir()] == ["kept.tar.gz"]
    assert kept.read_bytes() == b"old"
