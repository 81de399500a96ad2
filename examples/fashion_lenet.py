"""Train LeNet on all of Fashion-MNIST and report its accuracy on the test images.

    python examples/fashion_lenet.py

It needs the 60,000 images, which are not in this repository: `apt install
dataset-fashion-mnist`, or the four files of the project in a folder that the variable
MINNET_DATA names.
"""

from __future__ import annotations

import argparse

import minnet as mn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="rounds of training (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    options = parser.parse_args()

    train, test = mn.data.fashion_mnist()
    net = mn.models.lenet(train.classes, input=mn.ImageEncoder((28, 28)))
    result = mn.train(
        net,
        train,
        rounds=options.rounds,
        optimizer=mn.Adam(mn.optim.Cosine(1e-3)),
        seed=options.seed,
        progress="lines",
    )
    measured = mn.evaluate(result.net, test, measure=["accuracy", "confusion"])
    print(f"LeNet, {options.rounds} rounds of {len(train):,} images, seed {options.seed}")
    print(f"test accuracy {measured['accuracy']:.2%} on {len(test):,} images")
    print(
        f"{result.seconds:.0f} s of training, {result.examples_per_second:,.0f} images per second"
    )


if __name__ == "__main__":
    main()
