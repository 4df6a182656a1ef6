"""All results on one page: tables and pictures in one file of HTML that loads nothing."""

from __future__ import annotations

import html
import json
import math
import shlex
from typing import TYPE_CHECKING, Any

from bench.figures import bars, lines, roofline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

NAME = "benchmarks.html"
TITLES = {
    "training": "Training step",
    "inference": "Predictions for 256 samples",
    "inference-64": "Predictions for 64 samples",
    "inference-8": "Predictions for 8 samples",
    "latency": "Prediction for one sample",
    "local": "Training step, unshared weights",
    "local-inference": "Predictions, unshared weights",
    "series": "Training steps of series",
    "accuracy": "Time to accuracy on Fashion-MNIST",
    "scaling": "Growth of a training step",
    "roofline": "Kernels of networks beside the roofs",
    "startup": "A process",
    "kernels": "Direct convolution kernels",
    "signal": "Convolution of arrays",
}
STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --dim: #666; --line: #ccc; --back: #fff;
  --a: #0b6e6e; --b: #c2571a; --c: #7a4fa3; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --dim: #a0a0a0; --line: #444;
  --back: #161616; --a: #4fc3c3; --b: #f09a5e; --c: #c3a0e8; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  margin: 0 auto; max-width: 60rem; padding: 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
td:last-child { white-space: nowrap; }
.wide { overflow-x: auto; }
svg { width: 100%; height: auto; max-width: 40rem; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg .axis { stroke: var(--line); fill: none; }
code { font-size: .9em; overflow-wrap: anywhere; }
.dim { color: var(--dim); }
"""


def write_page(folder: Path) -> Path:
    """Write the page of all results in a folder; return it.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        found[path.stem] = content
    if not found:
        raise FileNotFoundError(f"{folder} has no results: run a measure first.")
    path = folder / NAME
    path.write_text(page_text(found), encoding="utf-8")
    return path


def page_text(found: dict[str, dict[str, Any]]) -> str:
    """Return the page of results by the name of their file."""
    order = list(TITLES)

    def rank(name: str) -> tuple[int, str]:
        measure = found[name]["measure"]
        return (order.index(measure) if measure in order else len(order), name)

    sections = "\n".join(_section(found[name]) for name in sorted(found, key=rank))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Convoi: benchmarks</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Convoi: benchmarks</h1>\n{sections}\n</body>\n</html>\n"
    )


def _section(content: dict[str, Any]) -> str:
    measure, options = content["measure"], content["options"]
    title = TITLES.get(measure, measure)
    quick = " (short rounds: figures mean little)" if options["quick"] else ""
    body = RENDERERS.get(measure, _comparisons)(content["results"])
    return (
        f"<section>\n<h2>{_escaped(title + quick)}</h2>\n"
        f'<p class="dim">{_escaped(_machine(content["machine"], options))}</p>\n'
        f"<p><code>{_escaped(_command(measure, options))}</code></p>\n{body}\n</section>"
    )


def _command(measure: str, options: dict[str, Any]) -> str:
    """Return the command that measures this again."""
    words = ["python -m bench", measure, f"--threads {options['threads']}"]
    if options.get("networks"):
        words.append(f"--networks {shlex.quote(','.join(options['networks']))}")
    if measure == "accuracy" and "seeds" in options:
        words.append(f"--seeds {options['seeds']} --epochs {options['epochs']}")
    if options["quick"]:
        words.append("--quick")
    return " ".join(words)


def _machine(machine: dict[str, Any], options: dict[str, Any]) -> str:
    known = ("convoi", "torch", "jax", "onnxruntime", "openvino", "ncnn", "numpy", "llvmlite")
    versions = ", ".join(f"{name} {machine[name]}" for name in known if name in machine)
    return (
        f"{machine.get('cpu')} ({machine.get('llvm_cpu')}), {machine.get('usable_cores')} of "
        f"{machine.get('cores')} cores, {options['threads']} threads, "
        f"{machine.get('memory_gib')} GiB, load {machine.get('load_average', 0):.1f}; "
        f"{machine.get('os')}, Python {machine.get('python')}; {versions}; {machine.get('date')}"
    )


