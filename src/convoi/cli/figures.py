"""How good a model is, as dictionaries that JSON can express."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convoi.cli.samples import class_scores, model_input

if TYPE_CHECKING:
    from convoi.cli.samples import Classifier, Regressor
    from convoi.data import Dataset


def classification_figures(model: Classifier, dataset: Dataset) -> dict[str, Any]:
    """Return accuracy, precision, recall and F1 of each class, and the confusion matrix.

    Parameters
    ----------
    model : classifier
        Fitted.
    dataset : Dataset
        Its class codes are those of the model's labels.
    """
    import numpy as np
    from sklearn.metrics import (
        accuracy_score,
        confusion_matrix,
        precision_recall_fscore_support,
    )

    codes = np.arange(len(model.classes_))
    predicted = class_scores(model, model_input(dataset)).argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        dataset.y, predicted, labels=codes, zero_division=0.0
    )
    return {
        "task": "classification",
        "samples": len(dataset),
        "accuracy": float(accuracy_score(dataset.y, predicted)),
        "macro_f1": float(f1[support > 0].mean()),
        "classes": [
            {
                "label": label,
                "precision": float(precision[code]),
                "recall": float(recall[code]),
                "f1": float(f1[code]),
                "samples": int(support[code]),
            }
            for code, label in enumerate(model.classes_.tolist())
        ],
        "confusion_matrix": confusion_matrix(dataset.y, predicted, labels=codes).tolist(),
    }


def regression_figures(model: Regressor, dataset: Dataset) -> dict[str, Any]:
    """Return R2, mean absolute error and root mean squared error."""
    import numpy as np
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    y = np.asarray(dataset.y, np.float64)
    predicted = model.predict(model_input(dataset)).reshape(y.shape)
    return {
        "task": "regression",
        "samples": len(dataset),
        "r2": float(r2_score(y, predicted)),
        "mean_absolute_error": float(mean_absolute_error(y, predicted)),
        "root_mean_squared_error": float(np.sqrt(mean_squared_error(y, predicted))),
    }
