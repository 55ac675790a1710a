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
        lines, weight = places(values, weights.shape[0], axis), weights
        means = [jax.lax.slice_in_dim(mean, at, at + lines, axis=axis) for at in range(weights.shape[0])]
        within = [jax.lax.slice_in_dim(variance, at, at + lines, axis=axis) for at in range(weights.shape[0])]
        mean = _total([weight[i] * m for i, m in enumerate(means)])
        variance = _total(
            [weight[i] * (v + (m - mean) ** 2) for i, (v, m) in enumerate(zip(within, means, strict=True))]
        )
    return Windows(mean, variance)


def window_means(values: Float[Array, "..."], window: int, axes: Sequence[int]) -> Float[Array, "..."]:
    """Return the mean of each window, moved along `axes`."""
    for axis in axes:
        lines = places(values, window, axis)
        values = _total([jax.lax.slice_in_dim(values, at, at + lines, axis=axis) for at in range(window)]) / window
    return values


def places(values: Array, window: int, axis: int) -> int:
    """Return how many windows lie within the images along an axis."""
    if values.shape[axis] < window:
        raise ContractError(
            f"The images are of {values.shape[axis]} pixels along one side, less than a window, which is of {window}: "
            "pass a smaller `window`."
        )
    return values.shape[axis] - window + 1


def _total(values: Sequence[Array]) -> Array:
    return functools.reduce(operator.add, values)
