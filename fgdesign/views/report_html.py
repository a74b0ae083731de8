"""A report as one HTML file that needs nothing else and prints well: sentences, pictures, tables.

A template of ours in which every text is escaped; plotly's code is inside once. Knows nothing of what is reported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from fgdesign.views.numbers import plain

MOST_ROWS = 60  # of a table; the CSV has all

_TEMPLATE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{{ title }}</title>
<style>
body { margin: 32px auto; max-width: 1000px; padding: 0 24px; color: #1b2530; background: #fff;
  font: 15px/1.5 "Source Sans Pro", system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 18px; margin: 36px 0 8px; }
.about { color: #5d6b79; margin: 4px 0 20px; } .verdict { font-weight: 600; font-size: 16px; margin: 4px 0 12px; }
section { break-inside: auto; } figure { margin: 12px 0; break-inside: avoid; }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #5d6b79; padding: 4px 0; }
th { text-align: left; font-weight: 600; border-bottom: 1px solid #9aa8b5; }
th, td { padding: 3px 12px 3px 0; vertical-align: top; overflow-wrap: anywhere; max-width: 420px; }
td { border-bottom: 1px solid #e3e8ed; } td.number { text-align: right; white-space: nowrap; }
@media print { body { margin: 0; max-width: none; } .scroll { overflow: visible; } h2 { break-after: avoid; }
  tr { break-inside: avoid; } .modebar { display: none; } }
</style>
<h1>{{ title }}</h1>
<p class="about">{{ about }}</p>
{% for section in sections %}<section>
<h2>{{ section.title }}</h2>
{% for sentence in section.sentences %}<p class="{{ 'verdict' if loop.first else '' }}">{{ sentence }}</p>
{% endfor %}{% for figure in section.figures %}<figure data-figure="{{ figure }}"></figure>
{% endfor %}{% for table in section.tables %}<div class="scroll"><table>
<caption>{{ table.caption }}</caption>
<tr>{% for name in table.names %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in table.rows %}<tr>{% for cell, number in row %}<td{% if number %} class="number"{% endif %}>{{ cell }}</td>
{%- endfor %}</tr>
{% endfor %}</table></div>
{% endfor %}</section>
{% endfor %}
<script>{{ plotly }}</script>
<script>
const figures = {{ figures }};
for (const place of document.querySelectorAll('[data-figure]')) {
  const figure = figures[place.dataset.figure];
  Plotly.newPlot(place, figure.data, figure.layout, {displaylogo: false, responsive: true});
}
const fit = () => document.querySelectorAll('[data-figure]').forEach((place) => Plotly.Plots.resize(place));
addEventListener('beforeprint', fit);
</script>
</html>
""")


@dataclass(frozen=True)
class Section:
    """One chapter. sentences: the verdict first. figures: light ones. tables: by what they show."""

    title: str
    sentences: Sequence[str] = ()
    figures: Sequence[go.Figure] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def report_html(title: str, about: str, sections: Sequence[Section]) -> str:
    """The file. Args: about: a line under the title: what was measured, on which rows, when."""
    figures: list[str] = []
    told = []
    for section in sections:
        places = range(len(figures), len(figures) + len(section.figures))
        figures += [figure.to_json() for figure in section.figures]
        told.append({"title": section.title, "sentences": section.sentences, "figures": list(places),
                     "tables": [_table(name, frame) for name, frame in section.tables.items()]})
    data = "[" + ",".join(figures) + "]"
    json.loads(data)
    return _TEMPLATE.render(title=title, about=about, sections=told, figures=Markup(_inside(data)),
                            plotly=Markup(_inside_code(get_plotlyjs())))


def _table(name: str, frame: pd.DataFrame) -> dict[str, object]:
    more = f": the first {MOST_ROWS} of {plain(len(frame))} rows" if len(frame) > MOST_ROWS else ""
    rows = [[_cell(value) for value in row] for row in frame.head(MOST_ROWS).itertuples(index=False)]
    return {"caption": name + more, "names": [str(column).replace("_", " ") for column in frame.columns], "rows": rows}


def _cell(value: object) -> tuple[str, bool]:
    """What a cell says, and whether it is a number."""
    if isinstance(value, bool):
        return ("yes" if value else "no"), False
    if isinstance(value, float | int):
        return ("" if value != value else plain(value)), True
    if hasattr(value, "item"):
        return _cell(value.item())
    return str(value), False


def _inside(data: str) -> str:
    """JSON that cannot end the script it stands in."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _inside_code(code: str) -> str:
    return code.replace("</script", "<\\/script")
