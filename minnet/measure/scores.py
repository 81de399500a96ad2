"""H-score, LEEP and NCE: how well a source net suits target data, counted and not trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..checks import boolean
from ..data.labels import class_list, label_indices
from ..errors import DataError
from .blocks import moments, row_blocks, spectrum
from .checks import class_indices, feature_matrix, one_hot, warn_if_few

__all__ = ["h_score", "leep", "nce"]


def h_score(features: Any, labels: Any, shrinkage: bool = False) -> float:
    """Return the H-score: how far apart the classes' mean features are, of all that varies.

        H(f) = tr(cov(f)^-1 cov(E[f | y])),

    with the pseudo-inverse where the covariance is singular. From 0 (all classes have
    the same mean) to one less than the number of classes; no invertible linear map
    of the features changes it. Higher is better.

    Parameters
    ----------
    features, labels
        Source features (N, D) of target data, and the target labels.
    shrinkage
        Use Ibrahim et al.'s H_a = tr(cov_a(f)^-1 (1 - a) cov(E[f | y])) instead, with
        cov_a = (1 - a) cov + a tr(cov) / D I and the a of Ledoit and Wolf (2004). It is
        for few examples; linear maps other than rotations and scalings change it.

    Raises
    ------
    ShapeError, DataError
        If the features aren't a matrix of finite numbers with a label each, or are the
        same for all examples, or there is only one class.

    Warns
    -----
    MinnetWarning
        Without shrinkage, where there are no more examples than features: then H comes
        out at its maximum whatever the features are.

    References
    ----------
    Bao, Li, Huang, Zhang, Zheng, Zamir, Guibas (2019), "An information-theoretic approach
    to transferability in task transfer learning". Ibrahim, Ponomareva, Mazumder (2021),
    "Newer is not always better: rethinking transferability metrics". Ledoit, Wolf (2004),
    "A well-conditioned estimator for large-dimensional covariance matrices".

    Examples
    --------
    Where each class has features of its own, the score is as high as it can be.

    >>> import numpy as np
    >>> from minnet.measure import h_score
    >>> labels = np.array([0, 1, 2, 2, 1, 0])
    >>> round(h_score(np.eye(4)[labels], labels), 9)
    2.0
    """
    x = feature_matrix(features)
    y, classes = class_indices(labels, len(x))
    mean, deviation = moments(x)
    if not deviation.any():
        raise DataError("the features are the same for every example: there is nothing to score")
    targets = one_hot(y, len(classes))
    if boolean(shrinkage, "shrinkage"):
        squares, along = spectrum(x, targets, mean, np.ones_like(mean))
        amount = _ledoit_wolf(x, mean, squares)
        own = (1 - amount) * squares
        weights = own / (own + amount * squares.sum() / x.shape[1])
    else:
        warn_if_few(
            x.shape,
            "the H-score comes out at its maximum whatever the features are; "
            "give more examples, pool the maps, or use shrinkage=True",
        )
        # H doesn't depend on the features' scales, but telling their rank does.
        _, along = spectrum(x, targets, mean, np.where(deviation > 0, deviation, 1.0))
        weights = np.ones(len(along))
    # cov(f) is diagonal along the singular vectors, and each class's mean is along / size.
    return float(weights @ (along**2 @ (1 / targets.sum(axis=0))))


def _ledoit_wolf(x: Array, mean: Array, squares: Array) -> float:
    """Return how much to shrink the covariance to its mean variance (lemma 3.4 and below)."""
    count, size = x.shape
    variances = squares / count
    distance = float(np.square(variances).sum()) - float(variances.sum()) ** 2 / size
    fourth = 0.0
    for rows in row_blocks(count, size):
        fourth += float(np.square(np.square(x[rows] - mean).sum(axis=1)).sum())
    error = (fourth / count - float(np.square(variances).sum())) / count
    # With no distance to go (one feature, say) there is nothing to shrink.
    return min(error / distance, 1.0) if distance > 1e-12 * variances.sum() ** 2 else 0.0


def leep(source_probabilities: Any, labels: Any) -> float:
    """Return LEEP: how well target labels follow from what the source net says, on average.

    With the source net's probabilities theta(x)_z for its own classes z, the joint
    distribution P(y, z) = 1/N sum_{i: y_i = y} theta(x_i)_z, and P(y | z) from it,

        LEEP = 1/N sum_i log sum_z P(y_i | z) theta(x_i)_z,

    the log-likelihood of the target labels, in nats. At most 0, which is reached where
    what the net says settles the label. Higher is better.

    Parameters
    ----------
    source_probabilities
        The source net's outputs (N, Z) for target data, after Softmax: each row adds up to 1.
    labels
        The target labels.

    Raises
    ------
    ShapeError, DataError
        If these aren't probabilities with a label each, or there is only one class.

    Warns
    -----
    MinnetWarning
        Where there are no more examples than source classes.

    References
    ----------
    Nguyen, Hassner, Seeger, Archambeau (2020), "LEEP: a new measure to evaluate
    transferability of learned representations".

    Examples
    --------
    >>> from minnet.measure import leep
    >>> says = [[1, 0], [1, 0], [0, 1], [0, 1]]
    >>> leep(says, ["cat", "cat", "dog", "dog"])
    0.0
    >>> round(leep(says, ["cat", "dog", "cat", "dog"]), 6)  # log 1/2
    -0.693147
    """
    theta = feature_matrix(source_probabilities, "source probabilities")
    y, classes = class_indices(labels, len(theta))
    sums = theta.sum(axis=1, dtype=np.float64)
    if theta.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise DataError(
            "source probabilities: expected rows of numbers of at least 0 that add up to 1, as "
            f"a Softmax gives; the least number is {theta.min():.4g} and rows add up to "
            f"{sums.min():.4g} to {sums.max():.4g}"
        )
    warn_if_few(
        theta.shape, "the labels seem to follow from any source classes; give more examples"
    )
    theta = theta / sums[:, None]
    joint = one_hot(y, len(classes)).T @ theta
    used = joint.sum(axis=0) > 0
    given_source = joint[:, used] / joint[:, used].sum(axis=0)
    likelihood = np.vecdot(theta[:, used], given_source[y])
    return min(0.0, float(np.log(likelihood).mean()))


def nce(source_labels: Any, labels: Any) -> float:
    """Return NCE: minus the entropy of the target labels where the source label is known.

    With P counted from the examples,

        NCE = -H(Y | Z) = 1/N sum_i log P(y_i | z_i),

    in nats. From minus the logarithm of the number of classes to 0, which is reached
    where the source label settles the target label. Higher is better.

    Parameters
    ----------
    source_labels
        What the source net says to each target example (its likeliest class), or
        labels that the same examples have in the source task.
    labels
        The target labels.

    Raises
    ------
    DataError
        If there aren't as many of both, or only one target class.

    Warns
    -----
    MinnetWarning
        Where there are no more examples than source classes.

    References
    ----------
    Tran, Nguyen, Hassner (2019), "Transferability and hardness of supervised
    classification tasks".

    Examples
    --------
    >>> from minnet.measure import nce
    >>> nce([7, 7, 3, 3], ["cat", "cat", "dog", "dog"])
    0.0
    """
    sources = class_list(source_labels)
    z = label_indices(sources, source_labels)
    y, classes = class_indices(labels, len(z))
    warn_if_few(
        (len(z), len(sources)),
        "the labels seem to follow from any source classes; give more examples",
    )
    joint = np.zeros((len(classes), len(sources)))
    np.add.at(joint, (y, z), 1)
    return min(0.0, float(np.log((joint / joint.sum(axis=0))[y, z]).mean()))