def _escaped(value: object) -> str:
    return html.escape(str(value))


def _table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{_escaped(header)}</th>" for header in headers)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


def _milliseconds(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    return f"{milliseconds:.3g}" if milliseconds < 1000 else f"{milliseconds:.0f}"


def _comparisons(results: list[dict[str, Any]]) -> str:
    if not all("peers" in result and "convoi" in result for result in results):
        return _records(results)
    rows, ratios = [], []
    for result in results:
        quickest: dict[str, dict[str, Any]] = {}
        for peer in result["peers"]:
            side = peer["side"]
            if side not in quickest or peer["seconds"] < quickest[side]["seconds"]:
                quickest[side] = peer
        others = "; ".join(
            f"{side} {_milliseconds(peer['seconds'])} ({peer['ratio']:.2f}x)"
            for side, peer in quickest.items()
        )
        name, ours = result["network"], result["convoi"]["seconds"]
        rows.append((name, result["samples"], _milliseconds(ours), others))
        if quickest:
            ratios.append((name, min(peer["ratio"] for peer in quickest.values())))
    headers = ("network", "samples", "Convoi, ms", "peers at their best setting, ms (ratio)")
    picture = bars(ratios, "times as long as Convoi takes the quickest peer") if ratios else ""
    return picture + _table(headers, rows)


def _records(results: list[dict[str, Any]]) -> str:
    """Return results of any kind as a table of their plain figures."""
    if not results:
        return "<p>No results.</p>"
    names = [n for n, value in results[0].items() if isinstance(value, (int, float, str))]

    def cell(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return _table(names, [[cell(result.get(name, "")) for name in names] for result in results])


def _scaling(results: list[dict[str, Any]]) -> str:
    parts = []
    for axis in dict.fromkeys(result["axis"] for result in results):
        here = [result for result in results if result["axis"] == axis]
        time = _curves(here, lambda r: 1e6 * r["seconds_per_sample"])
        memory = _curves(here, lambda r: r["memory"] / 2**20)
        parts += [
            f"<h3>{_escaped(axis)}</h3>",
            lines(time, axis, "µs per sample"),
            lines(memory, axis, "MiB at the peak"),
        ]
    return "\n".join(parts) + _records(results)


def _curves(
    results: list[dict[str, Any]], figure: Callable[[dict[str, Any]], float]
) -> dict[str, list[tuple[float, float]]]:
    """Return the least figure of each side at each value."""
    curves: dict[str, dict[float, float]] = {}
    for result in results:
        curve = curves.setdefault(result["side"], {})
        value = figure(result)
        curve[result["value"]] = min(value, curve.get(result["value"], math.inf))
    return {side: sorted(curve.items()) for side, curve in curves.items()}


def _roofline(results: list[dict[str, Any]]) -> str:
    parts = []
    for network, mode in dict.fromkeys((r["network"], r["mode"]) for r in results):
        here = [r for r in results if (r["network"], r["mode"]) == (network, mode)]
        total = sum(r["seconds"] for r in here)
        rows = [
            (
                f"{r['layer']}: {r['kernel']}",
                f"{100 * r['seconds'] / total:.1f}",
                f"{r['gflops']:.1f}" if r["operations"] else "",
                f"{100 * r['of_peak']:.0f}" if r["operations"] else "",
                f"{100 * r['of_bandwidth']:.0f}",
            )
            for r in sorted(here, key=lambda r: -r["seconds"])
        ]
        headers = ("kernel", "% of the time", "GFLOP/s", "% of the peak", "% of the memory")
        parts.append(
            f"<h3>{_escaped(network)}, {_escaped(mode)}</h3>{roofline(here)}"
            f"<details><summary>{len(rows)} kernels</summary>{_table(headers, rows)}</details>"
        )
    return "\n".join(parts)


RENDERERS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "scaling": _scaling,
    "roofline": _roofline,
    "startup": _records,
    "accuracy": _records,
    "signal": _records,
    "kernels": _records,
}
"""How the results of each measure are shown; all others are comparisons of networks."""
