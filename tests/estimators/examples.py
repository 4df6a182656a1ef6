"""Small images that are quick to learn."""

from __future__ import annotations

import numpy as np

from convoi import nn


def bars(count=60, seed=0, channels=None):
    """Return noisy images of 6x7 and whether the bar in each lies (0) or stands (1)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=count)
    y[:2] = 0, 1
    X = rng.normal(0.0, 0.3, (count, 6, 7))
    for image, standing in zip(X, y, strict=True):
        if standing:
            image[:, rng.integers(7)] += 2
        else:
            image[rng.integers(6)] += 2
    X = X.astype(np.float32)
    return (X if channels is None else np.stack([X] * channels, axis=-1)), y


def brightness(count=60, seed=0):
    """Return images of 5x5 and how bright each is."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(size=count)
    return (rng.uniform(size=(count, 5, 5)) * y[:, np.newaxis, np.newaxis]).astype(np.float32), y


def tiny(outputs):
    """Return layers that train in no time."""
    return nn.Sequential(nn.Conv(4, 3, padding="same"), nn.ReLU(), nn.Flatten(), nn.Dense(outputs))
