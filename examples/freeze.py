"""Freeze part of a net while training the rest, on photographs of clothes.

A LeNet learns five kinds of clothes. Its layers but the last two, frozen, then go under a
new head that learns the other five; beside it stand the same net trained from scratch and
one that is fine-tuned as a whole. Run it from the repository:

    python examples/freeze.py
"""

from __future__ import annotations

import argparse

import numpy as np
from matplotlib.figure import Figure

import minnet as mn

FIRST = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
OTHER = ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def draw(
    path: str,
    results: dict[str, mn.TrainResult],
    images: np.ndarray,
    said: list[str],
    true: list[str],
) -> None:
    """Draw the learning curves, and a row of test images with what the net says they are."""
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    curves, row = figure.subfigures(2, 1, height_ratios=(2, 1))
    left, right = curves.subplots(1, 2)
    for (name, result), marker in zip(results.items(), "os^", strict=True):
        seconds = result.curve("seconds")
        few = len(seconds) <= 40  # hundreds of markers would hide each other
        style = {"marker": marker if few else "", "markersize": 4, "linewidth": 1.5 if few else 0.8}
        left.plot(seconds, result.curve("validation_accuracy"), label=name, **style)
        right.plot(seconds, result.curve("loss"), label=name, **style)
    left.set(xlabel="seconds", ylabel="accuracy on the validation tenth", title="Validation")
    right.set(xlabel="seconds", ylabel="cross-entropy", yscale="log", title="Training loss")
    left.legend(frameon=False, loc="lower right")
    row.suptitle("Test images, and what the net with frozen layers says they are")
    for axes, image, label, truth in zip(
        row.subplots(1, len(images)), images, said, true, strict=True
    ):
        axes.imshow(image, cmap="gray_r")
        axes.set_axis_off()
        right_or_wrong = "black" if label == truth else "firebrick"
        text = label if label == truth else f"{label}\n(is: {truth})"
        axes.set_title(text, fontsize=9, color=right_or_wrong, y=-0.12, va="top")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="for each training (default 10)"
    )
    parser.add_argument("--figure", default="freeze.png", help="where to draw (default freeze.png)")
    options = parser.parse_args()

    train, test = mn.data.fashion_mini()
    encoder = mn.ImageEncoder((28, 28), color="gray")
    settings = {"max_seconds": options.seconds, "validation": 0.1, "best": "validation_accuracy"}

    print(f"1. A LeNet learns {', '.join(FIRST)}.")
    lenet = mn.models.lenet(FIRST, input=encoder)
    lenet = mn.train(lenet, train.subset(FIRST), **settings).net
    accuracy = mn.evaluate(lenet, test.subset(FIRST))["accuracy"]
    print(f"   accuracy on its test images: {accuracy:.1%}\n")

    print(f"2. Its layers but the last two, frozen, under a new head for {', '.join(OTHER)}:")
    decoder = mn.ClassDecoder(OTHER)
    new = mn.Chain(*lenet[:-2], mn.Linear(), mn.Softmax(), input=encoder, output=decoder)
    only_head = {-2: 1, ...: None}
    print(new.summary(only_head), "\n")

    clothes = train.subset(OTHER)
    results = {
        "frozen layers": mn.train(new, clothes, multipliers=only_head, **settings),
        "all fine-tuned": mn.train(new, clothes, **settings),
        "from scratch": mn.train(mn.models.lenet(OTHER, input=encoder), clothes, **settings),
    }
    frozen = results["frozen layers"].net

    print("3. Accuracy on 2,500 test images of the other five classes:")
    for name, result in results.items():
        accuracy = mn.evaluate(result.net, test.subset(OTHER))["accuracy"]
        speed = f"{len(result.history):4} rounds in {result.seconds:.1f} s"
        print(f"   {name:15} {accuracy:6.1%}   {speed}")

    same = [array is lenet[path] for path, array in frozen.arrays().items() if path[0] != 9]
    print(
        f"\n4. Frozen arrays that are the very same objects as before: {sum(same)} of {len(same)}"
    )

    row = test.subset(OTHER)[np.linspace(0, 2499, 10).astype(int)]
    draw(options.figure, results, row.x, frozen(row.x), list(row.y))
    print(f"\n5. Learning curves and a row of test images are drawn in {options.figure}")


if __name__ == "__main__":
    main()
