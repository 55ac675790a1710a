"""Metrics and losses of images against their formulas in NumPy, which are those of the papers and of scikit-image."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers.formulas_of_images as of
import treegy as tg

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
Y = RNG.uniform(size=(4, 18, 23, 2)).astype("float32")
P = np.clip(Y + 0.2 * RNG.normal(size=Y.shape), 0.01, 1).astype("float32")

SSIM: dict[str, Any] = {"data_range": 1.0, "window": 7}
MS: dict[str, Any] = {"data_range": 1.0, "window": 4, "weights": (0.3, 0.5, 0.2)}

# What is compared, its formula for one image, and how near they are.
TABLE: dict[str, tuple[tg.Loss | tg.Metric, Callable[[Any, Any], Any], float]] = {
    "PSNR": (tg.metrics.PSNR(data_range=1.0), lambda y, p: of.psnr(y, p, 1.0), 1e-6),
    "SSIM": (tg.metrics.SSIM(**SSIM), lambda y, p: of.textbook_ssim(y, p, 1.0, 7, 1.5), 1e-6),
    "SSIM, equal weights": (
        tg.metrics.SSIM(sigma=None, **SSIM),
        lambda y, p: of.textbook_ssim(y, p, 1.0, 7, None),
        1e-6,
    ),
    "SSIM, loss": (tg.losses.SSIM(**SSIM), lambda y, p: 1 - of.textbook_ssim(y, p, 1.0, 7, 1.5), 1e-5),
    "MultiScaleSSIM": (
        tg.metrics.MultiScaleSSIM(**MS),
        lambda y, p: 1 - of.multi_scale_ssim_loss(y, p, 1.0, MS["weights"], 4),
        1e-6,
    ),
    "MultiScaleSSIM, loss": (
        tg.losses.MultiScaleSSIM(**MS),
        lambda y, p: of.multi_scale_ssim_loss(y, p, 1.0, MS["weights"], 4),
        1e-5,
    ),
    "UQI": (tg.metrics.UQI(window=8, sigma=None), lambda y, p: of.uqi(y, p, 8, None), 1e-5),
    "SpectralAngle": (tg.metrics.SpectralAngle(), of.spectral_angle, 1e-6),
    "ERGAS": (tg.metrics.ERGAS(ratio=2.0), lambda y, p: of.ergas(y, p, 2.0), 1e-6),
    "SlidingRMSE": (tg.metrics.SlidingRMSE(), lambda y, p: of.sliding_rmse(y, p, 8), 1e-6),
    "FocalFrequency": (tg.losses.FocalFrequency(alpha=0.5), lambda y, p: of.focal_frequency(y, p, 0.5), 1e-5),
    "Charbonnier": (tg.losses.Charbonnier(), lambda y, p: np.sqrt((y - p) ** 2 + 1e-6).mean(), 1e-6),
}


def figures(things: Any, y: Any, p: Any) -> Any:
    """The values of many losses and metrics, by one program."""

    @jax.jit
    def computed(y: Any, p: Any) -> Any:
        found = {name: thing(y_true=y, y_pred=p) for name, thing in things.items()}
        return {name: v.compute() if hasattr(v, "compute") else v for name, v in found.items()}

    return computed(y, p)


def test_formulas():
    found = figures({name: thing for name, (thing, _, _) in TABLE.items()}, Y, P)
    for name, (_, formula, rtol) in TABLE.items():
        expected = np.mean([formula(y, p) for y, p in zip(Y.astype("float64"), P.astype("float64"), strict=True)])
        np.testing.assert_allclose(found[name], expected, rtol=rtol, err_msg=name)


def with_axis(thing: Any, axis: int | None) -> Any:
    options = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
    return type(thing)(**{**options, "axis": axis})


def test_channels_first_and_without_channels():
    names = ("SSIM", "SpectralAngle", "ERGAS", "SlidingRMSE", "FocalFrequency")
    things = {name: TABLE[name][0] for name in names}
    layouts = {-1: lambda a: a, 1: lambda a: jnp.moveaxis(a, -1, 1), None: lambda a: a[..., 0]}
    found = figures(
        {
            f"{name} {axis}": lambda y_true, y_pred, name=name, axis=axis, laid=laid: with_axis(things[name], axis)(
                y_true=laid(y_true), y_pred=laid(y_pred)
            )
            for name in things
            for axis, laid in layouts.items()
            if not (name == "SpectralAngle" and axis is None)
        }
        | {
            f"{name} one": lambda y_true, y_pred, name=name: things[name](
                y_true=y_true[..., :1], y_pred=y_pred[..., :1]
            )
            for name in names
            if name != "SpectralAngle"
        },
        Y,
        P,
    )
    for name in names:
        np.testing.assert_allclose(found[f"{name} 1"], found[f"{name} -1"], rtol=1e-5, err_msg=name)
        if name != "SpectralAngle":
            np.testing.assert_allclose(found[f"{name} None"], found[f"{name} one"], rtol=1e-5, err_msg=name)


def test_images_with_a_depth():
    y, p = RNG.uniform(size=(2, 2, 6, 7, 5, 2)).astype("float32")
    things = {
        "ssim": tg.metrics.SSIM(data_range=1.0, window=3),
        "variation": lambda y_true, y_pred: tg.losses.total_variation(y_pred),
        "frequency": tg.losses.FocalFrequency(alpha=0.0),
    }
    found = figures(things, y, p)
    exact = [(a.astype("float64"), b.astype("float64")) for a, b in zip(y, p, strict=True)]
    np.testing.assert_allclose(
        found["ssim"], np.mean([of.textbook_ssim(a, b, 1.0, 3, 1.5) for a, b in exact]), rtol=1e-5
    )
    steps = [[np.abs(np.diff(b, axis=axis)).sum() for axis in range(3)] for _, b in exact]
    np.testing.assert_allclose(found["variation"], np.sum(steps, axis=1), rtol=1e-6)
    # With equal weights, by Parseval's theorem, it is the squared error.
    np.testing.assert_allclose(found["frequency"], np.mean([(a - b) ** 2 for a, b in exact]), rtol=1e-5)


def test_psnr_of_examples_and_pooled():
    squares = ((Y.astype("float64") - P) ** 2).mean((1, 2, 3))
    weights = np.array([1, 0, 2, 1], "float32")
    pooled = tg.metrics.PSNR(data_range=1.0, pooled=True)
    of_pixels = np.broadcast_to(weights[:, None, None], Y.shape[:3])
    for given in (weights, of_pixels):
        expected = -10 * np.log10(np.average(squares, weights=weights))
        assert abs(float(pooled(Y, P, sample_weight=given)) - expected) < 1e-4
    found = float(tg.metrics.PSNR(data_range=1.0)(Y, P, sample_weight=weights))
    assert abs(found - np.average(-10 * np.log10(squares), weights=weights)) < 1e-4
    assert float(tg.metrics.PSNR(data_range=255)(Y, Y)) == np.inf


def test_images_of_bytes():
    y, p = (np.round(255 * a).astype("uint8") for a in (Y, P))
    things = {"ssim": tg.metrics.SSIM(data_range=255, window=7), "psnr": tg.metrics.PSNR(data_range=255)}
    found = figures(things, y, p)
    exact = [(a.astype("float64"), b.astype("float64")) for a, b in zip(y, p, strict=True)]
    np.testing.assert_allclose(found["psnr"], np.mean([of.psnr(a, b, 255) for a, b in exact]), rtol=1e-6)
    np.testing.assert_allclose(
        found["ssim"], np.mean([of.textbook_ssim(a, b, 255, 7, 1.5) for a, b in exact]), rtol=1e-5
    )


def test_what_is_flat():
    """Images without structure, and of zeros: the values that the docstrings say."""
    zeros, ones = np.zeros((8, 8, 2), "float32"), np.ones((8, 8, 2), "float32")
    third = np.float32(1 / 3) * ones
    y, p = np.stack([zeros, ones, third, zeros]), np.stack([zeros, ones, 3 * third, ones])
    things = {
        "uqi": tg.metrics.UQI(window=4),
        "angle": tg.metrics.SpectralAngle(),
        "error": tg.metrics.ERGAS(ratio=1.0),
    }
    found = jax.jit(lambda y, p: {name: thing.call(y, p) for name, thing in things.items()})(y, p)
    # Of means of 1 and 3 alone: 2 * 3 / (1 + 9).
    np.testing.assert_allclose(found["uqi"], [1, 1, 0.6, 0], atol=1e-6)
    np.testing.assert_allclose(found["angle"], [0, 0, 0, np.pi / 2], atol=1e-6)
    np.testing.assert_allclose(found["error"], [0, 0, 200, np.inf], rtol=1e-6)


def test_small_differences_of_images_are_exact():
    """An SSIM of images that are nearly the same isn't one minus a number near 1."""
    p = (Y * (1 + 1e-4)).astype("float32")
    found = figures({"": tg.losses.SSIM(data_range=1.0, window=7)}, Y, p)[""]
    exact = [of.ssim_loss(a.astype("float64"), b.astype("float64"), 1.0, 7) for a, b in zip(Y, p, strict=True)]
    assert np.mean(exact) < 1e-7
    np.testing.assert_allclose(found, np.mean(exact), rtol=1e-3)


