"""Which script a text is in, and by its most frequent small words which language. Knows texts only.

Rough signs that texts of several kinds are mixed; a text that has too few letters or such words counts for none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"[^\W\d_]+")
SCRIPT_SEEN, SEEN = 64, 200  # characters of a text that tell its script, its language
CHUNK = 50_000  # rows
SCRIPTS = (  # name, first and last code point
    ("Latin", 0x41, 0x24F), ("Greek", 0x370, 0x3FF), ("Cyrillic", 0x400, 0x52F), ("Hebrew", 0x590, 0x5FF),
    ("Arabic", 0x600, 0x6FF), ("Devanagari", 0x900, 0x97F), ("Bengali", 0x980, 0x9FF), ("Tamil", 0xB80, 0xBFF),
    ("Thai", 0xE00, 0xE7F), ("Kana", 0x3041, 0x30FF), ("Chinese", 0x3400, 0x9FFF), ("Hangul", 0xAC00, 0xD7A3),
)  # fmt: skip
LETTER = re.compile("[A-Za-z]")
WITHOUT_SPACES = ("Thai", "Kana", "Chinese")
FEWEST = 2  # words of a language, and more than of any other, that make a text one of it
WORDS = {
    "English": "the and is are was were of to in that it for with you this have has not but they my be on at what "
    "which from would there been their will when who i me do how can if am or so a we he she as by an",
    "German": "der die das und ist ich nicht ein eine den dem zu mit sich auf für auch es sind wie bei wir noch nur "
    "aber wenn kann sehr war werden haben hat im zum zur vom",
    "French": "le les des et est une un du que qui dans pour pas sur ce cette avec il elle nous vous je ne au aux "
    "mais très plus sont été mon ma ses",
    "Spanish": "el los las y es una un del que en por con para no se lo su muy pero está este esta como más fue son "
    "yo mi hay todo",
    "Italian": "il lo gli e è una un di che non per con del della sono mi ma molto più questo questa anche nel alla "
    "ho ha stato",
    "Portuguese": "o os as e é uma um do da que não em para com por mais muito mas foi este esta no na ao dos das "
    "meu minha são você",
    "Dutch": "de het een en is van ik niet dat op te voor met zijn er maar ook aan wat bij heeft naar nog wel deze "
    "dit was",
    "Swedish": "och det är att en ett som på av för med inte den har jag till var om men så vi från mycket",
    "Polish": "w nie na się z że jest jak po ale co tak za od być bardzo ten tylko już mnie",
    "Turkish": "ve bir bu da de için çok ne ile ama daha var gibi kadar olarak değil ben sonra",
    "Indonesian": "yang dan di ini itu dengan untuk tidak dari saya ke pada adalah ada akan juga sangat sudah bisa",
}
NAMES = tuple(WORDS)
LANGUAGES: dict[str, list[int]] = {}
for _place, _words in enumerate(WORDS.values()):
    for _word in _words.split():
        LANGUAGES.setdefault(_word, []).append(_place)


def language_of_rows(texts: Sequence[str]) -> NDArray[np.int8]:
    """(N,) the place in NAMES of each text's language, -1 for none."""
    return np.fromiter(map(_language, texts), np.int8, len(texts))


def _language(text: str) -> int:
    """Each different word counts once; of two languages with as many words neither is sure."""
    counts = [0] * len(NAMES)
    for word in set(WORD.findall(text[:SEEN].lower())):
        for place in LANGUAGES.get(word, ()):
            counts[place] += 1
    best, second = sorted(counts)[-1:-3:-1]
    return counts.index(best) if best >= FEWEST and best > second else -1


def script_of_rows(texts: Sequence[str]) -> NDArray[np.int8]:
    """(N,) the place in SCRIPTS of the script that most letters of each text's beginning are of, -1 for none."""
    kind_of = np.full(1 << 16, len(SCRIPTS), np.uint8)
    for number, (_, first, last) in enumerate(SCRIPTS):
        kind_of[first : last + 1] = number
    kind_of[[*range(0x5B, 0x61), *range(0x7B, 0xC0), 0xD7, 0xF7]] = len(SCRIPTS)
    found = np.full(len(texts), -1, np.int8)
    plain = np.fromiter(map(str.isascii, texts), bool, len(texts))
    latin = (LETTER.search(text, 0, SCRIPT_SEEN) is not None for text, known in zip(texts, plain, strict=True) if known)
    found[plain] = np.where(np.fromiter(latin, bool, int(plain.sum())), 0, -1)  # Latin stands first
    rows = np.flatnonzero(~plain)
    for start in range(0, len(rows), CHUNK):
        places = rows[start : start + CHUNK]
        chunk = [texts[place][:SCRIPT_SEEN] for place in places]
        codes = np.frombuffer("".join(chunk).encode("utf-32-le", "replace"), np.uint32)
        row = np.repeat(np.arange(len(chunk)), list(map(len, chunk)))
        kinds = kind_of[np.minimum(codes, 0xFFFF)]
        width = len(SCRIPTS) + 1
        counts = np.bincount(row * width + kinds, minlength=len(chunk) * width).reshape(len(chunk), width)[:, :-1]
        found[places] = np.where(counts.any(1), counts.argmax(1), -1)
    return found


def other_script(scripts: NDArray[np.int8]) -> NDArray[np.bool_]:
    """(N,) rows in another script than most; Japanese texts may be in Kana or Chinese characters."""
    known = scripts[scripts >= 0]
    if not len(known):
        return np.zeros(len(scripts), bool)
    sizes = np.bincount(known, minlength=len(SCRIPTS))
    names = [script[0] for script in SCRIPTS]
    same = {int(sizes.argmax())}
    japanese = {names.index("Kana"), names.index("Chinese")}
    if same < japanese and sizes[names.index("Kana")] > 0.1 * sizes[names.index("Chinese")]:
        same = japanese
    return (scripts >= 0) & ~np.isin(scripts, sorted(same))


def other_language(languages: NDArray[np.int8]) -> NDArray[np.bool_]:
    """(N,) rows in another language than most."""
    known = languages[languages >= 0]
    most = int(np.bincount(known).argmax()) if len(known) else -1
    found: NDArray[np.bool_] = (languages >= 0) & (languages != most)
    return found
