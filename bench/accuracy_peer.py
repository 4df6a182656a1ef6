"""PyTorch's side of the time to accuracy: ``python -m bench.accuracy_peer``.

It takes the steps that the file of arrays lists.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from bench.peer_model import build_model
from bench.task import PARAMETER, read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN = 2
"""Positions by which images move at most."""
CHECKED_STEPS = 10


def main() -> None:
    """Train as the recipe on standard input says; print figures as JSON."""
    recipe = json.load(sys.stdin)
    arrays = read_arrays(recipe["arrays"])
    parameters = {
        name.removeprefix(PARAMETER): array
        for name, array in arrays.items()
        if name.startswith(PARAMETER)
    }
    torch.set_flush_denormal(True)
    torch.set_num_threads(recipe["threads"])
    model = build_model(recipe["graph"], parameters)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start = time.perf_counter()
    losses = _train(model, {name: torch.from_numpy(array) for name, array in arrays.items()})
    seconds = time.perf_counter() - start
    found = {
        "accuracy": _accuracy(model, arrays),
        "seconds": seconds,
        "first_losses": sum(losses) / len(losses),
    }
    print(json.dumps(found))


def _train(model: torch.nn.Module, data: dict[str, Tensor]) -> list[float]:
    """Take all steps; return the losses of the first ones."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0, fused=True)
    images = F.pad(data["X"], (MARGIN,) * 4)
    flipped = F.pad(data["X"].flip(-1), (MARGIN,) * 4)
    both = torch.stack((images, flipped), 1)
    first, losses = 0, []
    for step, (size, rate) in enumerate(
        zip(data["size"].tolist(), data["rate"].tolist(), strict=True)
    ):
        now = slice(first, first + size)
        first += size
        rows = data["order"][now]
        x = _moved(both[rows, data["flip"][now].long()], data["shift"][now])
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        x = x.contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(model(x), data["y"][rows])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step < CHECKED_STEPS:
            losses.append(float(loss))
    return losses


def _moved(padded: Tensor, shift: Tensor) -> Tensor:
    """Return images moved towards their ends, cut out of padded ones ``(n, 1, H, W)``."""
    extent = padded.shape[-1] - 2 * MARGIN
    place = MARGIN - shift[:, :, None] + torch.arange(extent)
    number = torch.arange(len(padded))[:, None, None]
    return padded[number, 0, place[:, 0, :, None], place[:, 1, None, :]][:, None]


def _accuracy(model: torch.nn.Module, arrays: dict[str, NDArray[Any]]) -> float:
    model.eval()
    right = 0
    with torch.inference_mode():
        for first in range(0, len(arrays["X_test"]), 256):
            x = torch.from_numpy(arrays["X_test"][first : first + 256])
            y = torch.from_numpy(arrays["y_test"][first : first + 256])
            right += int((model(x).argmax(1) == y).sum())
    return right / len(arrays["X_test"])


if __name__ == "__main__":
    main()
