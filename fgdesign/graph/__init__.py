"""What a graph is: its form, its node catalogue, what follows from it, what is wrong with it.

Knows neither torch nor Streamlit.
"""

from fgdesign.graph.catalogue import CATALOGUE, node_type
from fgdesign.graph.edit import fit_task
from fgdesign.graph.infer import Inference, Summary, infer, summarise
from fgdesign.graph.layout import layout, placed
from fgdesign.graph.spec import Edge, Graph, Node, from_json, load_file, to_json
from fgdesign.graph.starters import STARTERS, load_graph
from fgdesign.graph.validate import Problem, errors, require_valid, validate

__all__ = [
    "CATALOGUE", "STARTERS", "Edge", "Graph", "Inference", "Node", "Problem", "Summary", "errors", "fit_task",
    "from_json", "infer", "layout", "load_file", "load_graph", "node_type", "placed", "require_valid", "summarise",
    "to_json", "validate",
]
