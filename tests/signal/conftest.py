"""What SciPy's own tests need that run here on our functions."""

from __future__ import annotations

import os

MARKS = (
    "array_api_backends",
    "fail_slow",
    "parallel_threads",
    "skip_xp_backends",
    "slow",
    "thread_unsafe",
    "uses_xp_capabilities",
    "xfail_on_32bit",
    "xfail_xp_backends",
    "xslow",
)
MOST = 8
"""Sets of parameters of a test of SciPy that are run, evenly chosen; some have thousands."""


def pytest_configure(config):
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: of SciPy's tests")


def pytest_collection_modifyitems(items):
    if "CONVOI_EXAMPLES" in os.environ:  # a thorough run
        return
    theirs = [item for item in items if item.path.name == "test_scipy_suite.py"]
    functions: dict[str, list[object]] = {}
    for item in theirs:
        functions.setdefault(item.nodeid.split("[")[0], []).append(item)
    chosen = {
        id(item) for of_one in functions.values() for item in of_one[:: -(-len(of_one) // MOST)]
    }
    items[:] = [i for i in items if i.path.name != "test_scipy_suite.py" or id(i) in chosen]
