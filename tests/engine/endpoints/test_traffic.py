import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.engine.traffic import check, mix, tell
from mlinfra.errors import UsageError


@st.composite
def splits(draw):
    """Shares that sum to 100, some of them 0."""
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1)))
    return {name: high - low for name, low, high in zip(names, [0, *cuts], [*cuts, 100], strict=True)}


@given(splits(), splits(), st.integers(0, 100))
def test_every_mix_sums_to_a_hundred_and_gives_newcomers_something(old, new, percent):
    shares = mix(old, new, percent)
    assert sum(shares.values()) == 100
    assert all(share >= 0 for share in shares.values())
    if percent:
        assert all(shares[name] for name, share in new.items() if share)


@given(splits(), splits())
def test_the_ends_of_the_way_are_the_splits_themselves(old, new):
    assert {name: share for name, share in mix(old, new, 0).items() if share} == {k: v for k, v in old.items() if v}
    assert {name: share for name, share in mix(old, new, 100).items() if share} == {k: v for k, v in new.items() if v}


def test_an_unchanged_variant_keeps_its_share_on_the_whole_way():
    old, new = {"main-1": 70, "rival-1": 30}, {"main-2": 70, "rival-1": 30}
    assert mix(old, new, 10) == {"main-2": 7, "rival-1": 30, "main-1": 63}
    assert mix(old, new, 50) == {"main-2": 35, "rival-1": 30, "main-1": 35}


def test_a_small_variant_gets_one_percent_at_the_first_step():
    assert mix({"a": 95, "b": 5}, {"a": 95, "c": 5}, 10) == {"a": 95, "c": 1, "b": 4}


def test_a_share_too_small_to_split_is_lent_by_the_largest():
    assert mix({"a": 98, "b": 2}, {"a": 98, "c": 2}, 10) == {"a": 97, "c": 1, "b": 2}


@pytest.mark.parametrize(
    "shares", [{"a": 99}, {"a": 0, "b": 0}, {}, {"a": 120, "b": -20}, {"a": 99.5, "b": 0.5}, {"a": True, "b": 99}]
)
def test_what_is_no_split_is_refused(shares):
    with pytest.raises(UsageError, match="sum to 100"):
        check(shares)


def test_a_split_in_words():
    assert tell({"a": 90, "b": 10}) == "a 90 %, b 10 %"
    assert tell({}) == "none"
