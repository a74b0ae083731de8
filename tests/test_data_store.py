"""Stored data sets, their copies in columns, versions by edits, and work in a process with limits."""

from __future__ import annotations

import io
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from fgdesign.data import apart, jobs, kept, read_table, store
from fgdesign.data.edits import Edits, apply_edits, edits_from
from fgdesign.data.lengths import token_counter, tokenizer_folder, tokens_read
from fgdesign.data.profile import histogram, profile
from fgdesign.data.recipe import Recipe, recipe_json
from fgdesign.data.repair import Repair
from fgdesign.errors import DataError
from fgdesign.graph import load_graph
from fgdesign.graph.spec import Graph

TEXT = "text,label\n" + "".join(f"parcel {i} is late,{'late' if i % 3 else 'lost'}\n" for i in range(40))


def quiet(part: int, whole: int) -> None:
    """Progress nobody looks at."""


@pytest.fixture
def stored(tmp_path: Path) -> store.DataFile:
    file = store.add(io.BytesIO(TEXT.encode()), "tickets.csv", tmp_path / "data", owner="ann")
    jobs.keep_copy(str(file.path), file.name, quiet)
    return file


def sleep_long(tell: apart.Progress) -> None:
    tell(1, 4)
    time.sleep(60)


def fill_memory(tell: apart.Progress) -> int:
    return len(np.ones(1 << 29))


def end_at_once(tell: apart.Progress) -> None:
    os._exit(3)


def print_and_answer(word: str, tell: apart.Progress) -> dict[str, object]:
    print("noise on standard output")
    return {"word": word, "pid": os.getpid()}


HERE = "test_data_store"


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_work_apart_answers_from_another_process(importable: None) -> None:
    found = apart.run(f"{HERE}:print_and_answer", {"word": "é\n"}, name="x")
    assert found["word"] == "é\n" and found["pid"] != os.getpid()


def test_work_apart_that_takes_too_long_is_ended(importable: None) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(DataError, match=r"big\.csv was not done with after 8 s"):
        apart.run(f"{HERE}:sleep_long", {}, name="big.csv", seconds=8, progress=lambda *part: seen.append(part))
    assert (1, 4) in seen


def test_work_apart_that_fills_the_memory_or_breaks_is_a_message(importable: None) -> None:
    with pytest.raises(DataError, match=r"big\.csv cannot be worked on: it needs more than 2 GB of memory"):
        apart.run(f"{HERE}:fill_memory", {}, name="big.csv", memory=2_000_000_000)
    with pytest.raises(DataError, match=r"odd\.csv cannot be worked on: the process"):
        apart.run(f"{HERE}:end_at_once", {}, name="odd.csv", memory=None)


def test_who_stops_waiting_ends_the_work(importable: None) -> None:
    def stop(part: int, whole: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart.run(f"{HERE}:sleep_long", {}, name="x", progress=stop)


def test_a_refused_file_is_refused_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match="pic is a PNG picture"):
        apart.run("fgdesign.data.jobs:keep_copy", {"path": str(tmp_path / "x.csv"), "name": "pic"}, name="pic")


def test_a_kept_copy_is_the_table(stored: store.DataFile) -> None:
    copy, fresh = kept.load_kept(stored.path), read_table(io.BytesIO(TEXT.encode()))
    assert copy is not None and copy.frame.equals(fresh.frame) and (copy.row_numbers == fresh.row_numbers).all()
    assert (copy.notes, copy.encoding, copy.delimiter, copy.sha256) == (fresh.notes, "utf-8", ",", fresh.sha256)
    stored.path.write_text("text,label\nother,x\n")  # what reads next finds the copy
    assert len(read_table(stored.path)) == 40


def test_a_broken_or_foreign_copy_is_not_taken(stored: store.DataFile, tmp_path: Path) -> None:
    other = tmp_path / "mine.csv"
    other.write_text("text,label\nother,x\nsecond,y\n")
    kept.kept_path(other).write_bytes(kept.kept_path(stored.path).read_bytes())
    assert kept.load_kept(other) is None and len(read_table(other)) == 2
    kept.kept_path(stored.path).write_bytes(b"ARROW1 and no more")
    assert kept.load_kept(stored.path) is None and len(read_table(stored.path)) == 40


