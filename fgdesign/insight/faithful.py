"""Whether shown words carry the answer: it falls when they are cut out, and stays when they alone are kept.

Comprehensiveness and sufficiency as in ERASER (DeYoung et al. 2020, https://arxiv.org/abs/1911.03429), beside words
drawn at random. Knows nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.insight.attribute import Attribution, of_answer, without

SHARE = 0.2  # of a text's words that are shown
DRAWS = 5  # of as many words at random
FEWEST = 5  # words: shorter texts have nothing to choose from
COLUMNS = ("text", "words", "shown", "comprehensiveness", "random_comprehensiveness", "sufficiency",
           "random_sufficiency")


def words_of(attribution: Attribution) -> list[tuple[list[int], float]]:
    """The text's words, each with the places of its tokens and the sum of their values."""
    found: list[tuple[list[int], float]] = []
    end = -1
    for place, (start, stop) in enumerate(attribution.spans):
        if stop <= start:
            continue
        joined = start == end and attribution.text[start].isalnum() and attribution.text[start - 1].isalnum()
        if joined and found:
            found[-1] = ([*found[-1][0], place], found[-1][1] + float(attribution.values[place]))
        else:
            found.append(([place], float(attribution.values[place])))
        end = stop
    return found


def faithfulness(run: Any, texts: Sequence[str], *, share: float = SHARE, draws: int = DRAWS, seed: int = 0,
                 progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """Per text how far the probability of its answer falls; of classes. Texts under FEWEST words are left out.

    Columns: text; words; shown (how many are cut or kept); comprehensiveness (fall without the words that raised the
    answer most; large is good) and sufficiency (fall with these words alone; small is good), each beside the mean over
    as many words drawn at random.
    """
    rng, rows = np.random.default_rng(seed), []
    for number, text in enumerate(texts, 1):
        attribution = of_answer(run, run.one(text))
        words = words_of(attribution)
        if len(words) >= FEWEST:
            rows.append(_one(run, text, attribution, words, max(1, round(share * len(words))), draws, rng))
        if progress:
            progress(number, len(texts))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _one(run: Any, text: str, attribution: Attribution, words: list[tuple[list[int], float]], count: int, draws: int,
         rng: np.random.Generator) -> dict[str, Any]:
    best = sorted(range(len(words)), key=lambda i: -words[i][1])[:count]
    chosen = [best, *(rng.choice(len(words), count, replace=False).tolist() for _ in range(draws))]
    places = [[place for i in some for place in words[i][0]] for some in chosen]
    asked = [text, *(without(attribution, some) for some in places),
             *(without(attribution, some, keep=True) for some in places)]
    told = run.predict(asked)
    label = told[0]["prediction"]
    falls: NDArray[np.float64] = told[0]["probabilities"][label] - np.array(
        [row["probabilities"][label] for row in told[1:]])
    cut, kept = falls[: draws + 1], falls[draws + 1:]
    return {"text": text, "words": len(words), "shown": count, "comprehensiveness": float(cut[0]),
            "random_comprehensiveness": float(cut[1:].mean()), "sufficiency": float(kept[0]),
            "random_sufficiency": float(kept[1:].mean())}
