"""The measurements of Yosinski et al. (2014), 136 nets, as records to compare a study with."""

from __future__ import annotations

import csv
import functools
from importlib.resources import files

from .record import Record

__all__ = ["paper_records"]

LAYERS = 8  # CaffeNet: five convolutions and three fully connected layers
CLASSES = {"natmanA": 449, "natmanB": 551, "all": 1000}  # a random half has 500
PER_CLASS = 50  # validation images of a class in ImageNet 2012


@functools.cache
def paper_records() -> tuple[Record, ...]:
    """Return the nets of "How transferable are features in deep neural networks?".

    Read from the authors' public training logs: CaffeNet on halves of ImageNet's
    classes, 450,000 steps each, one replicate. Splits `"0"` to `"3"` are random; in
    `"natman"`, half A are the natural classes and B the man-made ones. `"all"` is
    all of ImageNet, on which the nets with random first layers and their base were
    trained. Their nets on reduced data are left out.

    Only the halves A have BnB and BnB+, and AnB+ was trained for 0B and 1B alone.
    So no AnB+ net has a BnB+ net of the same half beside it; see
    `minnet.study.statistics` for what follows.

    Returns
    -------
    tuple of Record
        136 of them. Losses, rounds, seconds and best accuracies are not in the file.

    References
    ----------
    J. Yosinski, J. Clune, Y. Bengio, H. Lipson, "How transferable are features in deep
    neural networks?", NeurIPS 2014, arXiv 1411.1792.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> records = paper_records()
    >>> len(records), records[0].label, records[0].accuracy
    (136, 'base 0A #0', 0.6151)
    >>> [record.label for record in records if record.collapsed]
    ['random n=3 nothing -> all #0']
    """
    text = (files(__package__) / "data" / "yosinski2014.csv").read_text(encoding="utf-8")
    return tuple(_record(row) for row in csv.DictReader(text.splitlines()))


def _record(row: dict[str, str]) -> Record:
    """Return a line of the file as a record."""
    treatment, target, accuracy = row["treatment"], row["target"], float(row["top1"])
    classes = CLASSES.get(target, 500)
    chance = 1 / classes
    # Three standard errors above chance: less can be luck.
    lucky = chance + 3 * (chance * (1 - chance) / (PER_CLASS * classes)) ** 0.5
    return Record(
        treatment=treatment,
        split=target.removesuffix("A").removesuffix("B"),
        source=None if treatment in ("base", "random") else row["source"],
        target=target,
        n=int(row["n"]),
        replicate=0,
        layers=LAYERS,
        accuracy=accuracy,
        chance=chance,
        collapsed=accuracy <= lucky,
    )
