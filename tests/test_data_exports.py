"""Exports of programs, rare encodings, line ends and delimiters: read as what they hold, or refused by cause."""

from __future__ import annotations

import io
import json
import re
import struct

import pytest
from test_data_forms import CSV, LABELS, OBJECTS, PAIRS, ROWS, TEXTS

from fgdesign.data import read as reading
from fgdesign.data import read_table
from fgdesign.errors import DataError

PLAIN = [(text.replace(",", "").replace(";", "").replace('"', ""), label) for text, label in PAIRS]
SIMPLE = {"text": [text for text, _ in PLAIN], "label": LABELS}
NUMBERED = {"id": [str(row) for row in range(8)], **SIMPLE}
KANA = ["荷物が届かない", "返金して", "アプリが開かない", "良い", "色が違う", "解約したい", "遅れた", "ありがとう"]
HAN = ["这个商品非常好", "快递太慢了", "客服态度很差", "味道不错", "包装破损", "应用打不开", "颜色不一样", "谢谢"]
HANGUL = ["소포가 안 왔어요", "환불해 주세요", "앱이 안 돼요", "좋아", "색이 달라요", "늦었어요", "취소", "감사합니다"]
ACCENTS = [f"{text} für naïve" for text, _ in PLAIN]
CESU = "".join(f"{text} \ud83d\ude00,{label}\n" for text, label in PLAIN).encode("utf-8", "surrogatepass")
RULE = ("=" * 22, "=" * 6)
OBJECTS_AGAIN = json.dumps(OBJECTS, indent=1)


def lines(between: str = ",", end: str = "\n", head: str = "text,label", quote: str = "") -> str:
    rows = [head.split(","), *PLAIN] if head else PLAIN
    return "".join(between.join(f"{quote}{cell}{quote}" for cell in cells) + end for cells in rows)


def numbered(between: str) -> str:
    rows = [("id", "text", "label"), *((str(row), *pair) for row, pair in enumerate(PLAIN))]
    return "".join(between.join(cells) + "\n" for cells in rows)


def of(texts: list[str], encoding: str) -> bytes:
    return "".join(f"{text},{label}\n" for text, label in [("text", "label"), *zip(texts, LABELS, strict=True)]).encode(
        encoding
    )


def ruled() -> str:
    rows = [("text", "label"), ("-" * 22, "-" * 6), *PLAIN]
    return "".join(f"{text:<22} {label:<6}\n" for text, label in rows) + "\n(8 rows affected)\n"


DELIMITERS = (":", "§", "¦", "þ", "·", "→", "｜", "\x02", "\x1d", "#", " / ", "!", "$", "@", "、", "،", "&", "=", "%",
              "*", "##", "+++", "~|~", "#,#", "$|$", "|;|", "<tab>", "[TAB]", "\\t", "•", " - ", " — ")  # fmt: skip
