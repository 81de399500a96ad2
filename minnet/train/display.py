"""What training shows while it runs: a bar where tqdm is installed, else a line a round."""

from __future__ import annotations

import sys
from typing import Any

from ..errors import SpecError
from ..progress import Progress
from .result import shown_numbers

__all__ = ["Display", "make_display"]


class Display:
    """Shows nothing: the quiet display, and what the others have in common."""

    def say(self, text: str) -> None:
        """Show a line of text."""

    def step(self, progress: Progress, loss: float | None) -> None:
        """Show that a step was made; its loss is None where a GPU has it."""

    def round(self, row: dict[str, Any]) -> None:
        """Show the numbers of a round."""

    def close(self) -> None:
        """Leave the screen tidy."""


class Lines(Display):
    """A line a round, for logs and where tqdm is missing."""

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def round(self, row: dict[str, Any]) -> None:
        print(
            f"round {row['round']}: {shown_numbers(row, ' ')}, {row['seconds']:.1f} s",
            file=sys.stderr,
        )


class Bar(Display):
    """A bar that fills as the first limit comes nearer (tqdm, in notebooks too)."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self.bar: Any = tqdm(
            total=100.0, bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed} {postfix}"
        )
        self.measured = ""

    def say(self, text: str) -> None:
        self.bar.write(text, file=sys.stderr)

    def step(self, progress: Progress, loss: float | None) -> None:
        shown = "" if loss is None else f"loss {loss:.4g}"
        self.bar.set_description_str(f"round {progress.round + 1}", refresh=False)
        self.bar.set_postfix_str(self.measured or shown, refresh=False)
        self.bar.update(100.0 * progress.fraction - self.bar.n)

    def round(self, row: dict[str, Any]) -> None:
        self.measured = shown_numbers(row, " ")
        self.bar.set_postfix_str(self.measured)

    def close(self) -> None:
        self.bar.refresh()
        self.bar.close()


def make_display(progress: Any) -> Display:
    """Return the display for `progress=`: True, False, `"bar"` or `"lines"`."""
    if progress is False or progress is None:
        return Display()
    if progress is not True and not (isinstance(progress, str) and progress in ("bar", "lines")):
        raise SpecError(f'progress must be True, False, "bar" or "lines", got {progress!r}')
    if progress == "lines":
        return Lines()
    try:
        return Bar()
    except ImportError:
        if progress == "bar":
            raise SpecError("a bar needs tqdm: pip install 'minnet[progress]'") from None
        return Lines()
