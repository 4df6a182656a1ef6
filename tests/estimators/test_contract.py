from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from convoi import ImageClassifier, ImageRegressor


@parametrize_with_checks([ImageClassifier(), ImageRegressor()])
def test_scikit_learns_contract(estimator, check):
    check(estimator)
