"""Make fashion-mini.npz, the small part of Fashion-MNIST that lies beside this script.

    python examples/data/make_fashion_mini.py [FOLDER OF THE FOUR IDX FILES] [FILE TO WRITE]

Takes 400 training and 500 test images of each class, chosen by a fixed seed, in the order
they have in Fashion-MNIST. The folder is that of Debian's package dataset-fashion-mnist
when left out. The same input gives the same bytes on the same machine; elsewhere another
zlib may compress the same numbers differently.
"""

import sys
from pathlib import Path

import numpy as np

from minnet.data import FASHION_CLASSES, read_idx_folder

FOLDER = Path("/usr/share/datasets/fashion-mnist")
FILE = Path(__file__).with_name("fashion-mini.npz")
SEED = 2017
PER_CLASS = {"train": 400, "test": 500}


def chosen(labels: np.ndarray, per_class: int, seed: int = SEED) -> np.ndarray:
    """Return the positions of `per_class` examples of each class, in increasing order."""
    order = np.random.default_rng(seed).permutation(len(labels))
    picked = [order[labels[order] == label][:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(picked))


def make(folder: Path, file: Path) -> None:
    """Write the images chosen from the files in `folder` to `file`."""
    arrays = {}
    for kind, per_class in PER_CLASS.items():
        full = read_idx_folder(folder, kind)
        picked = chosen(full.y, per_class)
        arrays[f"{kind}_images"] = full.x[picked]
        arrays[f"{kind}_labels"] = full.y[picked]
    np.savez_compressed(file, **arrays, classes=np.array(FASHION_CLASSES))


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]]
    folder, file = (given + [FOLDER, FILE][len(given) :])[:2]
    make(folder, file)
    print(f"{file}: {file.stat().st_size:,} bytes")