def test_content_is_stored_once_with_name_owner_and_time(stored: store.DataFile) -> None:
    folder = stored.path.parent
    again = store.add(io.BytesIO(TEXT.encode()), "other.csv", folder, owner="bob")
    assert (again.id, again.name, again.owner) == (stored.id, "other.csv", "bob")
    assert [file.id for file in store.entries(folder)] == [stored.id] and again.stored >= stored.stored > 0
    store.remove(again)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "name", ["../../evil.csv", "..\\evil.csv", "a\0b.csv", "CON", "x" * 300, "\\\\host\\x.csv", ""]
)
def test_a_name_is_never_a_path(name: str, tmp_path: Path) -> None:
    file = store.add(io.BytesIO(b"text,label\na,b\n"), name, tmp_path / "data")
    assert file.path.parent == tmp_path / "data" and file.name == name
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / "data"}
    assert store.find("../" + file.id, tmp_path / "data") is None


def test_an_edit_makes_a_version_that_says_what_was_changed(stored: store.DataFile) -> None:
    folder = stored.path.parent
    edits = Edits(((2, "label", "lost", "late"), (3, "text", "parcel 1 is late", 'so "late", it is')), (5,))
    about = {"owner": "ann", "parent": stored.id, "change": {"edits": edits.to_dict()}}
    made = jobs.store_edited(str(stored.path), "tickets.csv", str(folder), edits.to_dict(), about, quiet)
    new = store.find(made, folder)
    assert new is not None and (new.parent, new.change["said"]) == (stored.id, ["2 cells changed, 1 row excluded."])
    assert edits_from(new.change["edits"]) == edits
    frame = read_table(new.path).frame
    assert frame["label"].tolist()[:3] == ["late"] * 3 and len(frame) == 39
    assert frame["text"].iloc[1] == 'so "late", it is'
    assert read_table(stored.path).frame["label"].iloc[0] == "lost"
    assert [file.id for file in store.family(new, folder)] == [stored.id, new.id] == [
        file.id for file in store.family(stored, folder)
    ]


def test_a_recipe_makes_a_version(stored: store.DataFile) -> None:
    recipe = Recipe((Repair("drop_classes", ("label",), labels=("lost",)),))
    about = {"owner": "", "parent": stored.id, "change": {"recipe": recipe.to_dict()}}
    folder = stored.path.parent
    made = jobs.store_repaired(str(stored.path), "tickets.csv", str(folder), recipe_json(recipe), about, quiet)
    new = store.find(made, folder)
    assert new is not None and new.change["said"] == ["Drop the rows of 'lost': 14 rows dropped."]
    assert kept.load_kept(new.path) is not None and len(read_table(new.path)) == 26


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (Edits(((2, "label", "x", "y"),)), "Row 2 has 'lost' in 'label', not 'x'"),
        (Edits(((99, "label", "x", "y"),)), "There is no row 99"),
        (Edits(((2, "lable", "x", "y"),)), "There is no column 'lable'"),
        (Edits((), tuple(range(2, 42))), "Every row would be excluded"),
    ],
)
def test_edits_that_do_not_fit_are_refused(edits: Edits, message: str) -> None:
    with pytest.raises(DataError, match=message):
        apply_edits(edits, read_table(io.BytesIO(TEXT.encode())))


@pytest.mark.parametrize("broken", [{}, {"format": "x"}, {"format": "fgdesign.edits/1", "cells": [1], "dropped": []}])
def test_what_are_no_edits_is_said(broken: dict[str, object]) -> None:
    with pytest.raises(DataError, match="These are no edits"):
        edits_from(broken)


def test_tokens_are_counted_exactly_near_the_limit() -> None:
    folder = tokenizer_folder(Graph(""))
    assert folder is not None
    counter, chance = token_counter(folder), random.Random(3)
    alphabet = ["late", "parcel", "unbelievableness", "naïve", "说好", "!!!", "привет", "한국", "x1y2", "🙂"]
    texts = [" ".join(chance.choices(alphabet, k=chance.randint(0, 40))) for _ in range(300)] + ["a" * 5000, ""]
    exact = counter.count(texts)
    for limit in (3, 12, 30, 64):
        assert ((counter.against(texts, limit) > limit) == (exact > limit)).all()
    with pytest.raises(DataError, match="The limit of 0 tokens"):
        counter.against(["a"], 0)


