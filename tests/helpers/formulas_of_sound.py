"""Losses and metrics of sounds in NumPy float64, for one sound `(time,)` each."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np


def decibel(signal: Any, noise: Any) -> Any:
    a, b = (signal**2).sum(), (noise**2).sum()
    return 10 * np.log10((a + 2.0**-23 * b) / (b + 2.0**-23 * a)) if a + b else 0.0


def snr(y: Any, p: Any, zero_mean: bool = False) -> Any:
    if zero_mean:
        y, p = y - y.mean(), p - p.mean()
    return decibel(y, y - p)


def si_sdr(y: Any, p: Any, zero_mean: bool = False) -> Any:
    if zero_mean:
        y, p = y - y.mean(), p - p.mean()
    y = (y @ p) / (y @ y) * y if y.any() else y
    return decibel(y, y - p)


def sdr(y: Any, p: Any, filter_length: int, zero_mean: bool = False) -> Any:
    """That of the delayed sounds that come closest, by least squares."""
    if zero_mean:
        y, p = y - y.mean(), p - p.mean()
    delayed = np.array([np.pad(y, (k, filter_length - 1 - k)) for k in range(filter_length)])
    p = np.pad(p, (0, filter_length - 1))
    target = np.linalg.lstsq(delayed.T, p, rcond=None)[0] @ delayed
    return decibel(target, p - target)


def best(of: Callable[[Any, Any], Any], y: Any, p: Any) -> Any:
    """The largest mean of the values of sources `(sources, time)`, over all orders."""
    orders = itertools.permutations(range(len(y)))
    return max(np.mean([of(a, p[i]) for a, i in zip(y, order, strict=True)]) for order in orders)


def power(values: Any, length: int, step: int, window: int) -> Any:
    padded = np.pad(values, length // 2, mode="reflect")
    around = np.zeros(length)
    first = (length - window) // 2
    around[first : first + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, len(padded) - length + 1, step)
    return np.maximum(np.abs([np.fft.rfft(padded[i : i + length] * around) for i in starts]) ** 2, 1e-7)


def multi_resolution_stft(y: Any, p: Any, resolutions: Any) -> Any:
    total = 0.0
    for resolution in resolutions:
        s, t = (np.sqrt(power(a, *resolution)) for a in (y, p))
        total += np.sqrt(((s - t) ** 2).sum() / (s**2).sum()) + np.abs(np.log(s / t)).mean()
    return total / len(resolutions)
