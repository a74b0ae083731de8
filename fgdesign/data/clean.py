"""Texts without what a page or a program has left in them, and columns of yes and no. Knows strings only."""

from __future__ import annotations

import html
import re

TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|br|center|code|dd|div|dl|dt|em|font|h[1-6]|hr|i|img|li|ol|p|pre|s|small|span|strike"
    r"|strong|sub|sup|table|tbody|td|th|thead|tr|tt|u|ul)(?:\s[^<>]*|/)?>", re.IGNORECASE,
)  # fmt: skip
ENTITY = re.compile(  # each is one that `html.unescape` knows: names have one way of writing, or two
    r"&(?:amp|AMP|lt|LT|gt|GT|quot|QUOT|apos|nbsp|#\d{1,6}|#[xX][0-9a-fA-F]{1,5}|[lr][sd]quo|[mn]dash|hellip"
    r"|euro|pound);"
)
AMOUNT = re.compile(
    r"[$€£¥]?\s*([+-]?(?:\d{1,3}(?:[,\u2009\u00a0' ]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?))\s*(?:[%$€£¥]|EUR|USD|GBP)?"
)  # a number with its unit or with signs between thousands
SPACES = re.compile("[ \t\xa0]{2,}")
# not what joins letters and emoji
HIDDEN = re.compile("[\xad\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ON = frozenset(("1", "1.0", "true", "yes", "y", "x", "ja", "oui", "si", "s\u00ed", "wahr", "vrai", "t"))
OFF = frozenset(("0", "0.0", "false", "no", "n", "", "nein", "non", "falsch", "faux", "f"))


def plain_number(cell: str) -> str:
    """The number in a cell such as "12 %", "$1,234.50" or "3,5 €"; "" where it is something else."""
    found = AMOUNT.fullmatch(cell.strip())
    if found is None:
        return ""
    number = re.sub(r"(?<=\d)[,\u2009\u00a0' ](?=\d{3}(?:\D|$))", "", found[1])
    return number.replace(",", ".")


def has_markup(text: str) -> bool:
    """Whether tags or entities of HTML are in a text."""
    return ("<" in text and TAG.search(text) is not None) or ("&" in text and ENTITY.search(text) is not None)


def has_hidden(text: str) -> bool:
    """Whether signs that nobody sees are in a text."""
    return not text.isascii() and HIDDEN.search(text) is not None


def one_of(text: str) -> str:
    """The first tag, entity or hidden sign in a text, "" for none."""
    found = TAG.search(text) or ENTITY.search(text) or HIDDEN.search(text)
    return found[0] if found else ""


def without_markup(text: str) -> str:
    """The text as a page would show it; one without tags and entities stays as it is."""
    before = ""
    while text != before and has_markup(text):
        before, text = text, SPACES.sub(" ", html.unescape(TAG.sub(" ", text))).strip()
    return text


def without_hidden(text: str) -> str:
    """The text without signs that nobody sees."""
    return HIDDEN.sub("", text)
