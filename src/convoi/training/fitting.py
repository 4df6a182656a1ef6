"""``fit``: the training of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.training.session import Request, train

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from convoi.compiler.pipeline import Precision
    from convoi.nn.losses import LossLike
    from convoi.nn.network import Network
    from convoi.nn.unequal import UnequalSeries
    from convoi.training.augment import Augment
    from convoi.training.callbacks import Callback
    from convoi.training.checkpoint import Checkpoint
    from convoi.training.early_stopping import EarlyStopping
    from convoi.training.history import History
    from convoi.training.optimizers import Optimizer
    from convoi.training.progress import Verbose
    from convoi.training.randomness import RandomState
    from convoi.training.samples import SampleSource
    from convoi.training.schedules import Schedule
    from convoi.training.session import ValidationData

__all__ = ["fit"]


def fit(
    network: Network,
    X: ArrayLike | SampleSource | UnequalSeries,
    y: ArrayLike,
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: Optimizer | str = "adamw",
    learning_rate: float | None = None,
    schedule: Schedule | str = "cosine",
    loss: LossLike = "cross_entropy",
    augment: Augment | str | None = None,
    validation_data: ValidationData | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | Sequence[float] | str | None = None,
    callbacks: Sequence[Callback] = (),
    early_stopping: EarlyStopping | bool | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    resume: bool = False,
    random_state: RandomState = None,
    threads: int | None = None,
    precision: Precision | None = None,
    verbose: Verbose = "auto",
) -> History:
    """Train a network.

    Parameters
    ----------
    network : Network
        What to train; it has the new parameters afterwards, and after each epoch.
    X : array-like, SampleSource or UnequalSeries, shape (n, *input_shape)
        The samples, of any real dtype. An array in memory is read where it is. A memory map, or
        an object with the attributes ``shape``, ``dtype`` and ``take(indices)``, is read batch by
        batch, each while the one before it is trained on; ``take`` is called in another thread.
        Series of unequal length are a :class:`convoi.nn.UnequalSeries`: batches are made of series
        of similar length, and padding has no influence.
    y : array-like of shape (n, *target_shape)
        For the loss 'cross_entropy' class codes, integers from 0 to K - 1 for outputs
        ``(K, *spatial)``, of shape ``(n, *spatial)``; for the others values of the network's
        output shape, or of shape (n,) where that has one element. Where there is an output for each
        time step of series of unequal length, a list of arrays: codes ``(time,)``, or values
        ``(outputs, time)``, or ``(time,)`` where there is one output.
    epochs : int
        How often each sample is used.
    batch_size : int, default=128
        Largest number of samples in a step. The samples of an epoch are shuffled and divided into
        as few batches as that allows, whose sizes differ by 1 at most, so that none is left out
        and none is a small remainder.
    optimizer : Optimizer or {'sgd', 'adam', 'adamw'}, default='adamw'
        How gradients change the parameters.
    learning_rate : float or None
        The largest learning rate; None is the optimiser's default, 0.005 for Adam and AdamW and
        0.02 for SGD.
    schedule : Schedule or {'constant', 'cosine', 'one_cycle', 'step'}, default='cosine'
        How the learning rate changes from step to step.
    loss : str or Loss, default='cross_entropy'
        'cross_entropy' (of logits, without a softmax layer), 'mean_squared', 'mean_absolute',
        'huber', or an operation such as ``convoi.ops.CrossEntropy(label_smoothing=0.1)``.
    augment : Augment, {'light', 'natural', 'strong'} or None
        Random changes of the samples. 'light' shifts by up to a twelfth of each axis, 'natural'
        also mirrors left and right, 'strong' also cuts a box out; series of unequal length each
        within their own. Only for samples that have one target each.
    validation_data : float, (X, y), (X, y, sample_weight) or None
        What the network is measured on after each epoch; a number sets that part of the samples
        aside, with the same proportions of the classes.
    sample_weight : array-like of shape (n,) or None
        How much each sample counts, in the loss and the metrics.
    class_weight : mapping, sequence, 'balanced' or None
        How much each class counts, in the losses of training and validation.
    callbacks : sequence of Callback
        Called as the run goes; they can end it.
    early_stopping : EarlyStopping, bool or None
        When to end the run before all epochs are done; True for the usual settings.
    checkpoint : Checkpoint, path-like or None
        Where to save the run, after every epoch for a path.
    resume : bool, default=False
        Whether to continue the run that the checkpoint holds. Without a file there the run starts
        from the beginning, so that one command can start and restart a run.
    random_state : int, Generator, RandomState, SeedSequence or None
        Where the order of samples, augmentation and dropout come from. With an int, the same call
        gives the same bits, for any number of threads.
    threads : int or None
        Number of threads; None is the network's.
    precision : {'default', 'high'} or None
        How exactly convolutions are computed, see :class:`convoi.Network`; None is the
        network's.
    verbose : {'auto', True, False}, default='auto'
        'auto' shows a bar and the figures of each epoch on a terminal, and nothing elsewhere;
        True prints the figures where there is no terminal.

    Returns
    -------
    History
        The figures of each epoch.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If a parameter has a value or type that it may not have.
    ShapeError, DataError
        If samples, targets or weights cannot be used; the message names the sample.
    DivergenceError
        If the loss or a parameter becomes NaN or infinite. The network then has the parameters of
        the last complete epoch.
    CheckpointError
        If the checkpoint cannot be written, or is not one that this call can resume from.
    KeyboardInterrupt
        After Ctrl-C, which takes effect between two steps: the network has the parameters that
        were reached, and the checkpoint, if there is one, resumes from that very step. A second
        Ctrl-C takes effect at once and saves nothing.

    Notes
    -----
    A resumed run ends with the same bits as one that was never interrupted. It needs the same
    network, data and settings, NumPy version and processor; an open ``random_state`` is taken
    from the checkpoint.

    The gradient of a step is that of the weighted mean of the losses in the batch.

    Examples
    --------
    >>> import numpy as np
    >>> import convoi
    >>> from convoi import nn
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=200)
    >>> X = rng.normal(size=(200, 1, 16)) + y[:, np.newaxis, np.newaxis]
    >>> layers = nn.Sequential(nn.Conv(8, 3), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(2))
    >>> network = convoi.Network(layers, input_shape=(1, 16), random_state=0)
    >>> history = convoi.training.fit(
    ...     network, X, y, epochs=20, batch_size=32, learning_rate=0.01, random_state=0
    ... )
    >>> len(history), history.best.metrics["accuracy"] > 0.9
    (20, True)
    """
    request = Request(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        schedule=schedule,
        loss=loss,
        augment=augment,
        validation_data=validation_data,
        sample_weight=sample_weight,
        class_weight=class_weight,
        callbacks=callbacks,
        early_stopping=early_stopping,
        checkpoint=checkpoint,
        resume=resume,
        random_state=random_state,
        threads=threads,
        precision=precision,
        verbose=verbose,
    )
    return train(network, X, y, request)
