"""Data and networks that are small, for tests of what surrounds a training step."""

from __future__ import annotations

import numpy as np

from convoi import Network, nn

CLASSES = 3


def images(samples=48, seed=0):
    """Return noisy images (n, 1, 6, 6) with a bright row, and which third it is in."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % CLASSES
    X = rng.normal(scale=0.3, size=(samples, 1, 6, 6)).astype(np.float32)
    X[np.arange(samples), 0, 2 * y] += 1
    return X, y


def classifier(random_state=0):
    """Return a network that has everything with a state: dropout and batch statistics, too."""
    layers = nn.Sequential(
        nn.Conv(4, 3),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Dense(CLASSES),
    )
    return Network(layers, input_shape=(1, 6, 6), random_state=random_state)


def regressor(outputs=1, random_state=0):
    """Return a linear model of 4 features."""
    return Network(nn.Dense(outputs), input_shape=(4,), random_state=random_state)


def linear_data(samples=32, outputs=1):
    """Return features (n, 4) and values (n, outputs) that follow from them, with some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(samples, 4)).astype(np.float32)
    y = X @ rng.normal(size=(4, outputs)) + 0.1 * rng.normal(size=(samples, outputs))
    return X, y


def same_bits(first, second):
    """Tell whether two dictionaries of arrays hold the same bits under the same names."""
    return list(first) == list(second) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(first.values(), second.values(), strict=True)
    )
