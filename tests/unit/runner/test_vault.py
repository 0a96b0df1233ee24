from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest

from mlinfra.runner.problem import RunnerError
from mlinfra.runner.vault import Masker, reveal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Job

SECRET = 'p@ss/word+"quoted" ünd mehr'  # noqa: S105  planted, to be looked for
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"


def test_secrets_are_read_where_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "a secret").write_text("value\n")
    places = {"A": (tmp_path / "a secret").as_uri(), "B": "env:FROM_PLATFORM"}
    assert reveal(places, {"FROM_PLATFORM": "other"}) == {"A": "value", "B": "other"}


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("file:///no/such/file", "DB cannot be read: FileNotFoundError"),
        ("env:MISSING", "did not set the variable MISSING"),
        ("vault:x", "nothing here reads `vault:`; known: awssecret, env, file"),
        ("hunter2-by-mistake", "nothing here reads"),
    ],
)
def test_a_secret_that_is_not_there_is_named(place: str, words: str) -> None:
    with pytest.raises(RunnerError, match="DB") as caught:
        reveal({"DB": place}, {"OTHER": "hunter3"})
    assert words in str(caught.value)
    assert "hunter3" not in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [SECRET, json.dumps(SECRET), quote_plus(SECRET), base64.b64encode(SECRET.encode()).decode(), f"x{SECRET}{SECRET}y"],
)
def test_a_secret_is_hidden_in_the_forms_in_which_programs_print_it(form: str) -> None:
    hidden = Masker([SECRET]).hide_text(form)
    assert "***" in hidden
    assert "p@ss" not in hidden
    assert "quoted" not in hidden


def test_each_line_of_a_secret_is_hidden() -> None:
    masker = Masker([KEY])
    assert not any("MII" in masker.hide_text(line) for line in KEY.splitlines())


def test_without_secrets_only_passwords_in_addresses_are_hidden() -> None:
    text = "see https://user:hunter2@host/x and https://host/y"
    assert Masker().hide_text(text) == "see https://***@host/x and https://host/y"


def test_the_longest_secret_is_hidden_first() -> None:
    assert Masker(["abcd", "abcdefgh"]).hide_text("abcdefgh abcd") == "*** ***"


def test_no_secret_is_found_in_anything_that_a_job_leaves(job: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "vault").write_text(SECRET)
    (tmp_path / "key").write_text(KEY)
    script = (
        "import json, os, sys\nfrom mlinfra.runner.metrics import log_metric\n"
        "value, key = os.environ['DB_PASSWORD'], os.environ['KEY']\n"
        "for stream in (sys.stdout, sys.stderr):\n"
        "    print(value, json.dumps(value), repr(value), key, file=stream)\n"
        "    stream.write('x' * 300_000 + value + 'x' * 300_000 + value); stream.flush(); print(file=stream)\n"
        "log_metric('auc', 0.5)\n"
        "assert value.startswith('p@ss')\n"
        "raise ValueError(value)"
    )
    done = job(script, secrets={"DB_PASSWORD": (tmp_path / "vault").as_uri(), "KEY": (tmp_path / "key").as_uri()}).run()
    assert done.exit_code == 1
    assert "ValueError" in done.failure
    written = [path.read_text() for path in (tmp_path / "result").rglob("*") if path.is_file()]
    for text in (done.out, done.err, *written):
        for piece in ("p@ss", "ünd mehr", "\\u00fcnd", "MIIEvQIBADANBgkq"):
            assert piece not in text
    assert done.metrics[0]["name"] == "auc"


def test_a_secret_is_hidden_in_the_runners_own_words_too(job: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("hunter2-hunter2")
    ready = job("", secrets={"A": (tmp_path / "vault").as_uri()}, inputs={"a": {"path": "/no/hunter2-hunter2"}})
    done = ready.run()
    assert "/no/***" in done.failure
    for text in (done.err, done.failure, json.dumps(done.result)):
        assert "hunter2" not in text


def test_an_input_may_show_a_secret_as_its_token(job: Callable[..., Job], server: object, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken-value")
    server.script((200, {}, b"data"))
    item = {"uri": f"{server.url}/a.csv", "token": "STORE"}
    ready = job("import os; print(open(os.environ['MLINFRA_INPUT_TRAIN']).read())", inputs={"train": item})
    ready.manifest["secrets"] = {"STORE": (tmp_path / "token").as_uri()}
    assert ready.run().out == "data\n"
    assert server.asked[0].headers["Authorization"] == "Bearer t0ken-value"
    ready.manifest["secrets"] = {}
    assert "its token STORE is none of the job's secrets" in ready.run().failure
