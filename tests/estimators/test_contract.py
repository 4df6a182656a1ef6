from __future__ import annotations

import os
import subprocess
import sys

from sklearn.utils.estimator_checks import parametrize_with_checks

from convoi import ImageClassifier, ImageRegressor, SeriesClassifier, SeriesRegressor


@parametrize_with_checks(
    [ImageClassifier(), ImageRegressor(), SeriesClassifier(), SeriesRegressor()]
)
def test_scikit_learns_contract(estimator, check):
    check(estimator)


def test_the_checks_that_need_scipys_array_interface():
    """SciPy reads the variable when it is imported, so these checks need a process of their own."""
    code = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from convoi import ImageClassifier, ImageRegressor, SeriesClassifier, SeriesRegressor

for estimator in (ImageClassifier(), ImageRegressor(), SeriesClassifier(), SeriesRegressor()):
    for _, check in estimator_checks_generator(estimator):
        if "array_api" in getattr(check, "func", check).__name__:
            check(estimator)
            print("passed")
"""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["passed"] * 4, done.stderr
