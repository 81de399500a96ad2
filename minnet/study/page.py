"""A page of headings, texts, lists, tables and one figure, written as HTML and as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Block", "Code", "Figure", "Heading", "Items", "Table", "Text", "to_html", "to_markdown"]


@dataclass(frozen=True)
class Heading:
    """A heading of level 1, 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; `note` stands under it. The first `texts` columns hold text, the others numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    texts: int = 1


@dataclass(frozen=True)
class Code:
    """Text to be shown as it is."""

    text: str
    language: str = "text"


@dataclass(frozen=True)
class Figure:
    """The figure: an SVG file for the HTML page, a name of an image for the Markdown."""

    svg: str
    image: str
    text: str


Block = Heading | Text | Items | Table | Code | Figure

# Wide tables and the figure scroll by themselves where the window is narrow; a figure may be wider
# than the text. It stays black on white, as its colours are made for.
CSS = """
:root { --ink: #111; --soft: #555; --line: #ddd; --back: #fff; --block: #f4f4f4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #aaa; --line: #444; --back: #181818; --block: #262626; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: var(--ink); background: var(--back); overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.2; margin: 1.8em 0 0.5em; }
h2 { border-top: 1px solid var(--line); padding-top: 0.8em; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid var(--line); }
th { border-bottom: 2px solid var(--ink); vertical-align: bottom; text-wrap: balance; }
td { white-space: nowrap; vertical-align: top; }
.text { text-align: left; white-space: normal; }
tbody tr:hover { background: var(--block); }
pre { background: var(--block); padding: 0.8rem; font-size: 0.85rem; white-space: pre-wrap; }
figure { margin: 1.5rem 0; }
figure .wide { position: relative; left: 50%; transform: translateX(-50%);
               width: max-content; max-width: calc(100vw - 2rem); }
figure svg { display: block; max-width: 100%; height: auto; background: #fff; }
figcaption, .note { font-size: 0.85rem; color: var(--soft); }
@media print {
  :root { --ink: #000; --soft: #333; --line: #ccc; --back: #fff; --block: #f4f4f4; }
  body { max-width: none; margin: 0; font-size: 10pt; }
  .wide, figure .wide { overflow: visible; width: auto; max-width: 100%; }
  th, td { padding: 0.1rem 0.35rem; }
  figure svg { min-width: 0 !important; max-height: 14cm; }
  tr, figure { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Return a page that needs nothing but itself.

    Examples
    --------
    >>> page = to_html("A & B", [Heading("A & B", 1), Text("5 < 6")])
    >>> "<h1>A &amp; B</h1>" in page, "<p>5 &lt; 6</p>" in page
    (True, True)
    """
    body = "\n".join(_html(block) for block in blocks)
    # The policy makes sure of it: a browser loads nothing for this page.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{html.escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _html(block: Block) -> str:
    """Return a block as HTML."""
    escape = html.escape
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Items(items):
            return "<ul>\n" + "\n".join(f"<li>{escape(item)}</li>" for item in items) + "\n</ul>"
        case Code(text):
            return f"<pre><code>{escape(text)}</code></pre>"
        case Figure(svg, _, text):
            under = f"<figcaption>{escape(text)}</figcaption>"
            return f"<figure>\n{_wide(_inline(svg))}\n{under}\n</figure>"
        case Table(_, _, note):
            under = f'\n<p class="note">{escape(note)}</p>' if note else ""
            return _wide(_html_table(block)) + under


def _html_table(table: Table) -> str:
    """Return a table; its head stands apart, to be repeated on every page in print."""
    head = _html_row(table.head, "th", table.texts)
    body = "\n".join(_html_row(row, "td", table.texts) for row in table.rows)
    return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _html_row(cells: Sequence[str], tag: str, texts: int) -> str:
    """Return a row of a table."""
    kinds = [' class="text"' if place < texts else "" for place in range(len(cells))]
    parts = zip(kinds, cells, strict=True)
    return "<tr>" + "".join(f"<{tag}{k}>{html.escape(c)}</{tag}>" for k, c in parts) + "</tr>"


def _wide(content: str) -> str:
    """Return what may be wider than a narrow window."""
    return f'<div class="wide">\n{content}\n</div>'


def _inline(svg: str) -> str:
    """Return an SVG file as it may stand in a page: without what comes before, without metadata.

    It may shrink to three quarters of its size: smaller, its text can't be read.
    """
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    width = re.search(r'width="([\d.]+)pt"', svg)
    least = f"{0.75 * float(width[1]):.0f}pt" if width else "0"
    return svg.strip().replace("<svg", f'<svg style="min-width: {least}"', 1)


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return the same page as Markdown.

    Examples
    --------
    >>> print(to_markdown([Heading("A*"), Table(["n", "a|b"], [["1", "2"]])]))
    ## A\\*
    <BLANKLINE>
    | n | a\\|b |
    | --- | ---: |
    | 1   |    2 |
    <BLANKLINE>
    """
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    """Return a block as Markdown."""
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_plain(text)}"
        case Text(text):
            return _plain(text)
        case Items(items):
            return "\n".join(f"- {_plain(item)}" for item in items)
        case Code(text, language):
            longest = max((len(run) for run in re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}{language}\n{text.rstrip()}\n{fence}"
        case Figure(_, image, text):
            return f"![the figure of the study]({image})\n\n{_plain(text)}"
        case Table(_, _, note):
            return _markdown_table(block) + (f"\n\n{_plain(note)}" if note else "")


def _markdown_table(table: Table) -> str:
    """Return a table whose columns also align where it is read as plain text."""
    cells = [[_plain(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(table.head))]
    rule = ["-" * w if i < table.texts else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    lines = [
        [
            c.ljust(w) if i < table.texts else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in cells
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _plain(text: str) -> str:
    """Return text on one line, with what Markdown would take for markup escaped."""
    text = " ".join(text.split())
    text = re.sub(r"[\\`*\[\]<|&$~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)
    # At the start, what would make a list, a heading or a quotation.
    return re.sub(r"^(\d*)([-+#>.)])(?=[\s#]|$)", r"\1\\\2", text)