READ: dict[str, tuple[str | bytes, dict[str, list[str]]]] = {
    "iso-2022-jp": (of(KANA, "iso2022_jp"), {"text": KANA, "label": LABELS}),
    "iso-2022-kr": (of(HANGUL, "iso2022_kr"), {"text": HANGUL, "label": LABELS}),
    "hz": (of(HAN, "hz"), {"text": HAN, "label": LABELS}),
    "utf-7": (of(ACCENTS, "utf-7"), {"text": ACCENTS, "label": LABELS}),
    "utf-7 of China": (of(HAN, "utf-7"), {"text": HAN, "label": LABELS}),
    "halves of letters": (b"text,label\n" + CESU, {"text": [f"{text} 😀" for text, _ in PLAIN], "label": LABELS}),
    "two encodings": (b"text,label\n" + b"".join(f"{text} café,{label}\n".encode(("utf-8", "cp1252")[row % 2])
                                                 for row, (text, label) in enumerate(PLAIN)),
                      {"text": [f"{text} café" for text, _ in PLAIN], "label": LABELS}),
    "a mark that is wrong": (b"\xef\xbb\xbf" + of(ACCENTS, "cp1252"), {"text": ACCENTS, "label": LABELS}),
    "a mark of UTF-16 that is wrong": (b"\xff\xfe" + of(ACCENTS, "utf-8"), {"text": ACCENTS, "label": LABELS}),
    "zero bytes at the end": (CSV.encode() + bytes(4000), ROWS),
    "two files with marks": ("\ufeff" + lines() + "\ufefftext,label\na b,c\n",
                             {"text": [*SIMPLE["text"], "a b"], "label": [*LABELS, "c"]}),
    "very many empty lines": ("\n" * 300_000 + CSV, ROWS),
    "NEL of cp1252": (lines(end="\x85").encode("latin-1"), SIMPLE),
    "line feed, then return": (lines(end="\n\r"), SIMPLE),
    "line ends in letters": (lines(end="\\n"), SIMPLE),
    "grave accents": (lines(quote="`"), SIMPLE),
    "thorns of Concordance": (lines("\x14", quote="þ"), SIMPLE),
    "a quote behind a backslash": ("'text','label'\n" + "".join(f"'it\\'s, {text}','{label}'\n"
                                                               for text, label in PLAIN),
                                   {"text": [f"it's, {text}" for text, _ in PLAIN], "label": LABELS}),
    "an escaped comma": ("text,label\n" + "".join(f"{text}\\, yes,{label}\n" for text, label in PLAIN),
                         {"text": [f"{text}, yes" for text, _ in PLAIN], "label": LABELS}),
    "spaces between quotes": (lines(" ", quote='"'), SIMPLE),
    "row names of R": ('"text","label"\n' + "".join(f'"{row}","{text}","{label}"\n'
                                                    for row, (text, label) in enumerate(PLAIN, 1)),
                       {"column_1": [str(row) for row in range(1, 9)], **SIMPLE}),
    "row names and spaces": ('"text" "label"\n' + "".join(f'"{row}" "{text}" "{label}"\n'
                                                          for row, (text, label) in enumerate(PLAIN, 1)),
                             {"column_1": [str(row) for row in range(1, 9)], **SIMPLE}),
    "SurveyMonkey": ("id,text,label\n,Open-Ended Response,Response\n" + numbered(",").partition("\n")[2], NUMBERED),
    "Qualtrics": ('id,text,label\nResponse,"Tell us, please",Topic\n' + ",".join(
        '"{""ImportId"":""' + name + '""}"' for name in ("id", "QID1", "QID2"))
        + "\n" + numbered(",").partition("\n")[2], NUMBERED),
    "TREC": ("".join(f"{label.upper()}:sub {text} ?\n" for text, label in PLAIN),
             {"text": [f"{text} ?" for text, _ in PLAIN], "label": [f"{label.upper()}:sub" for label in LABELS]}),
    "fastText, labels last": ("".join(f"{text} __label__{label} __label__x\n" for text, label in PLAIN),
                              {"text": SIMPLE["text"], "label": [f"{label}|x" for label in LABELS]}),
    "a rule below the names": (ruled(), SIMPLE),
    "reStructuredText": ("".join(f"{text:<22}  {label}\n" for text, label in
                                 [RULE, ("text", "label"), RULE, *PLAIN, RULE]), SIMPLE),
    "names and values": ("".join(f"text: {text}\nlabel: {label}\n\n" for text, label in PLAIN), SIMPLE),
    "rows of PostgreSQL": ("".join(f"-[ RECORD {row} ]---\ntext  | {text}\nlabel | {label}\n"
                                   for row, (text, label) in enumerate(PLAIN, 1)), SIMPLE),
    "rows of MySQL": ("".join(f"{'*' * 27} {row}. row {'*' * 27}\n text: {text}\nlabel: {label}\n"
                              for row, (text, label) in enumerate(PLAIN, 1)), SIMPLE),
    "JSON with comments": (f"// by hand\n{OBJECTS_AGAIN.replace('{', '{ /* one, */', 1)}", ROWS),
    "JSON with what looks like comments": (
        json.dumps([{**item, "url": "http://a.b//c /* d */, ]"} for item in OBJECTS]).replace("[", "[ // x\n", 1),
        {**ROWS, "url": ["http://a.b//c /* d */, ]"] * 8}),
    "comments above lines of JSON": ("# made by us\n" + "\n".join(map(json.dumps, OBJECTS)), ROWS),
    "a variable of a script": (f"window.data.part0 = {OBJECTS_AGAIN};\n", ROWS),
    "what a script exports": (f"export default {OBJECTS_AGAIN};\n", ROWS),
    "a call of a script": (f"answer({OBJECTS_AGAIN});", ROWS),
    "JSON in JSON": (json.dumps(json.dumps(OBJECTS)), ROWS),
    "JSON in lines of JSON": ("\n".join(json.dumps(json.dumps(item)) for item in OBJECTS), ROWS),
    "a sequence of JSON": ("".join(f"\x1e{json.dumps(item)}\n" for item in OBJECTS), ROWS),
    "marks before lines of JSON": ("".join(f"\ufeff{json.dumps(item)}\n" for item in OBJECTS), ROWS),
    "lists of JSON": ("\n".join(json.dumps(list(pair)) for pair in [("text", "label"), *PAIRS]), ROWS),
    "texts with their labels": (json.dumps(dict(PAIRS)), ROWS),
    "labels with their texts": (json.dumps({"ship": TEXTS[:3], "praise": TEXTS[3:5]}),
                                {"text": TEXTS[:5], "label": ["ship"] * 3 + ["praise"] * 2}),
    **{f"ends by {ord(end):x}": (lines(end=end), SIMPLE) for end in "\x85\u2028\u2029\x0b\x0c\x1e"},
    **{f"delimiter {sign!r}": (numbered(sign), NUMBERED) for sign in DELIMITERS},
}  # fmt: skip
CALLS = [f"call +1234567{row} or +3212345{row}a" for row in range(9)]
AS_BEFORE: dict[str, tuple[str | bytes, dict[str, list[str]]]] = {  # what only looks like one of the forms above
    "telephone numbers": ("text,label\n" + "".join(f"{text},{row % 2}\n" for row, text in enumerate(CALLS)),
                          {"text": CALLS, "label": [str(row % 2) for row in range(9)]}),
    "a sign of UTF-7 explained": ("text,label\nthe sign +APw- is u,a\nno,b\nyes,c\n",
                                  {"text": ["the sign +APw- is u", "no", "yes"], "label": ["a", "b", "c"]}),
    "names with hyphens": ("e-mail\n" + "".join(f"a{row}@b-c.d\n" for row in range(5)),
                           {"e-mail": [f"a{row}@b-c.d" for row in range(5)]}),
    "a question of one column": ("Q&A text\nyes & no\nup & down\nso & so\n",
                                 {"Q&A text": ["yes & no", "up & down", "so & so"]}),
    "tweets that begin with tags": ("text\n" + "<user> <url> look at it\n" * 3,
                                    {"text": ["<user> <url> look at it"] * 3}),
    "texts with tags": ("text,label\n<p>good</p>,a\n<p>bad</p>,b\n",
                        {"text": ["<p>good</p>", "<p>bad</p>"], "label": ["a", "b"]}),
    "a column without a name at the end": (
        "id,text\n1,good,a\n2,bad,b\n3,fair,a\n",
        {"id": ["1", "2", "3"], "text": ["good", "bad", "fair"], "column_3": ["a", "b", "a"]}),
    "dots that go on": ("text,label\nwell… so… yes,a\nno… I… see,b\n",
                        {"text": ["well… so… yes", "no… I… see"], "label": ["a", "b"]}),
    "labels of fastText in a column": ("text\tlabel\n" + "so it is\t__label__a\nno it is not\t__label__b\n" * 9, {
        "text": ["so it is", "no it is not"] * 9, "label": ["__label__a", "__label__b"] * 9}),
    "what was said": ("text\n" + '"no" she said\n"well then" he said at once\n"yes"\n',
                      {"text": ['"no" she said', '"well then" he said at once', "yes"]}),
    "sequences of one length": ("\n".join(["ACGT" * 16, "TTGA" * 16, "CCGA" * 16] * 4),
                                {"column_1": ["ACGT" * 16, "TTGA" * 16, "CCGA" * 16] * 4}),
    "JSON in the first cells": (
        "".join(f'{{"a":{row}}}\t{text}\t{label}\n' for row, (text, label) in enumerate(PLAIN)),
        {"column_1": [f'{{"a":{row}}}' for row in range(8)], "column_2": SIMPLE["text"], "column_3": LABELS}),
    "a talk": ("text\nuser: hello\nbot: hi there\nuser: bye\n",
               {"text": ["user: hello", "bot: hi there", "user: bye"]}),
}  # fmt: skip
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "spare commas": (OBJECTS_AGAIN.replace("\n }", ",\n }"), r"8 commas before a closing bracket \(first: line 4\)"),
    "tuples of Python": (repr(PLAIN), "is Python lists, which only look like JSON"),
    "JSON that is too deep": ("[" * 100_000, "JSON that cannot be read: .*recursion"),
    "a page of one part": (f"<div class=x><table>{'<tr><td>a</td><td>b</td></tr>' * 9}</table></div>", "is a web page"),
    "rows of a page": ("<tr><td>text</td></tr>\n" * 9, "is a web page"),
    "a page below a comment": ("<!-- made by us -->\n<table><tr><td>a</td></tr></table>", "is a web page"),
    "a page in UTF-16": (f"<html><table>{'<tr><td>a</td></tr>' * 9}</table></html>".encode("utf-16"), "is a web page"),
    "XML without its first line": ("<rows>\n<row><text>a</text></row>\n</rows>", "web page or XML document"),
    "YAML below a name": ("---\ndata:\n  - text: a\n    label: b\n", "is YAML"),
    "Rasa": ('version: "3.1"\n\nnlu:\n- intent: bye\n  examples: |\n    - so long\n', "is YAML"),
    "TOML": ('[[row]]\ntext = "a"\nlabel = "b"\n\n[[row]]\ntext = "c"\nlabel = "d"\n', "is settings"),
    "a link": ("[InternetShortcut]\nURL=https://a.b/c.csv\n", "is settings"),
    "BibTeX": ("@article{key,\n  title={A},\n}\n", "is BibTeX"),
    "LaTeX": ("\\begin{tabular}{ll}\na & b \\\\\n\\end{tabular}\n", "is LaTeX"),
    "a wiki": ('{| class="wikitable"\n! text !! label\n|-\n| a || b\n|}\n', "is a table of a wiki"),
    "mail": ("Subject: a\nFrom: b <b@c.d>\nTo: e\nDate: today\n\nwhere is it, please\n", "is mail"),
    "mbox": ("From b@c.d Mon Jan  1 00:00:00 2024\nFrom: b\n\nhello\n", r"is mail \(mbox\)"),
    "vCard": ("BEGIN:VCARD\nVERSION:3.0\nFN:A\nEND:VCARD\n", "is a list of contacts"),
    "uuencode": ("begin 644 a.csv\nM=&5X\n", "packed by uuencode"),
    "BASE64": (("dGV4dCxsYWJlbApteSBjYXJkIHdhcyBkZWNsaW5lZCxhCnRoaXMgaXMgaXQsYgpteSBj\n") * 9, "packed as BASE64"),
    "a difference": ("--- a/x.csv\n+++ b/x.csv\n@@ -1,2 +1,2 @@\n text,label\n-a,b\n", "the difference of two files"),
    "LIBSVM": ("".join(f"{row % 2} 1:0.5 7:{row}.25\n" for row in range(9)), "numbers of LIBSVM"),
    "Vowpal Wabbit": ("".join(f"{row % 2} |text where is it {row}\n" for row in range(9)), "lines of Vowpal Wabbit"),
    "trees": ("(3 (2 The) (2 film))\n" * 9, "is parse trees"),
    "CoNLL": ("EU B-ORG\nrejects O\n\nPeter B-PER\nsleeps O\n", r"one on a line \(CoNLL\)"),
    "ORC": (b"ORC" + bytes(range(200)) + b"ORC\x17", "an ORC file"),
    "Feather": (b"FEA1" + bytes(range(200)), "a Feather file"),
    "a stream of Arrow": (b"\xff\xff\xff\xff" + bytes(range(200)), "an Arrow stream"),
    "old Stata": (b"\x72\x02\x01\0" + bytes(range(200)), "a Stata file"),
    "SAS": (bytes(12) + b"\xc2\xea\x81\x60" + bytes(range(200)), "a SAS file"),
    "dBase": (b"\x03\x7c\x03\x01\x0c\0\0\0\x41\0\x20\0" + bytes(52) + b"\r" + b" where is it" * 12, "a dBase table"),
    "weights": (struct.pack("<Q", 40) + b'{"a":{"dtype":"F32","shape":[1]}}       ' + bytes(40), "a file of weights"),
    "very many cells": ("text,label\n" + "," * 1_200_000, "more than 1.000.000 cells"),
}


