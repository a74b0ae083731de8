"""The look of every chart: one plotly template for light and one for dark, and the hues of node kinds.

Hues are those of Okabe and Ito 2008, told apart by colour-blind eyes. Knows nothing of what a chart shows.
"""

from __future__ import annotations

import plotly.graph_objects as go

from fgdesign.views.canvas import HUES

Figure = go.Figure

BLUE, GREEN, ORANGE, PURPLE, VERMILION, SKY, GREY = (
    HUES["pretrained"],
    HUES["function"],
    HUES["select"],
    HUES["merge"],
    HUES["answer"],
    "#56B4E9",
    HUES["input"],
)
SERIES = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, "#8C7A00", GREY)
INK = {False: "#1B2530", True: "#E4EAF0"}
FAINT = {False: "#5D6B79", True: "#9AA8B5"}
LINE = {False: "#E3E8ED", True: "#2B353F"}
PAPER = {False: "#FFFFFF", True: "#10161C"}
RAMP = {
    False: ((0.0, "#FFFFFF"), (0.001, "#E9F2F9"), (0.35, "#8CC0E0"), (1.0, "#0B5C94")),
    True: ((0.0, "#10161C"), (0.001, "#16293A"), (0.35, "#1F6A9C"), (1.0, "#8AD1FA")),
}
FONT = "Source Sans, Source Sans Pro, system-ui, sans-serif"


def hue(category: str) -> str:
    """The colour of a node category."""
    return HUES.get(category, GREY)


def template(dark: bool) -> go.layout.Template:
    """Quiet axes, see-through paper, the series' colours, hover in the page's own colours."""
    axis = {
        "gridcolor": LINE[dark],
        "linecolor": LINE[dark],
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "ticklabelstandoff": 6,
        "title": {"font": {"size": 12, "color": FAINT[dark]}},
        "tickfont": {"size": 12, "color": FAINT[dark]},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": INK[dark]},
            "colorway": list(SERIES),
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 12, "t": 34, "b": 8},
            "title": {"font": {"size": 14}, "x": 0, "xanchor": "left", "y": 0.98},
            "xaxis": {**axis, "showgrid": False},
            "yaxis": axis,
            "showlegend": False,
            "hovermode": "closest",
            "bargap": 0.28,
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": FAINT[dark], "activecolor": INK[dark]},
            "hoverlabel": {
                "bgcolor": PAPER[dark],
                "bordercolor": LINE[dark],
                "font": {"color": INK[dark], "family": FONT},
            },
            "legend": {
                "orientation": "h",
                "y": 1.0,
                "yanchor": "bottom",
                "x": 1,
                "xanchor": "right",
                "font": {"size": 12},
            },
        }
    )


def figure(title: str, dark: bool, height: int) -> go.Figure:
    """An empty chart in our look."""
    return go.Figure(layout={"template": template(dark), "title": {"text": title}, "height": height})


def empty(title: str, message: str, dark: bool, height: int = 220) -> go.Figure:
    """A chart that has nothing to show yet, and says why."""
    chart = figure(title, dark, height)
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False)
    chart.add_annotation(
        text=message,
        showarrow=False,
        font={"color": FAINT[dark], "size": 13},
        xref="paper",
        yref="paper",
        x=0.5,
        y=0.5,
    )
    return chart


def with_legend(chart: go.Figure) -> go.Figure:
    """The chart with its legend on a line of its own under the title."""
    return chart.update_layout(
        showlegend=True, margin={"t": 62}, legend={"x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"}
    )
