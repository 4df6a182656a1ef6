from __future__ import annotations

import joblib
import pytest

from convoi import config
from convoi.estimators.workers import one_thread_in_workers


def threads_in_block():
    with one_thread_in_workers():
        return config.settings().threads


@pytest.fixture(autouse=True)
def _no_setting(monkeypatch):
    monkeypatch.delenv("CONVOI_THREADS", raising=False)


def test_outside_of_workers_nothing_is_changed():
    assert threads_in_block() is None


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_worker_of_joblib_uses_one_thread(backend):
    parallel = joblib.Parallel(n_jobs=2, backend=backend)
    assert parallel(joblib.delayed(threads_in_block)() for _ in range(2)) == [1, 1]


def test_joblib_without_workers_changes_nothing():
    parallel = joblib.Parallel(n_jobs=1)
    assert parallel(joblib.delayed(threads_in_block)() for _ in range(2)) == [None, None]


def test_a_process_of_multiprocessing_uses_one_thread(monkeypatch):
    monkeypatch.setattr("multiprocessing.parent_process", object)
    assert threads_in_block() == 1


def test_the_users_setting_comes_first(monkeypatch):
    monkeypatch.setenv("CONVOI_THREADS", "3")
    parallel = joblib.Parallel(n_jobs=2, backend="threading")
    assert parallel(joblib.delayed(threads_in_block)() for _ in range(2)) == [3, 3]
