"""The measures, against scikit-learn's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from mlinfra.engine.scoring import auc, log_loss, score
from mlinfra.errors import InvocationFailed, SpecError

NEAR = {"rel": 1e-12, "abs": 1e-12}


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2))
def test_auc_is_scikit_learns_with_ties_too(pairs):
    scores = [score / 5 for score, _ in pairs]
    flags = [flag for _, flag in pairs]
    if len(set(flags)) < 2:
        assert auc(scores, flags) is None
    else:
        assert auc(scores, flags) == pytest.approx(metrics.roc_auc_score(flags, scores), **NEAR)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2).filter(lambda p: len({f for _, f in p}) == 2))
def test_log_loss_and_accuracy_are_scikit_learns(pairs):
    rows = [[1 - p, p] for p, _ in pairs]
    truth = ["good" if flag else "bad" for _, flag in pairs]
    found = score(rows, truth)
    expected = metrics.log_loss(truth, rows, labels=["bad", "good"])
    assert found.metrics["log_loss"] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    guessed = ["good" if p > 1 - p else "bad" for p, _ in pairs]
    assert found.metrics["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guessed), **NEAR)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1))
def test_errors_of_quantities_are_scikit_learns(pairs):
    predicted, wanted = zip(*pairs, strict=True)
    found = score(predicted, [repr(value) for value in wanted], task="regression").metrics
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(wanted, predicted), rel=1e-9, abs=1e-9)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(wanted, predicted), rel=1e-9, abs=1e-9)


def test_several_classes_have_no_auc_and_are_in_the_order_of_their_size():
    found = score([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], ["10", "2"], classes=["1", "2", "10"])
    assert found.classes == ("1", "2", "10")
    assert "auc" not in found.metrics
    assert found.metrics["accuracy"] == 0.5
    assert score([[0.3, 0.7]] * 2, ["9", "10"]).classes == ("9", "10")


def test_the_positive_class_may_be_chosen():
    rows, truth = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], ["bad", "good", "bad"]
    assert score(rows, truth, positive="bad").metrics["auc"] == score(rows, truth).metrics["auc"] == 1.0
    with pytest.raises(SpecError, match="no such class"):
        score(rows, truth, positive="best")


def test_one_probability_a_row_for_labels_0_and_1():
    found = score([0.2, 0.7, 0.9], ["0", "1", "1"])
    assert (found.task, found.metrics["auc"], found.metrics["accuracy"]) == ("classification", 1.0, 1.0)


@pytest.mark.parametrize(
    ("predictions", "truth"),
    [
        ([1, 0, 1.0], ["1", "0", "1"]),
        ([True, False, True], ["True", "false", "TRUE"]),
        (["a", "b", "a"], ["a", "b", "a"]),
    ],
)
def test_labels_are_compared_by_what_they_mean(predictions, truth):
    truth = [text.capitalize() if text == "TRUE" else text for text in truth]
    found = score(predictions, truth)
    assert (found.task, found.metrics) == ("classification", {"accuracy": 1.0})


def test_answers_in_other_words_than_the_labels_are_an_error_and_no_zero():
    with pytest.raises(SpecError, match="other words"):
        score([0, 1, 1], ["good", "bad", "bad"])


@pytest.mark.parametrize(
    ("predictions", "truth", "task"),
    [
        ([1.5, 2.5], ["1", "2"], "regression"),
        ([float(value) for value in range(30)], [str(value) for value in range(30)], "regression"),
        ([1.0, 2.0], ["1", "2"], "classification"),
    ],
)
def test_what_is_measured_is_told_from_the_form_of_the_answers(predictions, truth, task):
    assert score(predictions, truth).task == task


def test_the_task_may_be_said():
    assert score([1.0, 2.0], ["1", "2"], task="regression").metrics == {"rmse": 0.0, "mae": 0.0}
    with pytest.raises(SpecError, match="no such task"):
        score([1.0], ["1"], task="ranking")
    with pytest.raises(SpecError, match="no number"):
        score([1.0], ["one"], task="regression")


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "x"])
def test_an_answer_that_is_no_number_is_the_models_fault(value):
    with pytest.raises(InvocationFailed):
        score([[0.1, value]], ["a"], classes=["a", "b"])
    with pytest.raises(InvocationFailed):
        score([value], ["1.0"], task="regression")


def test_probabilities_and_labels_that_do_not_fit_are_an_error():
    with pytest.raises(SpecError, match="do not fit"):
        score([[0.1, 0.2, 0.7]], ["a"])
    with pytest.raises(SpecError, match="no class"):
        score([[0.1, 0.9]], ["c"], classes=["a", "b"])


def test_what_was_thought_impossible_weighs_much_and_not_infinitely():
    assert 30 < log_loss([0.0]) < 40


def test_one_label_alone_has_no_auc():
    found = score([[0.1, 0.9]], ["a"], classes=["a", "b"])
    assert "auc" not in found.metrics
    assert "same label" in found.notes[0]
