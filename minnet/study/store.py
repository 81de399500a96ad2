"""The folder of a study's results: one small file per finished run, written beside and renamed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import FormatError, MinnetError, SpecError
from ..io import load
from ..net import Net

__all__ = ["Store"]

PARTS = ("runs", "nets", "times", "failed")


class Store:
    """A folder of results. It is the truth: nothing about a study is kept elsewhere.

    Parameters
    ----------
    folder
        `study.json` says whose it is; `runs/ID.json` holds the numbers of a finished
        run, `nets/ID.npz` a base net, `times/ID.json` how long a run took (apart,
        since it differs from time to time), `failed/ID.json` the error of a failed one.
    """

    def __init__(self, folder: Any) -> None:
        self.folder = Path(folder)

    def open(self, spec: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Make the folder for a spec, or check that it is that spec's.

        Raises
        ------
        SpecError
            If the folder belongs to another spec; the first difference is named.
        FormatError
            If the folder holds something else.
        """
        there = self.spec()
        # A study of before there was a choice of devices was done on the CPU.
        early = {"device": "cpu"} if "device" in spec else {}
        found = there and _first_difference({**early, **there}, spec, ())
        if found:
            where, old, new = found
            raise SpecError(
                f"the folder {self.folder} holds the results of another spec: there {where} is "
                f"{old!r}, here {new!r}. Give the new one a folder of its own"
            )
        for part in PARTS:
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.tidy()
        if there is None:
            about = {"format": "minnet study", "version": 1}
            self._write(
                "study.json", {**about, "spec": dict(spec), "environment": dict(environment)}
            )

    def tidy(self) -> None:
        """Remove what processes that were killed had begun to write; nobody else may be writing."""
        for torn in (*self.folder.glob("*/.*.part"), *self.folder.glob("*/.*.minnet")):
            torn.unlink(missing_ok=True)

    def spec(self) -> dict[str, Any] | None:
        """Return the spec whose results these are; None if the folder is new.

        Raises
        ------
        FormatError
            If the folder holds something else.
        """
        path = self.folder / "study.json"
        if not path.exists():
            names = {item.name for item in self.folder.iterdir()} if self.folder.exists() else set()
            # A study killed at its very start leaves no more than this.
            if not all(name in PARTS or name.endswith(".part") for name in names):
                raise FormatError(f"{self.folder} is not empty and not a folder of results")
            return None
        content = _read(path) or {}
        if content.get("format") != "minnet study" or not isinstance(content.get("spec"), dict):
            raise FormatError(
                f"{path} is damaged or not a study's: restore it or use another folder"
            )
        if content.get("version") != 1:
            raise FormatError(f"{path} was written by a newer minnet: pip install --upgrade minnet")
        return dict(content["spec"])

    def environment(self) -> dict[str, str]:
        """Return with what the study was begun: versions and machine."""
        return dict((_read(self.folder / "study.json") or {}).get("environment", {}))

    def done(self) -> set[str]:
        """Return the ids of the finished runs; a torn or foreign file counts for nothing."""
        return {path.stem for path in self._files("runs") if self.result(path.stem) is not None}

    def result(self, run: str) -> dict[str, Any] | None:
        """Return what a finished run found, or None."""
        content = _read(self.folder / "runs" / f"{run}.json")
        return content if content is not None and content.get("id") == run else None

    def seconds(self, run: str) -> float | None:
        """Return how long a run took, where that is known."""
        content = _read(self.folder / "times" / f"{run}.json")
        seconds = (content or {}).get("seconds")
        return float(seconds) if isinstance(seconds, int | float) else None

    def failed(self) -> dict[str, dict[str, Any]]:
        """Return the failed runs with their errors, by id; not those that went well since."""
        found = ((path.stem, _read(path)) for path in sorted(self._files("failed")))
        return {
            run: content
            for run, content in found
            if content is not None and self.result(run) is None
        }

    def net_path(self, run: str) -> Path:
        """Return where a base net is kept."""
        return self.folder / "nets" / f"{run}.npz"

    def net(self, run: str) -> Net:
        """Return a base net."""
        return load(self.net_path(run))

    def has_net(self, run: str) -> bool:
        """Tell whether a base net is there and whole."""
        try:
            self.net(run)
        except (MinnetError, OSError):
            return False
        return True

    def finish(self, run: str, result: Mapping[str, Any], seconds: float) -> None:
        """Keep what a run found; it is done when its file has its name."""
        self._write(f"times/{run}.json", {"seconds": round(seconds, 3)})
        self._write(f"runs/{run}.json", {"id": run, **result})
        with contextlib.suppress(OSError):
            (self.folder / "failed" / f"{run}.json").unlink()

    def fail(self, run: str, label: str, error: str, trace: str) -> None:
        """Keep the error of a failed run."""
        self._write(f"failed/{run}.json", {"run": label, "error": error, "trace": trace})

    def _files(self, part: str) -> Iterator[Path]:
        folder = self.folder / part
        return folder.glob("*.json") if folder.exists() else iter(())

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        target = self.folder / name
        handle, beside = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, or None for one that is missing, torn or foreign."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _first_difference(old: Any, new: Any, path: tuple[str, ...]) -> tuple[str, Any, Any] | None:
    """Return the first key at which two specs differ, with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            found = _first_difference(old.get(key), new.get(key), (*path, key))
            if found:
                return found
        return None
    if old == new:
        return None
    return ".".join(path), old, new
