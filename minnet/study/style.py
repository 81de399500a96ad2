"""How each treatment looks in the figure: told apart by colour, by marker and by line."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SpecError
from .record import TREATMENTS, write_beside

__all__ = ["STYLES", "Style", "figure_bytes", "number", "save_figure", "shift"]


@dataclass(frozen=True)
class Style:
    """A colour, a marker, a line."""

    color: str
    marker: str
    line: Any = "-"


# The colours of Okabe and Ito ("Color universal design", 2008), which the colour-blind can
# tell apart. Frozen treatments are dark with a full line, fine-tuned ones light and dashed.
STYLES = {
    "base": Style("#000000", "P"),
    "BnB": Style("#0072B2", "o"),
    "BnB+": Style("#56B4E9", "s", (0, (6, 2))),
    "AnB": Style("#D55E00", "^"),
    "AnB+": Style("#E69F00", "D", (0, (2.5, 1.2))),
    "random": Style("#009E73", "v", (0, (1, 1.2))),
    "meanvar": Style("#CC79A7", "p", (0, (4, 1.5, 1, 1.5))),
}


def shift(treatment: str) -> float:
    """Return how far to the side of its n a treatment stands, so that points don't hide others."""
    place = TREATMENTS.index(treatment)
    return 0.0 if place == 0 else 0.075 * (place - len(TREATMENTS) / 2)


def number(value: float, digits: int = 1, sign: bool = True) -> str:
    """Return a number with its sign, with a minus that is as wide as a plus."""
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")


def figure_bytes(figure: Any, kind: str) -> bytes:
    """Return a figure as the content of a file; equal figures give equal bytes.

    Parameters
    ----------
    figure
        A `matplotlib.figure.Figure`.
    kind
        `"svg"` or `"png"`.

    Raises
    ------
    SpecError
        If it is neither.
    """
    import matplotlib

    if kind not in ("svg", "png"):
        raise SpecError(f"a figure is written as .svg or .png, not as .{kind}")
    content = io.BytesIO()
    fixed = {"Date": None} if kind == "svg" else None
    # Glyphs are drawn as outlines, so that the page needs no font.
    with matplotlib.rc_context({"svg.hashsalt": "minnet", "svg.fonttype": "path"}):
        figure.savefig(content, format=kind, dpi=150, metadata=fixed)
    return content.getvalue()


def save_figure(figure: Any, path: Any) -> None:
    """Write a figure to an SVG or PNG file, in the format its ending says."""
    target = Path(path)
    write_beside(target, figure_bytes(figure, target.suffix.lstrip(".").lower()))
