"""A text whose words are shaded by how much they moved a number, as HTML; every character of a person is escaped.

Knows nothing of how the shares came about, nor of Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

TOWARDS, AGAINST = (0, 114, 178), (213, 94, 0)  # blue and vermilion of Okabe and Ito
FAINTEST = 0.06


def marked_text(text: str, spans: Sequence[tuple[int, int]], values: Sequence[float], *, most: int = 4000) -> str:
    """Words that raised the number in blue, those that lowered it in vermilion and underlined; the rest as it is.

    Args: spans: (start, end) of each value in the text, (0, 0) for none. values: shares, of any scale.
    """
    largest = max((abs(value) for value, (start, end) in zip(values, spans, strict=True) if end > start), default=0.0)
    parts, done = [], 0
    for value, (start, end) in sorted(zip(values, spans, strict=True), key=lambda item: item[1]):
        if end <= start or start < done or end > most:
            continue
        parts.append(escape(text[done:start]))
        parts.append(_word(text[start:end], value / largest if largest else 0.0, value))
        done = end
    rest = text[done:most]
    return f'<p style="line-height:1.9;margin:0">{"".join(parts)}{escape(rest)}</p>'


def _word(word: str, share: float, value: float) -> str:
    if abs(share) < FAINTEST:
        return escape(word)
    red, green, blue = TOWARDS if share > 0 else AGAINST
    line = "" if share > 0 else "text-decoration:underline dotted;"
    shade = f"background:rgba({red},{green},{blue},{0.12 + 0.5 * abs(share):.2f})"
    style = f"{shade};border-radius:3px;padding:1px 2px;{line}"
    return f'<span style="{style}" title="{value:+.3f}">{escape(word)}</span>'
