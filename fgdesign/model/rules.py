"""Rules of a rule router: which branch a row takes, and what in it decided.

Patterns run on RE2, so no pattern can hang a run. Knows nothing of graphs; rules are plain data as
`fgdesign.graph.catalogue.selectors.RULE_KINDS` describes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

TEXT_RULES = ("length", "keyword", "pattern", "script")  # the kinds that look at the raw text
SCRIPT_WORDS = {
    "LATIN": "latin", "CYRILLIC": "cyrillic", "GREEK": "greek", "ARABIC": "arabic", "HEBREW": "hebrew",
    "DEVANAGARI": "devanagari", "CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana", "HANGUL": "hangul",
    "THAI": "thai",
}


UNSPACED = (r"\x{0E00}-\x{0EFF}\x{1000}-\x{109F}\x{1780}-\x{17FF}\x{3040}-\x{30FF}\x{3400}-\x{9FFF}"
            r"\x{AC00}-\x{D7AF}\x{20000}-\x{3FFFF}")  # Thai, Lao, Burmese, Khmer, kana, Han, hangul
LONE = re.compile("[\ud800-\udfff]")  # halves of surrogate pairs, which are no characters


@dataclass(frozen=True)
class Decision:
    """branch: from 1. rule: place of the rule that fired, from 1, or 0 for the default. reason: for people.

    span: start and end of the matching characters in the text, where there are some.
    """

    branch: int
    rule: int
    reason: str
    span: tuple[int, int] | None = None


def decide(rules: Sequence[Mapping[str, Any]], default: int, text: str, columns: Mapping[str, str],
           confidence: float | None = None) -> Decision:
    """The first rule that matches wins; the default branch where none does."""
    for place, rule in enumerate(rules, 1):
        hit = _match(rule, text, columns, confidence)
        if hit is not None:
            return Decision(rule["to"], place, *hit)
    return Decision(default, 0, "no rule matches: default branch")


def script_of(text: str) -> str:
    """The script of most letters, or "other"."""
    counts: dict[str, int] = {}
    for char in text[:2000]:
        if char.isalpha():
            script = SCRIPT_WORDS.get(unicodedata.name(char, "").partition(" ")[0], "other")
            counts[script] = counts.get(script, 0) + 1
    return max(counts, key=lambda script: (counts[script], script)) if counts else "other"


def _match(rule: Mapping[str, Any], text: str, columns: Mapping[str, str],
           confidence: float | None) -> tuple[str, tuple[int, int] | None] | None:
    match rule["when"]:
        case "length":
            return _within(len(text.split()), rule, "words")
        case "confidence":
            return None if confidence is None else _within(confidence, rule, "confidence")
        case "keyword":
            return _search(_keyword_pattern(tuple(rule["words"])), text, "keyword")
        case "pattern":
            return _search(rule["pattern"], text, "pattern")
        case "script":
            return (f"script is {rule['script']}", None) if script_of(text) == rule["script"] else None
        case "column":
            value = columns.get(rule["column"])
            return (f"{rule['column']} is {value!r}", None) if value == rule["equals"] else None
    return None


def _within(number: float, rule: Mapping[str, Any], unit: str) -> tuple[str, None] | None:
    said = f"{number:.2f} {unit}" if isinstance(number, float) else f"{number} {unit}"
    for key, holds in (("at_most", number <= rule.get("at_most", -1)), ("below", number < rule.get("below", -1)),
                       ("at_least", number >= rule.get("at_least", float("inf")))):
        if key in rule and holds:
            return f"{said}: {key.replace('_', ' ')} {rule[key]:g}", None
    return None


def _search(pattern: str, text: str, what: str) -> tuple[str, tuple[int, int]] | None:
    """What matched and where: the group that did in a keyword pattern, all of it in others."""
    found = _compiled(pattern).search(LONE.sub("\ufffd", text))
    if not found:
        return None
    group = found.lastindex if what == "keyword" else 0
    return f"{what} {found.group(group)!r}", found.span(group)


@lru_cache(maxsize=256)
def _keyword_pattern(words: tuple[str, ...]) -> str:
    """Whole words: no letter or digit beside them, save where writing has no blanks between words."""
    import re2

    groups: dict[tuple[bool, bool], list[str]] = {}
    for word in (word.strip() for word in words):
        ends = not re2.search(f"[{UNSPACED}]", word[0]), not re2.search(f"[{UNSPACED}]", word[-1])
        groups.setdefault(ends, []).append(re2.escape(word))
    beside = f"[^\\pL\\pM\\pN_]|[{UNSPACED}]"
    parts = (f"{f'(?:^|{beside})' if before else ''}({'|'.join(mine)}){f'(?:$|{beside})' if after else ''}"
             for (before, after), mine in groups.items())
    return f"(?i){'|'.join(parts)}"


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)
