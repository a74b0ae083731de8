"""A graph as one HTML file that needs nothing else: vis-network, the drawing code and the data inside.

A template of our own in which every text is escaped. Knows nothing of Streamlit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

_TEMPLATE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>{{ title }}</title>
<style>
:root { --st-background-color: #ffffff; --st-text-color: #1f2933; --st-primary-color: #0072b2;
  --st-font: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  :root { --st-background-color: #12161c; --st-text-color: #e6eaf0; --st-primary-color: #56b4e9; }
}
body { margin: 16px; font: 14px var(--st-font);
  background: var(--st-background-color); color: var(--st-text-color); }
h1 { font-size: 17px; margin: 0 0 10px; overflow-wrap: anywhere; }
{{ css }}
</style>
<h1>{{ title }}</h1>
<div id="canvas"></div>
<script>{{ library }}</script>
<script>
const canvas = new fgCanvas.Canvas(document.getElementById('canvas'));
const show = () => canvas.update({{ data | tojson }});
show();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
</script>
</html>
""")


def standalone_html(data: Mapping[str, Any], library: str, css: str) -> str:
    """The HTML file.

    Args:
        data: from `canvas_data`. library: vis-network and the drawing code, a script that leaves `fgCanvas`.
        css: its styles. Library and styles are our own and go in as they are.
    """
    picture = {**data, "editable": False, "height": "window"}
    return _TEMPLATE.render(
        title=data["title"],
        data=picture,
        library=Markup(library.replace("</script", "<\\/script")),
        css=Markup(css),
    )
