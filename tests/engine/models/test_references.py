"""How a model version is named."""

from __future__ import annotations

import pytest

from mlinfra.engine.references import Reference, check_alias, check_model
from mlinfra.errors import UsageError

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("credit-risk:3", Reference("credit-risk", version="3")),
        ("credit-risk@champion", Reference("credit-risk", alias="champion")),
        ("credit-risk@v2", Reference("credit-risk", alias="v2")),
        (f"credit-risk@sha256:{DIGEST}", Reference("credit-risk", digest=DIGEST)),
        (f"credit-risk@sha256:{DIGEST[:12]}", Reference("credit-risk", digest=DIGEST[:12])),
        ("credit-risk", Reference("credit-risk")),
    ],
)
def test_each_form_is_read_and_written_alike(text, reference):
    assert Reference.parse(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "@",
        "cr",
        "Credit:1",
        "credit risk:1",
        "credit:",
        "credit:0",
        "credit:01",
        "credit:one",
        "credit:-1",
        "credit:1:2",
        "credit@",
        "credit@C",
        "credit@x",
        "credit@a@b",
        "credit@sha256:",
        f"credit@sha256:{DIGEST[:11]}",
        f"credit@sha256:{DIGEST}0",
        "credit@sha256:XYZ123456789",
        "credit:1@champion",
        "../credit:1",
        "credit:1\n",
        "x" * 33 + ":1",
    ],
)
def test_anything_else_is_one_clear_error(text):
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert caught.value.allowed


@pytest.mark.parametrize("name", ["latest", "default"])
def test_aliases_that_platforms_keep_for_themselves_are_refused(name):
    with pytest.raises(UsageError, match="for themselves"):
        check_alias(name)


@pytest.mark.parametrize("name", ["", "a", "Champion", "a b", "a--b", "-a", "1a", "a" * 33, "a\n"])
def test_aliases_that_no_platform_takes_are_refused(name):
    with pytest.raises(UsageError):
        check_alias(name)


def test_good_names_pass():
    assert check_alias("champion-2") == "champion-2"
    assert check_model("credit-risk") == "credit-risk"
