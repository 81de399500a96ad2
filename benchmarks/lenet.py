"""One training step of LeNet (forward, loss, backward, Adam), by minnet and by PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

import minnet as mn

from .compare import Step


def batch(size: int) -> tuple[Any, Any]:
    """Return made-up images and labels: the time does not depend on what they show."""
    random = np.random.default_rng(0)
    images = random.normal(size=(size, 28, 28, 1)).astype(np.float32)
    return images, random.integers(0, 10, size)


def minnet_step(size: int) -> Step:
    """Return minnet's step, through the public Trainer."""
    images, labels = batch(size)
    trainer = mn.Trainer(mn.models.lenet(10).initialize(), mn.Adam(1e-3))
    return lambda: trainer.step(images, labels)


def torch_steps(size: int) -> dict[str, Step]:
    """Return PyTorch's step, eager with its ordinary and with its fused Adam."""
    import torch
    from torch import nn

    images, labels = batch(size)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(labels)

    def step_with(fused: bool) -> Step:
        net = nn.Sequential(
            nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
        )  # fmt: skip
        optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=fused)

        def step() -> float:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step

    return {"PyTorch": step_with(False), "PyTorch, fused Adam": step_with(True)}
