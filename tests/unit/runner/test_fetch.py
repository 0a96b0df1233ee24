from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.package import tree_digest
from mlinfra.runner.addresses import last_part, path_of, without_secrets
from mlinfra.runner.fetch import FETCHERS, fetch
from mlinfra.runner.problem import RunnerError
from mlinfra.runner.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Server

SHA = "sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6"  # of b"c"


def nothing_left(folder: Path) -> bool:
    return list(folder.rglob("*")) == []


def test_a_file_comes_over_http(server: Server, tmp_path: Path) -> None:
    server.script((200, {}, b"c"))
    target = fetch(f"{server.url}/a/c.txt?sig=1", tmp_path / "deep/c.txt", digest=SHA)
    assert target.read_bytes() == b"c"
    assert [path.name for path in target.parent.iterdir()] == ["c.txt"]
    assert server.asked[0].path == "/a/c.txt?sig=1"


def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path, pauses: list[float]) -> None:
    cut = (200, {"Content-Length": "10", "Connection": "close"}, b"c")
    server.script((503, {}, b""), (429, {"Retry-After": "7"}, b""), (408, {}, b""), cut, (200, {}, b"c"))
    fetch(f"{server.url}/c", tmp_path / "c", digest=SHA)
    assert len(server.asked) == 5
    assert pauses[1] == 7.0
    assert 0.25 <= pauses[0] <= 0.5
    assert all(pause <= 30 for pause in pauses)


def test_after_six_attempts_the_failure_is_temporary(server: Server, tmp_path: Path, pauses: list[float]) -> None:
    server.script((500, {}, b""))
    with pytest.raises(RunnerError, match=r"500 .* 6 times") as caught:
        fetch(f"{server.url}/c", tmp_path / "in/c")
    assert caught.value.exit_code == 75
    assert (len(server.asked), len(pauses)) == (6, 5)
    assert nothing_left(tmp_path / "in")


def test_nobody_there_is_temporary(tmp_path: Path, pauses: list[float]) -> None:
    with pytest.raises(RunnerError) as caught:
        fetch("http://127.0.0.1:1/c", tmp_path / "c")
    assert (caught.value.exit_code, len(pauses)) == (75, 5)


@pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 3), (403, 3), (404, 4), (410, 4)])
def test_what_will_not_pass_is_not_tried_again(
    server: Server, tmp_path: Path, pauses: list[float], status: int, code: int
) -> None:
    server.script((status, {}, b""))
    with pytest.raises(RunnerError, match=str(status)) as caught:
        fetch(f"{server.url}/c", tmp_path / "c")
    assert (caught.value.exit_code, pauses) == (code, [])


def test_a_token_does_not_follow_a_redirect_to_another_host(server: Server, tmp_path: Path) -> None:
    server.script((302, {"Location": f"http://localhost:{server.port}/b"}, b""), (200, {}, b"c"))
    fetch(f"{server.url}/a", tmp_path / "c", token="t0ken")  # noqa: S106  planted, to be looked for
    assert ["Authorization" in request.headers for request in server.asked] == [True, False]
    server.asked.clear()
    server.script((302, {"Location": "/b"}, b""), (200, {}, b"c"))
    fetch(f"{server.url}/a", tmp_path / "d", token="t0ken")  # noqa: S106  planted, to be looked for
    assert ["Authorization" in request.headers for request in server.asked] == [True, True]


def test_other_bytes_than_promised_leave_nothing(server: Server, tmp_path: Path) -> None:
    server.script((200, {}, b"other"))
    with pytest.raises(RunnerError, match="not what was promised") as caught:
        fetch(f"{server.url}/c?token=hunter2", tmp_path / "in/c", digest=SHA)
    assert caught.value.exit_code == 1
    assert "hunter2" not in str(caught.value)
    assert nothing_left(tmp_path / "in")


@pytest.mark.parametrize("uri", ["ftp://host/x", "s3://bucket/x", "/plain/path", "file://host/x", "http://[bad/x"])
def test_an_address_that_nothing_brings_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises((RunnerError, ValueError)) as caught:
        fetch(uri, tmp_path / "in/c")
    assert isinstance(caught.value, RunnerError)
    assert caught.value.exit_code == 2


def test_the_known_schemes_are_a_table() -> None:
    assert set(FETCHERS) == {"file", "http", "https", "gs"}


def test_files_and_folders_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "a folder"
    (source / "sub").mkdir(parents=True)
    (source / "sub/c").write_bytes(b"c")
    (source / "sub/c").chmod(0o755)
    fetch(source.as_uri(), tmp_path / "in/copy", digest=tree_digest(source).digest)
    fetch((source / "sub/c").as_uri(), tmp_path / "in/c", digest=SHA)
    (tmp_path / "in/c").write_bytes(b"changed")
    assert (source / "sub/c").read_bytes() == b"c"
    assert (tmp_path / "in/copy/sub/c").stat().st_mode & 0o111
    with pytest.raises(RunnerError, match="no such file") as caught:
        fetch((tmp_path / "none").as_uri(), tmp_path / "in/none")
    assert caught.value.exit_code == 4


def test_an_upload_replaces_what_was_there(tmp_path: Path) -> None:
    source = tmp_path / "out"
    source.mkdir()
    target = tmp_path / "store/model"
    for name in ("old", "new"):
        for path in source.iterdir():
            path.unlink()
        (source / name).write_text(name)
        upload(source, target.as_uri())
        assert [path.name for path in target.iterdir()] == [name]
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    with pytest.raises(RunnerError, match="nothing here writes `s3://`"):
        upload(source, "s3://bucket/x")


def test_addresses_are_taken_apart(tmp_path: Path) -> None:
    assert last_part("gs://b/a/credit%20data.csv?x=1") == "credit data.csv"
    assert last_part("gs://b/") == ""
    assert path_of((tmp_path / "ü b").as_uri()) == tmp_path / "ü b"
    assert without_secrets("https://u:p@host:1/x?sig=abc#f") == "https://host:1/x"
