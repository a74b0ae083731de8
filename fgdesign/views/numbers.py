"""Numbers as people read them: three significant digits, thin spaces in thousands, units."""

from __future__ import annotations

THIN = "\u2009"
STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(value: float, unit: str = "") -> str:
    """Three significant digits with a magnitude: 1_770_000 -> "1.77 M"."""
    size, letter = next(((step, name) for step, name in STEPS if abs(value) >= step * 0.9995), (1.0, ""))
    tail = f"{letter}{unit}"
    return f"{plain(value / size)}{THIN if tail else ''}{tail}"


def plain(value: float) -> str:
    """Three significant digits, thousands parted by thin spaces; a dash for what is not a number."""
    if value != value:
        return "–"
    if abs(value) >= 999.5 or value == int(value):
        return f"{round(value):,}".replace(",", THIN)
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share of 1 as a percentage of three significant digits; never 0 for what is not 0."""
    if share and share < 0.001:
        return f"<{THIN}0.1{THIN}%"
    return f"{share * 100:.3g}{THIN}%"
