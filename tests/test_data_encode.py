"""Token ids against the tokeniser's own call, and batches of like length."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from fgdesign.data import buckets, encode
from fgdesign.data.encode import CHUNK
from fgdesign.errors import DataError

TEXTS = ["one two three", "", "two two two two two two", "unheard of", "three"]
SECOND = ["three", "one", "one two three one two three", "", "two two two two two two"]


def tokenizer(words: int = 3) -> PreTrainedTokenizerFast:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "two", "three"] + [f"w{row}" for row in range(words)]
    backend = Tokenizer(models.WordLevel({name: row for row, name in enumerate(names)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")


@pytest.mark.parametrize("max_length", [4, 5, 8, 50])
@pytest.mark.parametrize("texts_b", [None, SECOND])
def test_ids_are_those_of_the_tokenizer(texts_b: list[str] | None, max_length: int) -> None:
    found = encode(tokenizer(), TEXTS, texts_b, max_length=max_length)
    expected = tokenizer()(TEXTS, texts_b, max_length=max_length, truncation=True, return_token_type_ids=True)
    whole = tokenizer()(TEXTS, texts_b)["input_ids"]
    rows = [slice(*pair) for pair in zip(found.offsets, found.offsets[1:], strict=False)]
    assert [found.ids[row].tolist() for row in rows] == expected["input_ids"]
    assert [found.segments[row].tolist() for row in rows] == expected["token_type_ids"]
    assert found.lengths.tolist() == [len(ids) for ids in expected["input_ids"]]
    assert found.truncated.tolist() == [len(ids) > max_length for ids in whole]
    assert (len(found), found.ids.dtype, found.offsets.dtype) == (5, np.uint16, np.int64)


def test_padding_and_truncation_of_the_tokenizer_do_not_matter() -> None:
    used = tokenizer()
    used(TEXTS, padding="max_length", truncation=True, max_length=4)
    assert encode(used, TEXTS, max_length=6).lengths.tolist() == [5, 2, 6, 4, 3]


def test_more_texts_than_one_chunk() -> None:
    texts = TEXTS * (CHUNK // len(TEXTS) + 2)
    found = encode(tokenizer(), texts, max_length=6)
    few = encode(tokenizer(), TEXTS, max_length=6)
    assert found.ids.tolist() == few.ids.tolist() * (len(texts) // len(TEXTS))
    assert found.truncated.tolist() == few.truncated.tolist() * (len(texts) // len(TEXTS))


def test_no_texts_and_large_vocabularies() -> None:
    empty = encode(tokenizer(), [], max_length=6)
    assert (len(empty), empty.ids.tolist(), empty.offsets.tolist()) == (0, [], [0])
    large = encode(tokenizer(words=70_000), ["w69999"], max_length=6)
    assert large.ids.dtype == np.uint32
    assert large.ids.tolist() == [2, 70_006, 3]


@pytest.mark.parametrize(("texts_b", "least"), [(None, 3), (SECOND, 4)])
def test_a_length_without_room_is_refused(texts_b: list[str] | None, least: int) -> None:
    with pytest.raises(DataError, match=f"no room for text: .* Choose at least {least}"):
        encode(tokenizer(), TEXTS, texts_b, max_length=least - 1)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("rows", "size"), [(0, 4), (1, 4), (103, 4), (1000, 7)])
def test_every_row_is_in_one_batch(rows: int, size: int, shuffle: bool) -> None:
    lengths = np.random.default_rng(0).integers(2, 60, rows)
    batches = buckets(lengths, size, seed=0, epoch=0, shuffle=shuffle)
    assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(rows))
    assert len(batches) <= -(-rows // size) + rows // (size * 50)
    assert all(0 < len(batch) <= size for batch in batches)


def test_batches_hold_rows_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(2, 60, 1000)
    for shuffle, waste in ((False, 1.02), (True, 1.1)):
        batches = buckets(lengths, 8, seed=0, epoch=0, shuffle=shuffle)
        padded = sum(lengths[batch].max() * len(batch) for batch in batches)
        assert padded < waste * lengths.sum()


def test_order_is_a_function_of_seed_and_epoch() -> None:
    lengths = np.arange(100) % 13

    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(buckets(lengths, 8, seed=seed, epoch=epoch, shuffle=True)).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2) != order(1, 2)