def test_what_a_graph_reads() -> None:
    assert tokens_read(Graph("")) == 256 and tokens_read(load_graph("cheap-word-first")) == 64
    assert tokenizer_folder(Graph("", backbone="somebody/else")) is None


def test_a_profile_tells_what_a_page_shows() -> None:
    table = read_table(io.BytesIO((TEXT + "Parcel 1, is late!,late\n,late\n").encode()))
    counter = token_counter(tokenizer_folder(Graph("")) or Path())
    told = json.loads(json.dumps(profile(table, columns={}, counter=counter)))
    assert (told["rows"], told["used"], told["task"]) == (42, 41, "single")
    assert told["columns"] == told["guess"] == {"text": "text", "text_b": None, "label": "label"}
    assert told["sizes"] == [["late", 27], ["lost", 14]] and sum(told["words"]["counts"]) == 41
    assert told["samples"]["lost"][0] == [2, "parcel 0 is late"] and told["cut"] == 0.0
    assert [[row[0] for row in group] for group in told["near"]] == [[3, 42]]
    assert told["counted"] == told["used"] == 41
    assert "empty_texts" in {finding["code"] for finding in told["findings"]} and told["problem"] == ""
    dropped = profile(table, columns={}, recipe=Recipe((Repair("drop_rows", ("text",), "empty_text"),)))
    assert (dropped["rows"], dropped["said"]) == (41, ["Drop rows without a text in 'text': 1 row dropped."])


def test_a_profile_of_what_cannot_be_learnt_from_says_why() -> None:
    told = profile(read_table(io.BytesIO(b"text,label\na b,x\nc d,x\n")), columns={})
    assert "Every label in column 'label' is 'x'" in told["problem"] and "sizes" not in told


def test_a_profile_of_numbers_and_of_several_labels() -> None:
    rows = "text,score\n" + "".join(f"t {i},{i / 7}\n" for i in range(30))
    numbers = profile(read_table(io.BytesIO(rows.encode())), columns={})
    assert numbers["task"] == "regression" and sum(numbers["numbers"]["counts"]) == 30 and numbers["sizes"] == []
    several = "text,tags\n" + "".join(f"t {i},{'a|b' if i % 2 else 'a'}\n" for i in range(20))
    told = profile(read_table(io.BytesIO(several.encode())), columns={}, task="multi")
    assert told["sizes"] == [["a", 20], ["b", 10]] and told["samples"]["b"][0][1] == "t 1"


@pytest.mark.parametrize("values", [[1, 2, 2, 3], [5], list(range(1, 200)), [0, 0, 7], [3] * 99 + [400]])
def test_lengths_are_counted_in_bins_of_whole_numbers(values: list[int]) -> None:
    told = histogram(values)
    edges = np.array(told["edges"])
    assert sum(told["counts"]) == len(values) and (edges % 1 == 0.5).all() and len(set(np.diff(edges))) == 1


def test_numbers_with_fractions_keep_even_bins() -> None:
    assert sum(histogram([0.1, 0.25, 0.7])["counts"]) == 3


def test_a_file_that_is_brought_in_again_stays_before_its_versions(tmp_path: Path) -> None:
    first = store.add(io.BytesIO(b"text,label\na,x\n"), "a.csv", tmp_path)
    second = store.add(io.BytesIO(b"text,label\nb,x\n"), "a.csv", tmp_path, parent=first.id)
    third = store.add(io.BytesIO(b"text,label\nc,x\n"), "a.csv", tmp_path, parent=second.id)
    again = store.add(io.BytesIO(b"text,label\na,x\n"), "a.csv", tmp_path)
    assert again.id == first.id and again.stored > third.stored
    assert [file.id for file in store.family(again, tmp_path)] == [first.id, second.id, third.id]
    assert [file.id for file in store.family(third, tmp_path)] == [first.id, second.id, third.id]
