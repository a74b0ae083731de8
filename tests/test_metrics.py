"""The metrics against scikit-learn, against figures done by hand, and where they are undefined."""

import json
import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from fgdesign.errors import DataError, InputError
from fgdesign.training.metrics import (
    MEASURED,
    Floats,
    calibration_error,
    classification,
    evaluate,
    judged_by,
    main_metric,
    multilabel,
    regression,
)
from fgdesign.training.settings import TABLE

LABELS = ("a", "b", "c")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def random_probabilities(rng: np.random.Generator, rows: int) -> Floats:
    scores: Floats = rng.random((rows, 3)) ** 2
    return scores / np.sum(scores, 1, keepdims=True)


def test_classification_agrees_with_scikit_learn(rng: np.random.Generator) -> None:
    probabilities = random_probabilities(rng, 200)
    targets = rng.integers(0, 3, 200)
    answers = probabilities.argmax(1)
    found = classification(probabilities, targets, LABELS)
    assert found["rows"] == 200
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(targets, answers))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(targets, answers, average="macro"))
    assert found["micro_f1"] == pytest.approx(reference.f1_score(targets, answers, average="micro"))
    assert found["log_loss"] == pytest.approx(reference.log_loss(targets, probabilities))
    auc = reference.roc_auc_score(targets, probabilities, multi_class="ovr", average="macro")
    assert found["roc_auc"] == pytest.approx(auc)
    assert found["confusion"] == reference.confusion_matrix(targets, answers).tolist()
    expected = reference.precision_recall_fscore_support(targets, answers)
    for number, label in enumerate(LABELS):
        assert list(found["per_class"][label].values()) == pytest.approx([part[number] for part in expected])


def test_multilabel_agrees_with_scikit_learn(rng: np.random.Generator) -> None:
    probabilities = rng.random((150, 3))
    targets = (rng.random((150, 3)) < 0.3).astype(np.float32)
    answers = probabilities >= 0.4
    found = multilabel(probabilities, targets, LABELS, threshold=0.4)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(targets, answers))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(targets, answers, average="macro"))
    assert found["micro_f1"] == pytest.approx(reference.f1_score(targets, answers, average="micro"))
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(targets, probabilities))
    assert found["log_loss"] == pytest.approx(reference.log_loss(targets.ravel(), probabilities.ravel()))
    assert [found["per_class"][label]["support"] for label in LABELS] == targets.sum(0).tolist()


def test_regression_agrees_with_numpy_and_is_tie_aware() -> None:
    guess, truth = np.array([1.0, 2.0, 2.0, 5.0, -1.0]), np.array([1.5, 2.5, 1.0, 4.0, 1.0])
    found = regression(guess, truth)
    assert found["mae"] == pytest.approx(0.5 * 2 / 5 + (1 + 1 + 2) / 5)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(truth, guess))
    assert found["pearson"] == pytest.approx(np.corrcoef(guess, truth)[0, 1])
    ranks = [2, 3.5, 3.5, 5, 1], [3, 4, 1.5, 5, 1.5]
    assert found["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


@pytest.mark.parametrize(
    ("confidence", "right", "expected"),
    [
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [True, False], 0.5),
        ([0.8, 0.8, 0.8, 0.8, 0.8], [True, True, True, True, False], 0.0),
        ([0.9, 0.6], [False, True], (0.9 + 0.4) / 2),
        ([0.0], [False], 0.0),
        ([], [], None),
    ],
)
def test_calibration_error_by_hand(
    confidence: list[float], right: list[bool], expected: float | None
) -> None:
    assert calibration_error(confidence, right) == (None if expected is None else pytest.approx(expected))


def test_macro_f1_leaves_out_labels_that_do_not_occur() -> None:
    found = classification([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], [0, 1], LABELS)
    assert found["macro_f1"] == 1.0
    assert found["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


@pytest.mark.parametrize(
    ("kind", "outputs", "targets", "undefined"),
    [
        ("single", [[0.9, 0.1, 0.0]] * 2, [0, 0], {"roc_auc"}),
        ("single", np.empty((0, 3)), [], {"accuracy", "macro_f1", "micro_f1", "log_loss", "ece", "roc_auc"}),
        ("multi", [[0.1, 0.1, 0.1]], [[0, 0, 0]], {"macro_f1", "micro_f1", "roc_auc"}),
        ("regression", [2.0, 2.0], [1.0, 3.0], {"pearson", "spearman"}),
        ("regression", [1.0], [1.0], {"pearson", "spearman"}),
        ("regression", [], [], {"mae", "rmse", "pearson", "spearman"}),
        ("regression", [math.nan, 1.0], [1.0, 2.0], {"mae", "rmse", "pearson", "spearman"}),
        ("regression", [1e300, -1e300], [1.0, 2.0], {"rmse"}),
    ],
)
def test_what_is_undefined_is_none_and_json_can_hold_all(
    kind: str, outputs: Any, targets: Any, undefined: set[str]
) -> None:
    found = evaluate(kind, outputs, targets, LABELS)
    assert {name for name, value in found.items() if value is None} == undefined
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_broken_probabilities_count_as_zero() -> None:
    found = classification([[math.nan, 0.2, 0.1], [0.1, 0.7, 0.2]], [0, 1], LABELS)
    assert found["accuracy"] == 0.5
    assert found["log_loss"] == pytest.approx((-math.log(1e-15) - math.log(0.7)) / 2)


@pytest.mark.parametrize(
    ("kind", "metric"), [("single", "macro_f1"), ("multi", "micro_f1"), ("regression", "pearson")]
)
def test_main_metric_is_one_that_evaluate_returns(kind: str, metric: str) -> None:
    outputs = [1.0, 2.0] if kind == "regression" else [[0.9, 0.1], [0.2, 0.8]]
    targets = [[1, 0], [0, 1]] if kind == "multi" else [0, 1]
    name, higher_is_better = main_metric(kind)
    assert name == metric
    assert higher_is_better
    assert evaluate(kind, outputs, targets, ("no", "yes"))[name] == pytest.approx(1.0)


@pytest.mark.parametrize(("kind", "metric", "found"), [
    ("single", "auto", ("macro_f1", True)), ("multi", "log_loss", ("log_loss", False)),
    ("regression", "mae", ("mae", False)), ("regression", "spearman", ("spearman", True)),
])
def test_a_metric_that_was_chosen_decides(kind: str, metric: str, found: tuple[str, bool]) -> None:
    assert judged_by(kind, metric) == found


@pytest.mark.parametrize("kind", MEASURED)
def test_what_can_be_chosen_is_measured(kind: str) -> None:
    outputs = [1.0, 2.0] if kind == "regression" else [[0.9, 0.1], [0.2, 0.8]]
    targets = [[1, 0], [0, 1]] if kind == "multi" else [0, 1]
    assert set(MEASURED[kind]) <= set(evaluate(kind, outputs, targets, ("no", "yes")))
    assert set(MEASURED[kind]) <= set(TABLE["metric"].values)


def test_a_metric_of_another_task_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"metric is 'mae', which is not measured .* 'single'.*accuracy"):
        judged_by("single", "mae")


def test_unknown_kind_lists_the_kinds() -> None:
    with pytest.raises(DataError, match=r"no kind of task 'multy'\. Did you mean multi\?"):
        main_metric("multy")
