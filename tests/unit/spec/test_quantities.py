import copy
import math
import pickle
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.errors import SpecError
from mlinfra.spec import Duration, ModelReference, Percent, Share, Size, Threshold
from mlinfra.spec.notation import Notation

DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "seconds", "canonical"),
    [
        ("500ms", 0.5, "500ms"),
        ("1500ms", 1.5, "1500ms"),
        ("90s", 90, "90s"),
        ("120m", 7_200, "2h"),
        ("1h30m", 5_400, "90m"),
        ("1d1h1m1s1ms", 90_061.001, "90061001ms"),
        ("0s", 0, "0s"),
        ("366d", 366 * 86_400, "366d"),
    ],
)
def test_a_duration_is_seconds_and_has_one_text(text: str, seconds: float, canonical: str):
    duration = Duration.parse(text)
    assert duration == seconds
    assert str(duration) == canonical


@pytest.mark.parametrize(
    "text", ["", "2", "2 h", "2hours", "h", "-1h", "1m1h", "367d", "1.5h", "2H", "٣h", 7200, True, None]
)
def test_what_is_no_duration_says_what_is(text: object):
    with pytest.raises(SpecError) as caught:
        Duration.parse(text)
    assert "30s" in caught.value.allowed
    assert caught.value.todo


def test_a_duration_is_made_of_numbers_and_timedeltas_too():
    assert Duration(7200) == Duration.parse(timedelta(hours=2)) == Duration.parse("2h")
    for impossible in (-1, math.inf, math.nan):
        with pytest.raises(SpecError):
            Duration(impossible)


@pytest.mark.parametrize(
    ("text", "size", "canonical"),
    [
        ("1Ki", 1024, "1Ki"),
        ("16Gi", 16 * 2**30, "16Gi"),
        ("16384Mi", 16 * 2**30, "16Gi"),
        ("1.5Ti", 3 * 2**39, "1536Gi"),
        ("0.5Mi", 2**19, "512Ki"),
    ],
)
def test_a_size_is_bytes_and_has_one_text(text: str, size: int, canonical: str):
    assert Size.parse(text) == size
    assert str(Size.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "todo"),
    [("16GB", "16Gi"), ("16 gb", None), ("16g", None), ("512M", "512Mi"), ("8kb", "8Ki"), ("16gi", None)],
)
def test_a_size_in_powers_of_ten_is_refused_with_its_neighbour(text: str, todo: str | None):
    with pytest.raises(SpecError) as caught:
        Size.parse(text)
    assert todo is None or caught.value.todo == f"write {todo}"


@pytest.mark.parametrize("wrong", ["0Gi", "0.001Ki", "1.0001Gi", "-1Gi", "1e3Gi", 16])
def test_a_size_is_whole_and_above_zero(wrong: object):
    with pytest.raises(SpecError):
        Size.parse(wrong)


@pytest.mark.parametrize(("wrong", "todo"), [(10, "10%"), (0.1, "10%"), ("0.1", None), ("110%", None), ("-1%", None)])
def test_a_percentage_bears_its_sign(wrong: object, todo: str | None):
    with pytest.raises(SpecError) as caught:
        Percent.parse(wrong)
    assert todo is None or caught.value.todo == f"write {todo}"


def test_a_percentage_knows_its_fraction():
    assert Percent.parse("0.5%").fraction == 0.005
    assert str(Percent.parse("10.50%")) == "10.5%"


def test_a_share_is_whole_percent():
    assert str(Share.parse("10%")) == "10%"
    for wrong in ("0.5%", 10, "101%"):
        with pytest.raises(SpecError):
            Share.parse(wrong)
    with pytest.raises(SpecError):
        Share(0.5)


@pytest.mark.parametrize(
    ("text", "keeps", "breaks"),
    [(">= 0.80", 0.8, 0.79), ("<= 3", 3, 3.1), ("> -1", 0, -1), ("<1e-3", 0.0009, 0.001), (">=.5", 0.5, 0.4)],
)
def test_a_threshold_holds_or_does_not(text: str, keeps: float, breaks: float):
    threshold = Threshold.parse(text)
    assert threshold.holds(keeps)
    assert not threshold.holds(breaks)
    assert not threshold.holds(math.nan)


@pytest.mark.parametrize("wrong", ["0.80", 0.8, "== 1", "!= 1", ">= x", ">= 1e999", ">=", "=> 1", ">= 1 or True"])
def test_what_is_no_threshold_says_what_is(wrong: object):
    with pytest.raises(SpecError, match="comparison"):
        Threshold.parse(wrong)


def test_a_model_reference_has_exactly_one_pin():
    digest = "sha256:" + "0f" * 32
    assert ModelReference.parse("credit-risk@champion") == ModelReference("credit-risk", alias="champion")
    assert ModelReference.parse("credit-risk:12") == ModelReference("credit-risk", version="12")
    assert ModelReference.parse(f"credit-risk@{digest}") == ModelReference("credit-risk", digest=digest)
    assert [ModelReference.parse(f"credit-risk{pin}").is_pinned for pin in ("@champion", ":1", f"@{digest}")] == [
        False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong", ["credit-risk", "credit-risk@", "credit-risk:0", "credit-risk:01", "cr@x1", "credit-risk@x", "A@champion",
              "credit-risk@sha256:12", "credit-risk@champion:1", "a" * 33 + "@champion", 3]
)  # fmt: skip
def test_what_is_no_model_reference_says_what_is(wrong: object):
    with pytest.raises(SpecError, match="NAME@ALIAS"):
        ModelReference.parse(wrong)


quantities = st.one_of(
    st.integers(0, 366 * DAY).map(lambda milliseconds: Duration(milliseconds / 1000)),
    st.integers(1, 2**50).map(lambda kibibytes: Size(kibibytes * 1024)).filter(lambda size: len(str(size)) <= 11),
    st.integers(0, 1_000_000).map(lambda parts: Percent(parts / 10_000)),
    st.integers(0, 100).map(Share),
    st.builds(Threshold, st.sampled_from([">=", "<=", ">", "<"]), st.floats(-1e100, 1e100)),
    st.builds(ModelReference, st.just("credit-risk"), version=st.integers(1, 999_999_999).map(str)),
)


@given(quantities)
def test_the_text_of_a_quantity_states_the_same_quantity(quantity: Notation):
    again = type(quantity).parse(str(quantity))
    assert again == quantity
    assert type(again) is type(quantity)
    assert str(again) == str(quantity)


@given(quantities)
def test_a_quantity_survives_copies_and_processes(quantity: Notation):
    for again in (copy.deepcopy(quantity), pickle.loads(pickle.dumps(quantity))):  # noqa: S301  made one line above
        assert again == quantity
        assert type(again) is type(quantity)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_spec_error(text: str):
    for kind in (Duration, Size, Percent, Share, Threshold, ModelReference):
        refusal = None
        try:
            assert kind.parse(str(kind.parse(text))) == kind.parse(text)
        except SpecError as error:
            refusal = error
        assert refusal is None or (refusal.allowed and refusal.todo)
