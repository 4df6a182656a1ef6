"""Measurements of Convoi beside PyTorch, and of its kernels beside the peak of a core.

Run from the root of the repository: ``python -m bench --help``. The way of the data:

    __main__ (options) -> networks, startup, kernels (what is measured)
        -> process (a worker's other end) -> worker (the loop inside it) -> ours, peer (engines)
        -> results (JSON) and report (tables)

``worker``, ``task``, ``peer`` and ``peer_model`` run in the interpreter that has PyTorch, which
needs nothing of Convoi: they import only NumPy and PyTorch.
"""
