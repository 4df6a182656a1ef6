"""How many threads an estimator uses: one where other processes or threads do the same work."""

from __future__ import annotations

import multiprocessing
from contextlib import contextmanager
from typing import TYPE_CHECKING

from joblib.parallel import get_active_backend

from convoi import config

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def one_thread_in_workers() -> Iterator[None]:
    """Let programs that are compiled in this block use one thread if a worker runs it.

    A worker is one of joblib's (as below ``GridSearchCV(n_jobs=2)``) or a process that
    :mod:`multiprocessing` started: its siblings use the other processors. What the user sets
    comes first: a ``threads`` parameter, or ``CONVOI_THREADS``.
    """
    if config.settings().threads is not None or not _in_worker():
        yield
        return
    with config.override(threads=1):
        yield


def _in_worker() -> bool:
    backend, _ = get_active_backend()
    # joblib tells each task, in processes and in threads, how deep it is in parallel calls.
    nested = bool(getattr(backend, "nesting_level", 0))
    return nested or multiprocessing.parent_process() is not None