def test_bright_images_keep_their_structure():
    """A variance that is small against the mean isn't lost in squares."""
    y, p = (1000 + a for a in (Y, P))
    found = figures({"": tg.metrics.SSIM(data_range=1.0, window=7)}, y.astype("float32"), p.astype("float32"))[""]
    exact = [of.ssim_loss(a, b, 1.0, 7) for a, b in zip(y.astype("float64"), p.astype("float64"), strict=True)]
    assert abs(float(found) - (1 - np.mean(exact))) < 1e-3


def test_mistakes():
    ssim: Any = tg.metrics.SSIM
    with pytest.raises(TypeError, match="data_range"):
        ssim()
    with pytest.raises(ValueError, match="`data_range` is a positive number, such as 1 or 255, and got 0"):
        ssim(data_range=0)
    with pytest.raises(ValueError, match="`window` is the side of the window .* at least 2, and got 1"):
        ssim(data_range=1, window=1)
    with pytest.raises(tg.ContractError, match="of 8 pixels along one side, less than a window, which is of 11"):
        ssim(data_range=1)(jnp.zeros((2, 8, 8, 3)), jnp.zeros((2, 8, 8, 3)))
    with pytest.raises(tg.ContractError, match=r"doesn't hold images with channels at `axis=-1`.*Pass `axis=None`"):
        ssim(data_range=1)(jnp.zeros((2, 28, 28)), jnp.zeros((2, 28, 28)))
    with pytest.raises(tg.ContractError, match="must be at least 176 pixels along each side"):
        tg.metrics.MultiScaleSSIM(data_range=1)(jnp.zeros((1, 64, 64, 1)), jnp.zeros((1, 64, 64, 1)))
    with pytest.raises(TypeError, match="`weights` is a list of numbers, one for each scale"):
        tg.losses.MultiScaleSSIM(data_range=1, weights=())
    with pytest.raises(TypeError, match="`axis` is the axis of the channels"):
        tg.metrics.SpectralAngle(axis=None)  # pyright: ignore
    with pytest.raises(tg.ContractError, match="must have the same shape"):
        tg.metrics.PSNR(data_range=1)(Y, P[..., :1])
    with pytest.raises(tg.ContractError, match="has no axis of pixels"):
        tg.metrics.PSNR(data_range=1)(jnp.zeros(3), jnp.zeros(3))
