"""What a request may ask for at most.

With these limits the slowest request computes for a few milliseconds.
"""

from __future__ import annotations

BODY_BYTES = 64 * 1024
"""Of a request's body; 2,000 points of a drawing are half of it."""
BODY_SECONDS = 10.0
"""In which the body has to arrive."""
CLIENTS = 512
"""Connections at a time; more are refused."""
WORKERS = 4
"""Requests that compute at a time; others wait."""

SIGNAL = 256
"""Samples of a typed signal."""
IMAGE = 32
"""Rows and columns of a typed image."""
TAPS = 9
"""Taps of a kernel along an axis: those of a Gaussian of standard deviation 1."""
STEP = 4
"""Stride and dilation."""
MAGNITUDE = 1e6
"""Of typed numbers: sums of products stay exact enough to be compared on the page."""
POOL = 4
"""Window of a pool along an axis."""

STROKES = 64
POINTS = 2000
"""Of all strokes of a drawing."""

LAYERS = 48
"""Layers whose maps are shown."""
MAPS = 64
"""Maps of a layer."""
MAP_SIDE = 64
"""Rows and columns of a map; of larger ones every second, third ... value is shown."""