@pytest.mark.parametrize("name", [*READ, *AS_BEFORE])
@pytest.mark.parametrize("fast_from", [0, reading.FAST_FROM])
def test_an_export_is_read_as_what_it_holds(name: str, fast_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FAST_FROM", fast_from)
    data, rows = (READ | AS_BEFORE)[name]
    read = read_table(io.BytesIO(data if isinstance(data, bytes) else data.encode()), name="a")
    assert read.frame.to_dict("list") == rows
    assert read.row_numbers.tolist() == sorted(set(read.row_numbers.tolist()))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_refused_by_its_cause(name: str) -> None:
    data, said = REFUSED[name]
    with pytest.raises(DataError, match=said):
        read_table(io.BytesIO(data if isinstance(data, bytes) else data.encode()), name="a")


@pytest.mark.parametrize(("name", "note"), [
    ("two encodings", r"in two encodings: 4 lines in cp1252 \(first: line 3\)"),
    ("zero bytes at the end", "Zero bytes at the end are left out"),
    ("ends by 85", r"Lines end by NEL \(U\+0085\)"),
    ("an escaped comma", "A backslash stands before ','"),
    ("row names of R", "numbers the rows, has no name in the header"),
    ("Qualtrics", r"What a survey says of its columns below the header is left out \(2 rows, first: row 2\)"),
    ("JSON with comments", "Comments"),
    ("texts with their labels", "Each name with its value is a row"),
    ("two files with marks", "The header stands again further down"),
])  # fmt: skip
def test_what_was_decided_is_said(name: str, note: str) -> None:
    data, _ = READ[name]
    read = read_table(io.BytesIO(data if isinstance(data, bytes) else data.encode()), name="a")
    assert re.search(note, " ".join(read.notes))
    assert not any("is a guess" in said for said in read.notes)
