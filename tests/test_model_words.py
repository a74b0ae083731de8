"""The word function against scikit-learn, and rules as tables."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from model_toys import toy_texts
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from torch.nn.functional import cross_entropy

from fgdesign.graph.catalogue.selectors import rule_problem
from fgdesign.model.lexical import LONGEST, Lexical, runs_of, terms_of, words
from fgdesign.model.lexical_fit import solve
from fgdesign.model.rules import Decision, decide, script_of

CHINESE = ["这件衣服很好看", "质量太差了，退款", "物流很快，好评", "不好看，太差", "很好，很快", "退款太慢，差评"] * 4


def lexical(classes: int, kind: str = "single", ngrams: int = 2, min_count: int = 1, characters: int = 0,
            **sizes: int) -> Lexical:
    return Lexical(classes=classes, kind=kind, ngrams=ngrams, min_count=min_count, max_terms=5000, strength=10.0,
                   characters=characters, **sizes)


def pipeline(final: Any, ngrams: int = 2, characters: int = 0) -> Any:
    vectoriser = TfidfVectorizer(analyzer=lambda text: terms_of(text, ngrams, characters), sublinear_tf=True)
    return make_pipeline(vectoriser, final)


def labels(texts: list[str], classes: int) -> np.ndarray:
    return np.array([len(text) % classes for text in texts])


@pytest.mark.parametrize(("texts", "classes", "characters"), [
    (toy_texts(60), 2, 0), (toy_texts(60), 4, 0), (CHINESE, 2, 0), (toy_texts(60), 2, 3), (CHINESE, 2, 4)],
    ids=["two", "four", "chinese", "characters", "chinese-characters"])
def test_probabilities_are_those_of_scikit_learn(texts: list[str], classes: int, characters: int) -> None:
    ours, y = lexical(classes, characters=characters), labels(texts, classes)
    ours.fit(texts, y)
    final = LogisticRegression(C=10.0, max_iter=3000, tol=1e-8)
    theirs = pipeline(final, characters=characters).fit(texts, y)
    unseen = [*toy_texts(20, seed=7), *CHINESE[:3], "", "   ", "nothing known", "amber amber boat"]
    np.testing.assert_allclose(ours(unseen).exp().numpy(), theirs.predict_proba(unseen), atol=2e-4)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_is_fitted_where_no_gradients_are_kept(mode: Any) -> None:
    texts = toy_texts(60)
    ours, other = lexical(3), lexical(3)
    with mode():
        ours.fit(texts, labels(texts, 3))
    other.fit(texts, labels(texts, 3))
    assert torch.equal(ours(texts), other(texts))


def test_a_class_without_examples_is_all_but_ruled_out() -> None:
    texts = toy_texts(60)
    y = np.array([0, 1, 3])[labels(texts, 3)]
    ours = lexical(4)
    ours.fit(texts, y)
    theirs = pipeline(LogisticRegression(C=10.0, max_iter=3000, tol=1e-8)).fit(texts, y)
    found = ours(texts).exp().numpy()
    assert found[:, 2].max() < 1e-3
    np.testing.assert_allclose(found[:, [0, 1, 3]], theirs.predict_proba(texts), atol=1e-3)


@pytest.mark.parametrize("only", [0, 1, 2])
def test_a_single_class_is_all_there_is(only: int) -> None:
    ours = lexical(3)
    ours.fit(["amber boat", "candle"], np.array([only, only]))
    assert bool((ours(["amber", ""])[:, only].exp() > 0.99).all())


@pytest.mark.parametrize("texts", [["", "", " ", "!"], ["amber", "boat", "candle", "door"]], ids=["empty", "rare"])
def test_without_terms_what_is_left_is_how_frequent_the_classes_are(texts: list[str]) -> None:
    ours = lexical(2, min_count=3)
    ours.fit([*texts] * 15 if not texts[0] else [*texts, *[""] * 56], np.array([0, 0, 0, 1] * 15))
    torch.testing.assert_close(ours(["amber", ""]).exp(), torch.tensor([[0.75, 0.25]] * 2), atol=1e-3, rtol=0)
    assert ours.sizes == {"vocabulary": 0, "terms_bytes": 0}


def test_several_labels_are_regressions_of_their_own() -> None:
    texts = toy_texts(60)
    y = np.stack([labels(texts, 2), np.zeros(60), np.ones(60)], 1)
    ours = lexical(3, "multi")
    ours.fit(texts, y)
    theirs = pipeline(LogisticRegression(C=10.0, max_iter=3000, tol=1e-8)).fit(texts, y[:, 0])
    found = expit(ours(texts).numpy())
    np.testing.assert_allclose(found[:, 0], theirs.predict_proba(texts)[:, 1], atol=2e-4)
    assert found[:, 1].max() < 1e-4 and found[:, 2].min() > 1 - 1e-4


def test_a_number_is_a_ridge_regression() -> None:
    texts = toy_texts(60)
    y = np.array([len(text) / 10 for text in texts])
    ours = lexical(1, "regression")
    ours.fit(texts, y)
    theirs = pipeline(Ridge(alpha=0.1)).fit(texts, y)
    np.testing.assert_allclose(ours(texts)[:, 0].numpy(), theirs.predict(texts), atol=1e-3)


def test_tempered_log_probabilities() -> None:
    ours, texts = lexical(3), toy_texts(60)
    ours.fit(texts, labels(texts, 3))
    plain = ours(texts)
    ours.temperature.fill_(2.0)
    torch.testing.assert_close(ours(texts), (plain / 2).log_softmax(-1))


def test_loaded_tensors_replace_the_look_up() -> None:
    texts = toy_texts(60)
    one, other = lexical(2), lexical(2)
    one.fit(texts, labels(texts, 2))
    other.fit(texts, 1 - labels(texts, 2))
    before = other(texts)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other(texts), one(texts))
    assert not torch.equal(before, one(texts))


TOKENS = [
    ("Café, CAFÉ!", ["cafe", "cafe"]), ("it's a 5-star", ["it", "s", "a", "star"]), ("不好看", ["不", "好", "看"]),
    ("Straße №5", ["straße", "no5"]), ("カメラok", ["カ", "メ", "ラ", "ok"]), ("환불 요청", ["환", "불", "요", "청"]),
    ("", []), ("🙂🙂", []), ("ab_c 12", ["ab_c", "12"]),
]


@pytest.mark.parametrize(("text", "expected"), TOKENS)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_terms_are_runs_of_words() -> None:
    assert terms_of("one two three", 3) == ["one", "two", "three", "one two", "two three", "one two three"]


def test_terms_are_runs_of_characters_too() -> None:
    assert terms_of("a no", 1, 3) == ["a", "no", "~<a", "~a>", "~<a>", "~<n", "~no", "~o>", "~<no", "~no>"]
    assert not set(terms_of("no", 2)) & set(runs_of("no", 4))
    assert runs_of("a" * 10**6, 3) == runs_of("a" * 100, 3)  # one endless word is no reason to run out of memory


def test_the_map_of_many_classes_is_all_but_the_best() -> None:
    rng = np.random.default_rng(0)
    features = csr_matrix(rng.random((600, 300), np.float32) * (rng.random((600, 300)) < 0.05))
    y = rng.integers(0, 60, 600)
    weight, bias = solve(features, y, 60, "single", 10.0)
    true = LogisticRegression(C=10.0, max_iter=5000, tol=1e-8).fit(features.astype(np.float64), y)

    def value(weight: Any, bias: Any) -> float:
        given = torch.from_numpy(features @ np.asarray(weight)) + torch.from_numpy(np.asarray(bias))
        return float(cross_entropy(given, torch.from_numpy(y))) + float((np.asarray(weight) ** 2).sum()) / 2 / 10 / 600

    best, nothing = value(true.coef_.T, true.intercept_), math.log(60)
    assert value(weight.numpy(), bias.numpy()) < best + 1e-3 * (nothing - best)


def spelled(count: int, typed: bool) -> tuple[list[str], np.ndarray]:
    """Texts whose class shows in the ends of words that are never the same twice, or in whole words alone."""
    rng = np.random.default_rng(3)
    y, letters = rng.integers(0, 4, count), np.array(list("bcdfghklmnprst"))
    stems = ["".join(rng.choice(letters, 5)) for _ in range(count)]
    ends, whole = ("ingo", "anda", "ulus", "erex"), ("amber", "boat", "candle", "door")
    return [f"{stem}{ends[c]} the" if typed else f"{stem} {whole[c]}" for stem, c in zip(stems, y, strict=True)], y


@pytest.mark.parametrize(("typed", "longest"), [(True, LONGEST), (False, 0)], ids=["ends", "words"])
def test_runs_of_characters_are_terms_where_rows_held_out_say_so(typed: bool, longest: int) -> None:
    texts, y = spelled(400, typed)
    ours, few = lexical(4, characters=-1), lexical(4, characters=-1)
    ours.fit(texts[:300], y[:300])
    found = [term for term in bytes(ours.terms.numpy()).decode().split("\n") if term.startswith("~")]
    assert max((len(term) - 1 for term in found), default=0) == longest
    assert float((ours(texts[300:]).argmax(1).numpy() == y[300:]).mean()) > 0.95
    few.fit(texts[:150], y[:150])
    assert b"~" not in bytes(few.terms.numpy())


def test_of_very_many_rows_words_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, y = spelled(300, typed=True)
    ours = lexical(4, characters=-1)
    monkeypatch.setattr("fgdesign.model.lexical_fit.MOST_ROWS", 299)
    ours.fit(texts, y)
    assert b"~" not in bytes(ours.terms.numpy())


@pytest.mark.parametrize("kind", ["multi", "regression"])
def test_labels_and_numbers_have_runs_of_characters_too(kind: str) -> None:
    texts, y = spelled(400, typed=True)
    ours = lexical(4 if kind == "multi" else 1, kind, characters=-1)
    ours.fit(texts, np.eye(4)[y] if kind == "multi" else y.astype(np.float32))
    assert b"~<" in bytes(ours.terms.numpy()) or b"~in" in bytes(ours.terms.numpy())


def test_a_loaded_function_counts_what_the_fitted_one_did() -> None:
    texts, y = spelled(60, typed=True)
    one = lexical(4, characters=3)
    one.fit(texts, y)
    other = lexical(4, characters=-1, **one.sizes)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other([*texts, "new wordingo"]), one([*texts, "new wordingo"]))
    assert not torch.equal(other(["wordingo"]), other(["wordulus"]))


def test_words_are_forgotten_when_too_many_were_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, y = spelled(60, typed=True)
    ours = lexical(4, characters=3)
    ours.fit(texts, y)
    before = ours(texts)
    monkeypatch.setattr("fgdesign.model.lexical.KEPT", 3)
    ours.forget()
    assert torch.equal(ours(texts), before) and torch.equal(ours(texts), before)


K, P = "keyword", "pattern"
FIRES: list[tuple[dict[str, Any], str, tuple[int, int] | bool | None]] = [
    ({"when": K, "words": ["refund"]}, "my REFUND, now", (3, 9)),
    ({"when": K, "words": ["refund"]}, "refund", (0, 6)),
    ({"when": K, "words": ["refund"]}, "refunds", False),
    ({"when": K, "words": ["art"]}, "party", False),
    ({"when": K, "words": ["zoo", "pay back"]}, "please pay back the zoo", (7, 15)),
    ({"when": K, "words": ["été"]}, "l'Été dernier", (2, 5)),
    ({"when": K, "words": ["ete"]}, "répété", False),
    ({"when": K, "words": ["été"]}, "répété", False),
    ({"when": K, "words": ["c++"]}, "c++ or c", (0, 3)),
    ({"when": K, "words": ["a.c"]}, "abc", False),
    ({"when": K, "words": ["退款"]}, "我要退款了", (2, 4)),
    ({"when": K, "words": ["vip"]}, "我的VIP客户", (2, 5)),
    ({"when": K, "words": ["환불"]}, "환불을 원해요", (0, 2)),
    ({"when": K, "words": ["x"]}, "🙂 x", (2, 3)),
    ({"when": K, "words": ["snake"]}, "snake_case", False),
    ({"when": P, "pattern": r"\d{4}-\d\d"}, "due 2024-05 ☂", (4, 11)),
    ({"when": P, "pattern": r"(?i)straße"}, "🙂 STRAßE", (2, 8)),
    ({"when": P, "pattern": r"^$"}, "", (0, 0)),
    ({"when": P, "pattern": "b"}, "\ud800b", (1, 2)),
    ({"when": P, "pattern": "b"}, "a\x00b", (2, 3)),
    ({"when": "length", "at_most": 2}, "two words", None),
    ({"when": "length", "at_most": 2}, "now three words", False),
    ({"when": "length", "at_least": 3}, "now three words", None),
    ({"when": "length", "at_most": 0}, "", None),
    ({"when": "script", "script": "han"}, "退款 ok", False),
    ({"when": "script", "script": "han"}, "我要退款 ok", None),
    ({"when": "script", "script": "other"}, "123 !?", None),
    ({"when": "column", "column": "source", "equals": "web"}, "", None),
    ({"when": "column", "column": "source", "equals": "we"}, "", False),
    ({"when": "column", "column": "absent", "equals": ""}, "", False),
    ({"when": "confidence", "below": 0.5}, "", None),
    ({"when": "confidence", "at_least": 0.41}, "", False),
]


@pytest.mark.parametrize(("rule", "text", "span"), FIRES)
def test_a_rule_fires_and_shows_where(rule: dict[str, Any], text: str, span: tuple[int, int] | bool | None) -> None:
    rule = {**rule, "to": 2}
    assert rule_problem(rule, 3) is None
    decision = decide([rule], 3, text, {"source": "web"}, 0.4)
    if span is False:
        assert decision == Decision(3, 0, "no rule matches: default branch")
    else:
        assert (decision.branch, decision.rule, decision.span) == (2, 1, span)
        assert decision.reason


REASONS = [
    ({"when": "length", "at_most": 3}, "2 words: at most 3"), ({"when": K, "words": ["is"]}, "keyword 'is'"),
    ({"when": P, "pattern": "i."}, "pattern 'is'"), ({"when": "script", "script": "latin"}, "script is latin"),
    ({"when": "column", "column": "source", "equals": "web"}, "source is 'web'"),
    ({"when": "confidence", "below": 0.5}, "0.40 confidence: below 0.5"),
]


@pytest.mark.parametrize(("rule", "reason"), REASONS)
def test_a_rule_gives_its_reason(rule: dict[str, Any], reason: str) -> None:
    assert decide([{**rule, "to": 1}], 2, "this is", {"source": "web"}, 0.4).reason.startswith(reason) or \
        decide([{**rule, "to": 1}], 2, "is so", {"source": "web"}, 0.4).reason == reason


def test_the_first_rule_that_matches_wins() -> None:
    rules = [{"when": "length", "at_most": 1, "to": 1}, {"when": K, "words": ["b"], "to": 2},
             {"when": P, "pattern": ".", "to": 3}]
    assert [decide(rules, 4, text, {}).rule for text in ("b", "a b", "a c", " \n")] == [1, 2, 3, 1]


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*)*x", r"(a?){500}a{500}"])
def test_a_hostile_pattern_takes_no_time(pattern: str) -> None:
    assert rule_problem({"when": P, "pattern": pattern, "to": 1}, 2) is None
    start = time.process_time()
    decide([{"when": P, "pattern": pattern, "to": 1}], 2, "a" * 20_000 + "!", {})
    assert time.process_time() - start < 5.0


def test_many_keywords_are_one_small_pattern(capfd: pytest.CaptureFixture[str]) -> None:
    rule = {"when": K, "words": [f"word{i}" for i in range(400)] + ["été", "退款"], "to": 1}
    assert decide([rule], 2, "longword7 " * 500 + "word399", {}).span == (5000, 5007)
    assert capfd.readouterr().err == ""


SCRIPTS = [
    ("hello", "latin"), ("привет", "cyrillic"), ("γεια", "greek"), ("مرحبا", "arabic"), ("שלום", "hebrew"),
    ("नमस्ते", "devanagari"), ("你好", "han"), ("こんにちは", "kana"), ("カメラ", "kana"), ("안녕", "hangul"),
    ("สวัสดี", "thai"), ("", "other"), ("12 🙂", "other"), ("привет ok", "cyrillic"),
]


@pytest.mark.parametrize(("text", "script"), SCRIPTS)
def test_script(text: str, script: str) -> None:
    assert script_of(text) == script
