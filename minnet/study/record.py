"""Record: what one finished run of a study found, and the tidy CSV of all runs."""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import DataError, FormatError

__all__ = ["TREATMENTS", "Record", "groups", "in_order", "read_runs", "write_beside", "write_runs"]

# In the order in which tables and legends name them.
TREATMENTS = ("base", "BnB", "BnB+", "AnB", "AnB+", "random", "meanvar")


@dataclass(frozen=True)
class Record:
    """What one run found, as plain values; None where something is not known.

    Parameters
    ----------
    treatment
        `"base"`, `"BnB"`, `"BnB+"`, `"AnB"`, `"AnB+"`, `"random"` or `"meanvar"`.
    split
        Which split of the classes, such as `"0"` or `"semantic"`.
    source
        The half whose base gave the first layers; None for base and random.
    target
        The half the net was trained and tested on, such as `"0B"`.
    n
        How many weight layers were taken; 0 for a base.
    replicate
        Counted from 0.
    layers
        The number of weight layers of the net, L.
    accuracy
        The final one, on the test data of the target, from 0 to 1.
    best_accuracy
        The highest after any round.
    rounds, rounds_to_base
        How many rounds it trained, and the first within a point of its base's accuracy.
    seconds
        How long it took.
    trained
        How many parameters learned.
    chance
        The accuracy of guessing the most frequent class.
    first_loss, last_loss
        The training loss of the first and last round.
    collapsed
        Whether it stayed at chance or its loss never fell.
    reused
        Which share of the forward passes through the frozen layers was saved.

    Raises
    ------
    DataError
        If the treatment is not one of those above or the accuracy not from 0 to 1.

    Examples
    --------
    >>> from minnet.study.record import Record
    >>> run = Record("AnB", "0", "0A", "0B", n=5, replicate=0, layers=8, accuracy=0.5857)
    >>> run.label
    'AnB n=5 0A -> 0B #0'
    """

    treatment: str
    split: str
    source: str | None
    target: str
    n: int
    replicate: int
    layers: int
    accuracy: float
    best_accuracy: float | None = None
    rounds: int | None = None
    rounds_to_base: int | None = None
    seconds: float | None = None
    trained: int | None = None
    chance: float | None = None
    first_loss: float | None = None
    last_loss: float | None = None
    collapsed: bool = False
    reused: float | None = None

    def __post_init__(self) -> None:
        if self.treatment not in TREATMENTS:
            known = ", ".join(TREATMENTS)
            raise DataError(f"a treatment is one of {known}; got {self.treatment!r}")
        if not 0 <= self.accuracy <= 1:
            raise DataError(f"{self.label}: an accuracy is from 0 to 1, got {self.accuracy!r}")

    @property
    def label(self) -> str:
        """What to call the run."""
        if self.treatment == "base":
            return f"base {self.target} #{self.replicate}"
        layers = f"{self.source or 'nothing'} -> {self.target}"
        return f"{self.treatment} n={self.n} {layers} #{self.replicate}"


def in_order(records: Iterable[Record]) -> list[Record]:
    """Return the records in the one order in which everything here shows them.

    Raises
    ------
    DataError
        If a run stands twice: its numbers would count double.
    """
    found = sorted(records, key=_place)
    for one, next_one in itertools.pairwise(found):
        if _place(one) == _place(next_one):
            raise DataError(f"the run {one.label} stands twice in the records; keep one")
    return found


def _place(record: Record) -> tuple[Any, ...]:
    """Return what tells a run from all others, and orders them."""
    position = TREATMENTS.index(record.treatment)
    return position, record.n, record.split, record.target, record.source or "", record.replicate


def groups(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records by kind of split: all random ones together, each named one apart.

    A split is random if its name is a number. How much features transfer depends on how
    alike the halves are, so random and meaningful halves are never averaged together.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> {name: len(runs) for name, runs in groups(paper_records()).items()}
    {'random splits': 112, 'split all': 8, 'split natman': 16}
    """
    found: dict[str, list[Record]] = {}
    for record in in_order(records):
        name = "random splits" if record.split.isdecimal() else f"split {record.split}"
        found.setdefault(name, []).append(record)
    return {name: found[name] for name in sorted(found, key=lambda n: (n != "random splits", n))}


# --- the tidy CSV: one line a run -----------------------------------------------------------

NAMES = [field.name for field in fields(Record)]
TYPES = {field.name: str(field.type) for field in fields(Record)}


def write_runs(path: Any, records: Iterable[Record]) -> None:
    """Write one line a run; what is not known stays empty.

    Examples
    --------
    >>> import os, tempfile
    >>> from minnet.study.paper import paper_records
    >>> path = os.path.join(tempfile.mkdtemp(), "runs.csv")
    >>> write_runs(path, paper_records())
    >>> read_runs(path) == in_order(paper_records())
    True
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(NAMES)
    for record in in_order(records):
        writer.writerow(
            "" if value is None else value for value in (getattr(record, name) for name in NAMES)
        )
    write_beside(Path(path), text.getvalue().encode())


def read_runs(path: Any) -> list[Record]:
    """Read what `write_runs` wrote.

    Raises
    ------
    FormatError
        If a column is missing or a value is not of its column's type; the line is named.
    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in NAMES if name not in (reader.fieldnames or [])]
        if missing:
            raise FormatError(f"{path}: this is no table of runs: it lacks {', '.join(missing)}")
        records = []
        for row in reader:
            try:
                records.append(Record(**{name: _parsed(name, row[name]) for name in NAMES}))
            except (ValueError, TypeError) as error:
                raise FormatError(f"{path}, line {reader.line_num}: {error}") from None
    return records


def _parsed(name: str, text: str | None) -> Any:
    """Return the value that a cell holds."""
    kind, _, optional = TYPES[name].partition(" | ")
    if text is None:
        raise ValueError(f"the line ends before {name}")
    if text == "" and optional:
        return None
    if kind == "bool":
        if text not in ("True", "False"):
            raise ValueError(f"{name} is True or False, got {text!r}")
        return text == "True"
    try:
        return {"int": int, "float": float, "str": str}[kind](text)
    except ValueError:
        raise ValueError(f"{name} is of type {kind}, got {text!r}") from None


def write_beside(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
