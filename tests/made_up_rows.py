"""Made-up rows about three topics, for tests that train."""

from __future__ import annotations

from pathlib import Path

TOPICS = {
    "parcel": ("where is my parcel", "the parcel came late", "my box was lost on the way", "track the delivery van"),
    "refund": ("i want my money back", "refund the broken lamp", "you charged me twice", "cancel and pay me back"),
    "praise": ("what a lovely shop", "the staff were kind and fast", "great lamp and fair price", "i love this store"),
}
EXTRA = ("today", "please", "now", "again", "for the third time", "thanks", "from the shop in town", "since monday",
         "and soon", "with the blue label")


def rows_of(count: int) -> list[tuple[str, str]]:
    """(text, topic) of `count` different made-up rows, the three topics in turn."""
    names = list(TOPICS)
    rows = []
    for i in range(count):
        topic, turn = names[i % 3], i // 3
        base, extra = TOPICS[topic][turn % 4], EXTRA[turn // 4 % 10]
        rows.append((f"{base} {extra}" + (f" {turn // 40}" if turn >= 40 else ""), topic))
    return rows


def write_rows(path: Path, count: int = 60) -> Path:
    """A CSV of `rows_of` with the columns text and label."""
    lines = [f"{text},{label}" for text, label in rows_of(count)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", "utf-8")
    return path
