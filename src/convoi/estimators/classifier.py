"""Classification of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convoi.estimators.classification import Classification
from convoi.estimators.images import ImageEstimator


@dataclass(eq=False, repr=False, kw_only=True)
class ImageClassifier(Classification, ImageEstimator):
    """Classifier of images by a convolutional network, with scikit-learn's interface.

    Parameters
    ----------
    network : str, Layer or callable, default='auto'
        Name of one of :data:`convoi.nn.networks.NETWORKS`, where ``'auto'`` chooses by the size
        of the images and the number of samples; or layers that end in one output per class; or a
        function from the number of classes to such layers. The values are standardised before
        they reach it, with mean and deviation of each channel in the training set.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as flat rows. Without
        it, flat rows are samples of values without neighbours, for which a dense network is
        trained.
    epochs : int or 'auto', default='auto'
        How often each sample is used. ``'auto'`` here and below depends on the training set.
    batch_size : int or 'auto', default='auto'
        Largest number of samples in a step.
    optimizer : Optimizer or {'auto', 'sgd', 'adam', 'adamw'}, default='auto'
        How gradients change the parameters; ``'auto'`` is AdamW with a weight decay that depends on
        the training set.
    learning_rate : float or 'auto', default='auto'
        The largest learning rate.
    schedule : Schedule or {'constant', 'cosine', 'one_cycle', 'step'}, default='one_cycle'
        How the learning rate changes from step to step.
    augment : Augment, {'auto', 'light', 'natural', 'strong'} or None, default='auto'
        Random changes of the images in training, see :func:`convoi.training.fit`.
    early_stopping : EarlyStopping or bool, default=False
        Whether, and when, to end before all epochs are done; the parameters of the best epoch
        are kept. A tenth of the samples is set aside for it, unless ``validation_fraction`` says
        otherwise.
    validation_fraction : float, optional
        Part of the samples that is set aside, to measure the network on after each epoch.
    warm_start : bool, default=False
        Whether ``fit`` goes on with the network of the last fit, instead of a new one.
    random_state : int, RandomState or None, default=None
        Where initial parameters, order of the samples and augmentation come from. With an int,
        the same call gives the same model, bit for bit, with any number of threads.
    threads : int, optional
        Number of threads. By default as many as the process may use; one in a worker of joblib
        or multiprocessing, whose siblings use the others.
    precision : {'default', 'high'}, default='default'
        How exactly convolutions are computed, see :class:`convoi.Network`.
    verbose : bool or 'auto', default=False
        Whether to show the progress of training; ``'auto'`` does on a terminal.
    class_weight : mapping, 'balanced' or None, default=None
        How much each class counts. ``'balanced'``: in inverse proportion to its samples.
    label_smoothing : float or 'auto', default='auto'
        Part of the target probability that is shared by all classes, in [0, 1).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels; output ``k`` of the network belongs to ``classes_[k]``.
    network_ : Network
        The trained network; its output are logits.
    history_ : History
        The figures of each epoch.
    image_shape_ : tuple of int
        Shape of the images as they were given; (values,) for flat rows.
    pixel_format_ : PixelFormat
        How files of images become such samples.
    n_features_in_ : int
        Number of values of an image.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a data frame with string names.

    See Also
    --------
    ImageRegressor : Predicts values.
    convoi.training.fit : Trains any network.

    Notes
    -----
    The training set is taken as what it is, a set: the order of its samples does not matter, and
    a weight is a number of repetitions. Equal samples are therefore merged, and the samples are
    brought into an order of their own before they are shuffled by ``random_state``. (Memory maps
    of more than a gigabyte stay in their order.)

    Images that were given as (n, height, width) can be predicted as flat rows, too.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from convoi import ImageClassifier
    >>> images, y = load_digits().images, load_digits().target
    >>> classifier = ImageClassifier(epochs=15, random_state=0).fit(images[::4], y[::4])
    >>> classifier.score(images[1::4], y[1::4]) > 0.9
    True
    """

    kind: ClassVar[str] = "ImageClassifier"
