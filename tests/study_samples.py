"""Made-up records for the tests of a study's statistics, figure and report."""

import numpy as np

from minnet.study.record import Record

# By how much a treatment differs from its base, for n from 0.
LOST = {
    "BnB": [0.0, 0.0, -0.01, -0.02],
    "BnB+": [0.0, 0.002, 0.003, 0.002],
    "AnB": [0.0, -0.005, -0.03, -0.09],
    "AnB+": [0.0, 0.01, 0.015, 0.012],
    "random": [0.0, -0.02, -0.14, -0.43],
    "meanvar": [0.0, 0.0, 0.001, -0.001],
}


def made_up(
    splits: tuple[str, ...] = ("0", "1"), replicates: int = 1, noise: float = 0.003
) -> list[Record]:
    """Return the runs of a study of a net of four weight layers, on halves unequally hard."""
    random = np.random.default_rng(0)
    records = []
    for split in splits:
        for replicate in range(replicates):
            base = {"A": 0.88 + noise * random.normal(), "B": 0.93 + noise * random.normal()}
            for half, other in ("AB", "BA"):
                target = split + half
                records.append(
                    record("base", target, accuracy=base[half], replicate=replicate, trained=5000)
                )
                for treatment, lost in LOST.items():
                    source = target if treatment[0] == "B" else split + other
                    for n in (1, 2, 3):
                        records.append(
                            record(
                                treatment,
                                target,
                                n,
                                base[half] + lost[n] + noise * random.normal(),
                                None if treatment == "random" else source,
                                replicate,
                                reused=0.9 if treatment in ("BnB", "AnB", "random") else 0.0,
                            )
                        )
    return records


def record(
    treatment: str,
    target: str,
    n: int = 0,
    accuracy: float = 0.5,
    source: str | None = None,
    replicate: int = 0,
    trained: int = 3000,
    collapsed: bool = False,
    reused: float = 0.0,
) -> Record:
    """Return one made-up run."""
    return Record(
        treatment=treatment,
        split=target[:-1],
        source=source,
        target=target,
        n=n,
        replicate=replicate,
        layers=4,
        accuracy=accuracy,
        best_accuracy=accuracy,
        rounds=10,
        rounds_to_base=4,
        seconds=2.5,
        trained=trained,
        chance=0.2,
        first_loss=1.6,
        last_loss=0.3,
        collapsed=collapsed,
        reused=reused,
    )
