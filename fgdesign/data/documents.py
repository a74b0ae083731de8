"""Texts that other programs write and that are no tables: each is refused by its name, with the next step.

Knows the beginning of a text, whatever its encoding was; nothing of cells.
"""

from __future__ import annotations

import re

from fgdesign.errors import DataError

SAVE_AS = "Open it in the program it comes from and save it as CSV (UTF-8)."
COPY = "Copy its table into a spreadsheet and save that as CSV."
AS_JSON = "Write its records as JSON or CSV."
MOSTLY = 0.9  # of lines that must be written so
LOOKED_AT = 500  # lines
PAGE = "a web page or XML document"
LEAST = 8  # lines of BASE64 and of vectors

BEGINS: tuple[tuple[str, str, str], ...] = (  # how a text begins, what it is, what to do
    (r"(?is)(?:<!--.*?-->\s*)*<(?:!doctype|html|head|body|table|thead|tbody|tr|svg|style|script|\?xml)\b", PAGE,
     SAVE_AS),
    (r"(?is)<(?!(?:br|p|b|i|u|a|em|strong|span|hr|img|font)\b)(?P<tag>[a-z][\w:.-]*)(?: [^<>]*)?>\s*<(?=.*?</[a-z])"
     r"(?:(?!</(?P=tag)>).)*(?:</(?P=tag)>\s*)?\Z", PAGE, SAVE_AS),
    (r"MIME-Version:", PAGE, SAVE_AS),
    (r"(?i)(?:%[^\n]*\n|\s)*+@relation\b", "an ARFF file of Weka", SAVE_AS),
    (r"\[?\s*\{\s*'[^'\n]*'\s*:", "Python dictionaries, which only look like JSON",
     "Write them by json.dumps, one per line, or as CSV."),
    (r"\[\s*[\[(]\s*'[^'\n]*'\s*,", "Python lists, which only look like JSON",
     "Write them by csv.writer, or by json.dumps with names."),
    (r"(?:---[^\n]*\n)?(?:#[^\n]*\n)*- [\w-]+:(?: [^\n]*)?\n +[\w-]+:(?: |\n)", "YAML", AS_JSON),
    (r"(?:(?:---|#[^\n]*|[\w-]+:[^\n]*)?\n){0,40}?[\w-]+: *\n *- [\w-]+:(?: |\n)", "YAML", AS_JSON),
    (r"(?:#[^\n]*\n|\s)*+\[{1,2}[\w .-]+\]{1,2}\n(?:[\w.-]+ ?= ?[^\n]*\n|\s)++(?:\[|\Z)",
     "settings (INI or TOML)", AS_JSON),
    (r"(?:%[^\n]*\n|\s)*+\\(?:documentclass|begin\{)", "LaTeX", COPY),
    (r"\{\|[^\n|]*\n(?:\|\+[^\n]*\n)?[!|]", "a table of a wiki", COPY),
    (r"(?:%[^\n]*\n|\s)*+@[A-Za-z]+ ?\{[^,\s]*,\s*\n\s*[\w-]+ *=", "BibTeX", SAVE_AS),
    (r"BEGIN:V(?:CARD|CALENDAR)\b", "a list of contacts or dates (vCard, iCalendar)", SAVE_AS),
    (r"From [^\n]*\d\d:\d\d[^\n]*\n[\w-]+: ", "mail (mbox)", "Write subject, text and label of each mail as CSV."),
    (r"(?=(?:[^\n]*\n){0,40}?From: )(?:[A-Z][\w-]*: [^\n]*\n(?:[ \t][^\n]*\n)*){3,}\n", "mail",
     "Write subject, text and label of each mail as CSV."),
    (r"begin [0-7]{3} \S+\n", "a file packed by uuencode", "Unpack it, by: uudecode"),
    (r"HEADER RECORD\*{7}", "a SAS transport file (.xpt)", SAVE_AS),
    (r"ASCII SPSS PORT FILE", "an SPSS portable file (.por)", SAVE_AS),
    (r"diff --git |--- \S[^\n]*\n\+\+\+ \S[^\n]*\n@@ ", "the difference of two files", "Apply it, and give the file."),
)  # fmt: skip
LINES: tuple[tuple[str, str, str], ...] = (  # how nearly all lines are written
    (r"[-+]?\d[\d.,eE+-]*(?: qid:\d+)?(?: \d+:[-+\d.eE]+)+ *(?:#.*)?", "numbers of LIBSVM, not texts",
     "Give the texts they were made from, with their labels, as CSV."),
    (r"[-+]?\d+(?:\.\d+)?(?: \S+)? \|(?:text|t|w|words|x|body|title)(?::\S+)? .*", "lines of Vowpal Wabbit",
     "Write label and text of each line as CSV."),
    (r"\(\d+ (?:\(|\S+\)).*\)", "parse trees", "Give the sentences and their labels as CSV."),
    (r"\S+ (?:\S+ )*(?:O|[BIES]-[\w-]+)", "words with their tags, one on a line (CoNLL)",
     "Write each sentence and its label on one line, as CSV."),
)  # fmt: skip
_BEGINS = [(re.compile(form), what, advice) for form, what, advice in BEGINS]
_LINES = [(re.compile(form), what, advice) for form, what, advice in LINES]
BASE64 = re.compile(r"[A-Za-z0-9+/]{60,76}")


def refuse_documents(sample: str, name: str) -> None:
    """Raise DataError where a text is no table but what another program writes.

    Args:
        sample: its beginning, all of a short one.
        name: how messages call the file.
    """
    text = sample.lstrip("\ufeff \t\r\n").replace("\r\n", "\n").replace("\r", "\n")
    for form, what, advice in _BEGINS:
        if form.match(text):
            raise DataError(f"{name} is {what}, not a table. {advice}")
    lines = [line for line in text.split("\n", LOOKED_AT)[:LOOKED_AT] if line.strip()]
    for form, what, advice in _LINES if len(lines) > 2 else ():
        if sum(form.fullmatch(line[:2000]) is not None for line in lines) >= MOSTLY * len(lines):
            raise DataError(f"{name} is {what}. {advice}")
    mixed = not (text.isupper() or text.islower())
    if mixed and len(lines) >= LEAST and len(set(map(len, lines[:-1]))) == 1 and all(map(BASE64.fullmatch, lines[:-1])):
        raise DataError(f"{name} is a file packed as BASE64, not a table. Unpack it, by: base64 -d")
