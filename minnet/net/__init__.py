"""Nets as values: Chain and Graph, paths, surgery, initialization.

To read them, begin with structure.py and arrays.py, what all nets are and hold; then
chain.py and graph.py; then what is done with them: call.py and the files on surgery.
"""

from .base import Net
from .chain import Chain
from .graph import Graph
from .shorthand import as_layer

__all__ = ["Chain", "Graph", "Net", "as_layer"]
