"""Means and variances within windows that are moved over images."""

import functools
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._errors import ContractError


class Windows(NamedTuple):
    """Of each window that lies within the image."""

    mean: Float[Array, "..."]
    variance: Float[Array, "..."]


def weights_of(window: int, sigma: ArrayLike | None, dtype: jnp.dtype) -> Float[Array, "window"]:
    """Return the weights along one side of a window, which sum to 1: those of a normal distribution, or equal ones."""
    if sigma is None:
        return jnp.full(window, 1 / window, dtype)
    places = (jnp.arange(window, dtype=dtype) - (window - 1) / 2) / jnp.asarray(sigma, dtype)
    heights = jnp.exp(-(places**2) / 2)
    return heights / jnp.sum(heights)


def windows(values: Float[Array, "..."], weights: Float[Array, "window"], axes: Sequence[int]) -> Windows:
    """Return the weighted mean and variance of each window, moved along `axes`.

    One axis after the other: the variance in a square is the mean of the variances in its lines, and the variance of
    their means. So deviations are squared and never values, whose squares a small variance would be lost in.

    **Raises:** [`treegy.ContractError`][] where the images are smaller than a window.
    """
    mean, variance = values, jnp.zeros_like(values)
    for axis in axes:
        means, within = (beside(a, weights.shape[0], axis) for a in (mean, variance))
        # Of deviations from the value in the middle: where an image is flat, they are 0, and nothing is rounded.
        middle = means[len(means) // 2]
        mean = middle + _total([weight * (m - middle) for weight, m in zip(weights, means, strict=True)])
        spread = [v + (m - mean) ** 2 for v, m in zip(within, means, strict=True)]
        variance = _total([weight * v for weight, v in zip(weights, spread, strict=True)])
    return Windows(mean, variance)


def window_means(values: Float[Array, "..."], window: int, axes: Sequence[int]) -> Float[Array, "..."]:
    """Return the mean of each window, moved along `axes`."""
    for axis in axes:
        values = _total(beside(values, window, axis)) / window
    return values


def beside(values: Array, window: int, axis: int) -> list[Array]:
    """Return the first values of all windows that lie within the images along an axis, the second ones, and so on."""
    if values.shape[axis] < window:
        raise ContractError(
            f"The images are of {values.shape[axis]} pixels along one side, less than a window, which is of {window}: "
            "pass a smaller `window`, or `axis=1` if the channels come first."
        )
    lines = values.shape[axis] - window + 1
    return [jax.lax.slice_in_dim(values, at, at + lines, axis=axis) for at in range(window)]


def _total(values: Sequence[Array]) -> Array:
    return functools.reduce(operator.add, values)
