"""The result of a case: both sides, their ratio and what it was to reach; as a table and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .compare import Spread

COLUMNS = (
    "case",
    "minnet",
    "best other",
    "which",
    "ratio",
    "from-to",
    "target",
    "reached",
    "of products",
)
RIGHT = (1, 2, 4, 6, 8)


@dataclass(frozen=True)
class Result:
    """What was measured in a case.

    Parameters
    ----------
    case
        Its name.
    unit
        That of `minnet` and `rivals`.
    minnet, rivals
        The cost on either side; the best rival is the one of the lowest median.
    ratio
        The best rival's by minnet's, turn by turn.
    target
        The ratio to reach.
    rate
        Of the machine's float32 matrix products, in operations a second, in the same turns.
    fraction, target_fraction
        How much of that rate minnet reaches, where its operations can be counted, and
        how much it is to reach.
    """

    case: str
    unit: str
    minnet: Spread
    rivals: dict[str, Spread]
    ratio: Spread
    target: float
    rate: float | None = None
    fraction: float | None = None
    target_fraction: float | None = None

    @property
    def best(self) -> str:
        """The rival that minnet is compared with."""
        return min(self.rivals, key=lambda name: self.rivals[name].median)

    @property
    def is_reached(self) -> bool:
        """Whether the case is where it is to be."""
        enough = self.target_fraction is None or (self.fraction or 0) >= self.target_fraction
        return self.ratio.median >= self.target and enough

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        best = self.rivals[self.best].median
        wanted = "" if self.target_fraction is None else f", {self.target_fraction:.0%}"
        return (
            self.case,
            f"{_short(self.minnet.median)} {self.unit}",
            f"{_short(best)} {self.unit}",
            self.best,
            f"{self.ratio.median:.2f}",
            f"{self.ratio.low:.2f}-{self.ratio.high:.2f}",
            f"{self.target:g}{wanted}",
            "yes" if self.is_reached else "no",
            "" if self.fraction is None else f"{self.fraction:.0%}",
        )


def _short(value: float) -> str:
    """Return three digits of a positive number."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def combined(runs: Sequence[Sequence[Result]]) -> list[Result]:
    """Return the medians over several runs, and how far the runs' ratios lie apart."""
    by_case: dict[str, list[Result]] = {}
    for run in runs:
        for result in run:
            by_case.setdefault(result.case, []).append(result)
    return [_over(results) for results in by_case.values()]


def _over(results: list[Result]) -> Result:
    """Return what several runs of one case come to."""
    ratios = [result.ratio.median for result in results]
    ways = [way for way in results[0].rivals if all(way in result.rivals for result in results)]
    return dataclasses.replace(
        results[0],
        minnet=Spread.of([result.minnet.median for result in results]),
        rivals={way: Spread.of([r.rivals[way].median for r in results]) for way in ways},
        ratio=Spread(Spread.of(ratios).median, min(ratios), max(ratios)),
        rate=_median([result.rate for result in results]),
        fraction=_median([result.fraction for result in results]),
    )


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return Spread.of(known).median if known else None


# --- files --------------------------------------------------------------------------------------


def write(path: Path, machine: dict[str, Any], results: Sequence[Result]) -> None:
    """Write results to a JSON file, with the machine they are of."""
    cases = [{**dataclasses.asdict(result), "best": result.best} for result in results]
    path.write_text(json.dumps({"machine": machine, "cases": cases}, indent=1) + "\n")


def read(path: Path) -> tuple[dict[str, Any], list[Result]]:
    """Read what `write` wrote."""
    content = json.loads(path.read_text())
    return content["machine"], [_from_json(case) for case in content["cases"]]


def _from_json(case: dict[str, Any]) -> Result:
    fields = {key: case[key] for key in case.keys() - {"best"}}
    fields |= {name: Spread(**case[name]) for name in ("minnet", "ratio")}
    fields["rivals"] = {way: Spread(**spread) for way, spread in case["rivals"].items()}
    return Result(**fields)
