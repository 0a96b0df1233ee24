import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.errors import SpecError
from mlinfra.spec import NAME_PATTERN, derive_name
from mlinfra.spec.names import environment_mark

# The vendors' patterns, as published, apart from the table under test.
VENDORS = {
    ("job", "aws"): r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ("sweep", "aws"): r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}",
    ("endpoint", "aws"): r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ("endpoint_config", "aws"): r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ("deployment", "aws"): r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ("model", "aws"): r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ("endpoint", "gcp"): r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
    ("model", "gcp"): r"[a-z_][a-z0-9_-]{0,62}",
    ("job", "gcp"): r".{1,128}",
    ("endpoint", "azure"): r"(?=.{3,32}$)[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*",
    ("deployment", "azure"): r"(?=.{3,32}$)[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*",
    ("job", "azure"): r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}",
}

words = st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=6)
names = words.map(lambda parts: f"abc{'-'.join(parts)}"[:32].rstrip("-"))
suffixes = st.from_regex(r"[0-9a-f]{0,12}", fullmatch=True)


@given(names, suffixes, st.sampled_from(sorted(VENDORS)))
def test_every_derived_name_is_one_that_the_vendor_takes(name: str, suffix: str, where: tuple[str, str]):
    kind, platform = where
    assert re.fullmatch(NAME_PATTERN, name)
    derived = derive_name(kind, platform, name, suffix, environment_id="aws/1/eu/dev")
    assert re.fullmatch(VENDORS[where], derived)
    assert suffix in derived
    assert derived == derive_name(kind, platform, name, suffix, environment_id="aws/1/eu/dev")


def test_a_name_that_fits_is_kept_whole():
    assert derive_name("job", "aws", "credit-train", "0a1b-1") == "credit-train-0a1b-1"
    assert derive_name("model", "gcp", "credit-risk") == "credit-risk"


def test_an_endpoint_carries_the_mark_of_its_environment():
    here, there = (derive_name("endpoint", "azure", "credit-risk", environment_id=one) for one in ("a", "b"))
    assert here == f"credit-risk-{environment_mark('a')}"
    assert re.fullmatch(r"credit-risk-[0-9a-f]{6}", here)
    assert here != there


def test_the_longest_endpoint_name_is_kept_whole_everywhere():
    name = "credit-risk-of-the-world"
    assert len(name) == 24
    for platform in ("local", "aws", "azure", "gcp"):
        assert derive_name("endpoint", platform, name, environment_id="x").startswith(f"{name}-")


def test_two_names_that_are_cut_stay_two():
    first, second = (derive_name("deployment", "azure", f"{'a' * 28}-{tail}", "0123456789") for tail in ("xx", "yy"))
    assert first != second
    assert len(first) <= 32


def test_a_stranger_gets_the_shortest_limit_of_the_kind():
    assert len(derive_name("endpoint", "acme", "a" * 24, "f" * 8, environment_id="x")) <= 32


@pytest.mark.parametrize(("name", "suffix"), [("Credit", ""), ("credit", "A"), ("credit", "a_b"), ("credit", "f" * 40)])
def test_what_no_platform_takes_is_refused(name: str, suffix: str):
    with pytest.raises(SpecError, match="characters for a deployment on azure"):
        derive_name("deployment", "azure", name, suffix)
