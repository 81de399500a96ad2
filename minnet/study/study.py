"""Study: a spec to plan, run and report; what the `minnet study` command is made of."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..errors import DataError, SpecError
from .execute import Outcome, Tell, Tick, execute
from .page import Block
from .plan import Plan, make_plan
from .record import Record
from .spec import checked_spec, read_toml
from .store import Store

__all__ = ["Study", "environment", "read_measures", "read_records"]


class Study:
    """A study of how far features of one task serve another (Yosinski et al. 2014).

    Parameters
    ----------
    folder
        Where the results are kept; named after the study when left out.
    base
        The folder that paths in the spec count from; the current one when left out.
    **spec
        The keys of a spec file: `data` (required), `halves`, `net`, `train`,
        `treatments`, `n`, `replicates`, `seed`, `measures` and so on.

    Raises
    ------
    SpecError
        For an unknown key or a wrong value, with the path of the key.

    Examples
    --------
    >>> import minnet as mn
    >>> study = mn.study.Study(data={"reader": "fashion_mini"}, replicates=2)
    >>> study.spec["treatments"]
    ['BnB', 'BnB+', 'AnB', 'AnB+', 'random', 'meanvar']
    """

    def __init__(self, *, folder: Any = None, base: Any = None, **spec: Any) -> None:
        self.spec = checked_spec(spec)
        self.base = Path.cwd() if base is None else Path(base).resolve()
        self.folder = Path(f"{self.spec['name']}-results" if folder is None else folder)

    @classmethod
    def read(cls, path: Any, folder: Any = None) -> Self:
        """Read a spec file; its name is the study's unless it says otherwise."""
        spec = read_toml(path)
        spec.setdefault("name", Path(path).stem)
        try:
            checked = checked_spec(spec)
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from None
        return cls(folder=folder, base=Path(path).resolve().parent, **checked)

    @classmethod
    def opened(cls, folder: Any) -> Self:
        """Return the study whose results a folder holds."""
        store = Store(folder)
        spec = store.spec()
        if spec is None:
            raise DataError(f"there are no results in {folder}")
        return cls(folder=folder, **spec)

    @functools.cached_property
    def _plan(self) -> Plan:
        return make_plan(self.spec, self.base)

    @property
    def store(self) -> Store:
        """The folder of results."""
        return Store(self.folder)

    def plan(self) -> Plan:
        """Return all runs of the study; nothing is trained."""
        return self._plan

    def open(self) -> None:
        """Make the folder of results, or check that it is this study's.

        Raises
        ------
        SpecError
            If its spec, data or net can't be, or the folder is that of another spec.
        FormatError
            If the folder holds something else.
        """
        self.plan()
        self.store.open(self.spec, environment())

    def run(
        self,
        executor: Any = None,
        jobs: int = 1,
        fail_fast: bool = False,
        tell: Tell = lambda outcome, total, label: None,
        tick: Tick = lambda labels: None,
    ) -> Outcome:
        """Do every run that is not done yet, and keep the results.

        The runs are done by new processes: a script must call this under
        `if __name__ == "__main__":`.

        Parameters
        ----------
        executor
            Anything with the interface of `concurrent.futures.Executor`, such as that
            of a Dask client: `Client(...).get_executor(pure=False)`.
        jobs
            How many runs at once on this machine, where there is no executor.
        fail_fast
            Stop at the first run that fails.
        tell, tick
            Called after every run, and while time goes by: see `minnet.study.execute`.
        """
        self.open()
        return execute(
            self.spec,
            self.base,
            self.plan(),
            self.store,
            executor=executor,
            jobs=jobs,
            fail_fast=fail_fast,
            tell=tell,
            tick=tick,
        )

    def records(self) -> list[Record]:
        """Return what the finished runs found, bases first."""
        return read_records(self.store)

    def report(self, folder: Any = None, paper: bool = False) -> Path:
        """Write the report from the stored results alone; return the path of its page."""
        from .report import write_report

        records = self.records()
        if not records:
            raise DataError(f"there are no finished runs in {self.folder}: run the study first")
        failed = [f"{item['run']}: {item['error']}" for item in self.store.failed().values()]
        return write_report(
            records,
            self.folder if folder is None else folder,
            name=self.spec["name"],
            spec_text=spec_text(self.spec),
            environment=self.store.environment(),
            halves=read_halves(self.store),
            measures=read_measures(self.store),
            failed=failed,
            paper=paper,
            leave_out_collapsed=self.spec["leave_out_collapsed"],
        )

    def summary(self) -> list[Block]:
        """Return the report in brief: what is lost and gained, and the table of treatments."""
        from .report import summary

        return summary(self.records(), leave_out_collapsed=self.spec["leave_out_collapsed"])


def read_halves(store: Store) -> dict[str, tuple[Any, ...]]:
    """Return the classes of each half, as its base nets name them."""
    halves: dict[str, tuple[Any, ...]] = {}
    for run in sorted(store.done()):
        result = store.result(run) or {}
        if result["treatment"] == "base" and result["target"] not in halves and store.has_net(run):
            halves[result["target"]] = getattr(store.net(run).output, "labels", ())
    return dict(sorted(halves.items()))


def read_records(store: Store) -> list[Record]:
    """Return the finished runs of a folder as records, in a fixed order."""
    names = set(Record.__dataclass_fields__)
    found = []
    for run in sorted(store.done()):
        result = store.result(run) or {}
        if result["treatment"] == "measures":
            continue
        plain = {key: value for key, value in result.items() if key in names}
        found.append(Record(**plain, seconds=store.seconds(run)))
    return sorted(
        found,
        key=lambda r: (r.treatment != "base", r.split, r.target, r.treatment, r.n, r.replicate),
    )


def read_measures(store: Store) -> list[dict[str, Any]]:
    """Return what was measured of features, one dict a number, in a fixed order."""
    found = []
    for run in sorted(store.done()):
        result = store.result(run) or {}
        place = {key: result[key] for key in ("source", "target", "replicate")}
        found += [{**place, **item} for item in result.get("measures", ())]
        name = f"cka kept in {result['treatment']}"
        found += [
            {**place, **item, "name": name}
            for item in result.get("kept", ())
            if item["n"] == result["n"]
        ]
    return sorted(
        found, key=lambda m: (m["name"], m["source"], m["target"], m["n"], m["replicate"])
    )


def spec_text(spec: Mapping[str, Any], path: str = "") -> str:
    """Return a spec as TOML, which reads back as the same spec."""
    plain = {key: value for key, value in spec.items() if not isinstance(value, Mapping)}
    lines = [f"[{path}]"] if path and plain else []
    for key, value in plain.items():
        if value is not None:  # TOML has no such thing: a key left out
            # JSON writes texts, numbers, truth values and lists as TOML does.
            lines.append(f"{_toml_key(key)} = {json.dumps(value)}")
    for key, value in spec.items():
        if isinstance(value, Mapping) and value:
            lines += ["", spec_text(value, f"{path}.{_toml_key(key)}" if path else key)]
    return "\n".join(lines)


def _toml_key(key: str) -> str:
    return key if key.replace("-", "_").isidentifier() and key.isascii() else json.dumps(key)


def environment() -> dict[str, str]:
    """Return what a result depends on besides the spec: versions and the machine."""
    from .. import __version__

    return {
        "minnet": __version__,
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "processor": _processor(),
        "begun": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    """Return what the processor is called, as far as that is known."""
    with contextlib.suppress(OSError):  # Linux says it here only
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
