"""The map of texts: vectors as the reference gives them, the same places again, close texts of other labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_rows import rows_of

from fgdesign.data import load_dataset
from fgdesign.insight import text_map as maps
from fgdesign.views.map_figure import text_map as drawn

NO_RECIPE = json.dumps({"format": "fgdesign.recipe/1", "repairs": []})
COLUMNS = {"text": "text", "text_b": None, "label": "label"}


def test_vectors_are_the_means_of_the_last_hidden_states(tiny_backbone: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = ["where is my parcel", "refund the broken lamp now please", "x"]
    seen: list[tuple[int, int]] = []
    found = maps.embeddings(texts, str(tiny_backbone), lambda part, whole: seen.append((part, whole)))
    model, tokenizer = AutoModel.from_pretrained(tiny_backbone).eval(), AutoTokenizer.from_pretrained(tiny_backbone)
    for text, vector in zip(texts, found, strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert np.allclose(vector, mean / mean.norm(), atol=1e-5)
    assert seen[-1] == (3, 3)


def test_a_map_is_the_same_again_and_finds_what_contradicts(tiny_backbone: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    lines = [f"{text},{label}" for text, label in rows_of(60)]
    lines.append(lines[0].rpartition(",")[0] + ".,elsewhere")
    file.write_text("text,label\n" + "\n".join([*lines, "one more,elsewhere"]) + "\n", "utf-8")
    first, again = (
        maps.text_map(str(file), COLUMNS, "auto", NO_RECIPE, str(tiny_backbone), lambda part, whole: None) for _ in "ab"
    )
    assert first == again == json.loads(json.dumps(first))
    assert len(first["x"]) == len(first["y"]) == len(first["rows"]) == len(first["texts"]) == 62
    assert all(one[2] != one[5] for one in first["pairs"]) and first["pairs"][0][0] > maps.CLOSE


@pytest.mark.parametrize("rows", [1, 2, 5, 29])
def test_few_rows_have_a_map_too(rows: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(rows, 8)).astype(np.float32)
    assert maps.placed(vectors).shape == (rows, 2)


def test_the_picture_has_every_point_and_only_text(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    labels = [f"label {place % 11}" for place in range(40)] + [evil]
    places = list(range(41))
    found = {"x": places, "y": places, "rows": list(range(2, 43)), "labels": labels, "texts": [evil] * 41}
    chart = drawn(found, dark=True)
    assert sum(len(trace.x) for trace in chart.data) == 41 and len(chart.data) == 8
    assert sorted(row for trace in chart.data for row in trace.customdata) == found["rows"]
    assert "<img" not in chart.to_json() and drawn({"labels": []}).layout.annotations


def test_numbers_and_several_labels_have_words() -> None:
    import io

    numbers = load_dataset(io.BytesIO(("text,score\n" + "".join(f"t {i},{i / 9}\n" for i in range(30))).encode()))
    assert set(maps._label_words(numbers)) == {"up to 1.07", "1.07 to 2.15", "above 2.15"}
    several = "text,tags\n" + "".join(f"t {i},{'a|b' if i % 2 else 'a'}\n" for i in range(20))
    assert maps._label_words(load_dataset(io.BytesIO(several.encode()), task="multi"))[:2] == ["a", "a, b"]
