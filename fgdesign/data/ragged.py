"""Rows with more or fewer cells than the header made even. Knows cells, and nothing of where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from fgdesign.data.delimited import Rows
from fgdesign.data.table import noted

MOST_WHOLE = 20_000  # rows of the right width that tell which values a column has
MOSTLY = 0.9  # of torn rows that have a value of the whole ones
FEW_VALUES = 1000  # a column with more different cells cannot tell where a row was torn


def even_out(
    rows: Rows, width: int, delimiter: str, notes: list[str], right: Sequence[list[str]] | None = None
) -> None:
    """Give every row `width` cells; `right` are rows of the right width, taken from `rows` where not given.

    Short rows get empty cells. Cells beyond the width are dropped when empty. Otherwise the row was torn
    at an unquoted delimiter: it is put together where only one way fits the columns with few values. The others
    are put together all alike where that leaves another column with few values, else at the last column.
    """
    whole_rows = _whole(rows, width) if right is None else right
    few: dict[int, set[str]] | None = None
    lacking: list[int] = []
    joined: list[int] = []
    doubtful: Rows = []
    for row, cells in rows:
        if len(cells) < width:
            lacking.append(row)
            cells.extend([""] * (width - len(cells)))
        elif len(cells) > width and not any(cells[width:]):
            del cells[width:]
        elif len(cells) > width:
            if few is None:
                few = _few_values(whole_rows, width)
            whole = _put_together(cells, width, delimiter, few)
            if whole:
                joined.append(row)
                cells[:] = whole
            else:
                doubtful.append((row, cells))
    place = _torn_at([cells for _, cells in doubtful], whole_rows, width)
    for _, cells in doubtful:
        at = width - 1 if place is None else place
        end = at + len(cells) - width + 1
        cells[at:end] = [delimiter.join(cells[at:end])]
    left = [row for row, _ in doubtful]
    if place is not None:
        joined, left = sorted([*joined, *left]), []
    for mark, found, what in (
        ("short_row", lacking, "Fewer cells than the header's {width} ({}); the missing ones are empty."),
        ("joined_row", joined,
         "More cells than the header's {width} ({}): a text has the delimiter in it; it was joined again."),
        ("surplus_row", left, "More cells than the header's {width} ({}); the surplus was joined to the last column."),
    ):  # fmt: skip
        if found:
            notes.append(noted(what.replace("{width}", str(width)), found, mark))


def _whole(rows: Rows, width: int) -> list[list[str]]:
    """The first rows that are of the right width."""
    return list(islice((cells for _, cells in rows if len(cells) == width), MOST_WHOLE))


def _few_values(whole: Sequence[list[str]], width: int) -> dict[int, set[str]]:
    """Column -> its values, for columns that repeat a few values in rows of the right width."""
    values = {place: {cells[place] for cells in whole} for place in range(width)}
    return {place: seen for place, seen in values.items() if len(seen) <= min(FEW_VALUES, len(whole) // 2)}


def _put_together(cells: list[str], width: int, delimiter: str, few: dict[int, set[str]]) -> list[str]:
    """The row of the right width that fits all columns with few values, [] when not exactly one does."""
    found: list[list[str]] = []
    surplus = len(cells) - width
    for place in range(width) if few else ():
        if place not in few:
            whole = delimiter.join(cells[place : place + surplus + 1])
            row = [*cells[:place], whole, *cells[place + surplus + 1 :]]
            if all(row[column] in seen for column, seen in few.items()):
                found.append(row)
    return found[0] if len(found) == 1 else []


def are_torn(rows: Rows, width: int) -> bool:
    """Whether longer rows are of this width too, torn at a delimiter: joined, they have the others' few values."""
    whole = [cells for _, cells in rows if len(cells) == width]
    torn = [cells for _, cells in rows if len(cells) > width]
    if len(whole) < 2 or len(whole) + len(torn) < len(rows) or (place := _torn_at(torn, whole, width)) is None:
        return False
    for column in range(width):
        known = {cells[column] for cells in whole}
        same = sum(cells[_as_torn(column, place, width)] in known for cells in torn)
        if column != place and len(known) <= len(whole) // 2 and same >= MOSTLY * len(torn):
            return True
    return False


def _as_torn(column: int, place: int, width: int) -> int:
    """Where the cell of a column stands in a row that was torn at another one."""
    return column if column < place else column - width


def _torn_at(torn: Sequence[list[str]], whole: Sequence[list[str]], width: int) -> int | None:
    """The column that all torn rows are joined at, so that another one has few values; None where none is clearly best.

    Args: torn: rows with more cells than the width; whole: rows of the width.
    """
    some = torn[:MOST_WHOLE]
    if len(some) < 2:
        return None
    fewest = {}
    for place in range(width):
        kinds = []
        for column in range(width):
            if column != place:
                values = {cells[_as_torn(column, place, width)] for cells in some}
                kinds.append(len(values.union(cells[column] for cells in whole)))
        fewest[place] = min(kinds, default=len(some))
    first, *others = sorted(fewest, key=lambda place: fewest[place])
    few = fewest[first] <= (len(some) + len(whole)) // 2
    clear = not others or 2 * fewest[first] <= fewest[others[0]]
    return first if few and clear else None
