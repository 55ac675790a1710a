"""Losses and metrics of images in NumPy float64, for one image `(height, width, channels)` each, window by window."""

from typing import Any

import numpy as np


def weights_of(window: int, sigma: float | None, axes: int = 2) -> Any:
    places = np.arange(window) - (window - 1) / 2
    line = np.ones(window) if sigma is None else np.exp(-(places**2) / (2 * sigma**2))
    weights = line
    for _ in range(axes - 1):
        weights = weights[..., None] * line
    return weights / weights.sum()


def each_window(values: Any, window: int) -> Any:
    """The windows of an image: `(..., channels, *window)`."""
    axes = values.ndim - 1
    return np.lib.stride_tricks.sliding_window_view(values, (window,) * axes, axis=tuple(range(axes)))


def dissimilarities(
    y: Any, p: Any, data_range: float, window: int, sigma: float | None, k1: float = 0.01, k2: float = 0.03
) -> tuple[Any, Any]:
    """1 minus the similarities of luminance and of structure, in which nothing cancels."""
    inner = tuple(range(1 - y.ndim, 0))
    weights = weights_of(window, sigma, y.ndim - 1)

    def mean(values: Any) -> Any:
        return (values * weights).sum(inner, keepdims=True)

    y, p = each_window(y, window), each_window(p, window)
    mu, nu = mean(y), mean(p)
    of_y, of_p, apart = mean((y - mu) ** 2), mean((p - nu) ** 2), mean(((y - mu) - (p - nu)) ** 2)
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    return quotient((mu - nu) ** 2, mu**2 + nu**2 + c1), quotient(apart, of_y + of_p + c2)


def quotient(a: Any, b: Any) -> Any:
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def textbook_ssim(y: Any, p: Any, data_range: float, window: int, sigma: float | None) -> Any:
    """The structural similarity as it is written in the paper."""
    inner = tuple(range(1 - y.ndim, 0))
    weights = weights_of(window, sigma, y.ndim - 1)
    y, p = each_window(y, window), each_window(p, window)
    mu, nu = (y * weights).sum(inner), (p * weights).sum(inner)
    yy, pp, yp = ((a * b * weights).sum(inner) for a, b in ((y, y), (p, p), (y, p)))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (2 * mu * nu + c1) * (2 * (yp - mu * nu) + c2)
    return (similarity / ((mu**2 + nu**2 + c1) * (yy - mu**2 + pp - nu**2 + c2))).mean()


def ssim_loss(y: Any, p: Any, data_range: float, window: int, sigma: float | None = 1.5) -> Any:
    a, b = dissimilarities(y, p, data_range, window, sigma)
    return (a + b - a * b).mean()


def multi_scale_ssim_loss(y: Any, p: Any, data_range: float, weights: Any, window: int) -> Any:
    total = 0.0
    for scale, weight in enumerate(weights):
        a, b = dissimilarities(y, p, data_range, window, 1.5)
        lack = (a + b - a * b).mean() if scale == len(weights) - 1 else b.mean()
        if lack >= 1:
            return 1.0
        total += weight * np.log1p(-lack)
        y, p = halved(y), halved(p)
    return -np.expm1(total)


def halved(image: Any) -> Any:
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


def psnr(y: Any, p: Any, data_range: float) -> Any:
    return 10 * np.log10(data_range**2 / ((y - p) ** 2).mean())


def uqi(y: Any, p: Any, window: int, sigma: float | None = 1.5) -> Any:
    a, b = dissimilarities(y, p, 1.0, window, sigma, 0.0, 0.0)
    return ((1 - a) * (1 - b)).mean()


def spectral_angle(y: Any, p: Any) -> Any:
    cosine = (y * p).sum(-1) / np.sqrt((y**2).sum(-1) * (p**2).sum(-1))
    return np.arccos(np.clip(cosine, -1, 1)).mean()


def ergas(y: Any, p: Any, ratio: float = 4.0) -> Any:
    return 100 / ratio * np.sqrt((((y - p) ** 2).mean((0, 1)) / y.mean((0, 1)) ** 2).mean())


def total_variation(p: Any) -> Any:
    return np.abs(np.diff(p, axis=0)).sum() + np.abs(np.diff(p, axis=1)).sum()


def sliding_rmse(y: Any, p: Any, window: int) -> Any:
    return np.sqrt(each_window((y - p) ** 2, window).mean((-1, -2))).mean()


def focal_frequency(y: Any, p: Any, alpha: float = 1.0) -> Any:
    power = np.abs(np.fft.fft2(y - p, axes=(0, 1), norm="ortho")) ** 2
    weights = quotient(np.sqrt(power), np.sqrt(power.max((0, 1), keepdims=True)) + 0 * power) ** alpha
    return (weights * power).mean()
