"""Metrics and losses of sounds against their formulas in NumPy, which are those of the papers and of torchmetrics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers.formulas_of_sound as of
import treegy as tg

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
# Sources `(batch, sources, time)`, and what is predicted of them, in another order.
Y = (RNG.normal(size=(4, 3, 200)) + 0.3).astype("float32")
P = (0.7 * Y[:, [2, 0, 1]] + 0.3 * RNG.normal(size=Y.shape)).astype("float32")
RESOLUTIONS = ((64, 20, 40), (32, 8, 32))


def exact(*arrays: Any) -> Any:
    return zip(*(a.astype("float64") for a in arrays), strict=True)


def test_formulas():
    y, p = Y.reshape(12, 200), P[:, [1, 2, 0]].reshape(12, 200)
    things: Any = {
        "SNR": (tg.metrics.SNR(), of.snr),
        "SNR of no mean": (tg.metrics.SNR(zero_mean=True), lambda y, p: of.snr(y, p, True)),
        "SISDR": (tg.metrics.SISDR(), of.si_sdr),
        "SISNR": (tg.metrics.SISNR(), lambda y, p: of.si_sdr(y, p, True)),
        "SDR": (tg.metrics.SDR(filter_length=8), lambda y, p: of.sdr(y, p, 8)),
        "SDR of no mean": (
            tg.metrics.SDR(filter_length=5, zero_mean=True, iterations=20),
            lambda y, p: of.sdr(y, p, 5, zero_mean=True),
        ),
        "SDR, loss": (tg.losses.SDR(filter_length=8), lambda y, p: -of.sdr(y, p, 8)),
        "SNR, loss": (tg.losses.SNR(), lambda y, p: -of.snr(y, p)),
        "SISDR, loss": (tg.losses.SISDR(), lambda y, p: -of.si_sdr(y, p)),
        "STFT": (
            tg.losses.MultiResolutionSTFT(resolutions=RESOLUTIONS),
            lambda y, p: of.multi_resolution_stft(y, p, RESOLUTIONS),
        ),
    }
    found = jax.jit(lambda y, p: {name: jnp.mean(thing.call(y, p)) for name, (thing, _) in things.items()})(y, p)
    for name, (_, formula) in things.items():
        expected = np.mean([formula(a, b) for a, b in exact(y, p)])
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, err_msg=name)


def test_several_channels_are_sounds_of_their_own():
    of_all = jax.jit(lambda y, p: tg.metrics.SISDR()(y, p).compute())
    assert abs(of_all(Y, P) - of_all(Y.reshape(12, 200), P.reshape(12, 200))) < 1e-5


def test_sources_in_any_order():
    things: Any = {
        "largest": (tg.metrics.PermutationInvariant(), of.si_sdr, 1),
        "another": (tg.metrics.PermutationInvariant(tg.metrics.SNR()), of.snr, 1),
        "loss": (tg.losses.PermutationInvariant(), of.si_sdr, -1),
        "least": (
            tg.metrics.PermutationInvariant(tg.metrics.MeanSquaredError(), largest=False),
            lambda y, p: -((y - p) ** 2).mean(),
            -1,
        ),
    }
    found, order = jax.jit(
        lambda y, p: (
            {name: jnp.mean(thing.call(y, p)) for name, (thing, _, _) in things.items()},
            tg.losses.best_order(tg.losses.si_sdr, y, p),
        )
    )(Y, P)
    for name, (_, formula, sign) in things.items():
        expected = sign * np.mean([of.best(formula, a, b) for a, b in exact(Y, P)])
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, err_msg=name)
    assert order.tolist() == [[1, 2, 0]] * 4


def test_exact_and_silent_sounds():
    """69.2 decibel at most, whatever is loud: those of 2^23. And 0 where there is nothing."""
    loud, silent = Y[:1, 0], np.zeros((1, 200), "float32")
    most = 10 * np.log10(2.0**23)
    y = np.concatenate([loud, 1e-6 * loud, silent, silent, loud])
    p = np.concatenate([loud, 1e-6 * loud, loud, silent, silent])
    found = jax.jit(lambda y, p: (-tg.losses.snr(y, p), -tg.losses.si_sdr(y, p)))(y, p)
    np.testing.assert_allclose(found[0], [most, most, -most, 0, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1], [most, most, -most, 0, 0], rtol=1e-4, atol=1e-4)
    filtered = -jax.jit(lambda y, p: tg.losses.sdr(y, p, filter_length=8, iterations=20))(y, p)
    np.testing.assert_allclose(filtered, [most, most, -most, 0, 0], rtol=1e-3, atol=1e-4)


def test_gradients_draw_towards_the_sound():
    y, p = jnp.asarray(Y[:, 0]), jnp.asarray(P[:, 0])

    @jax.jit
    def before_and_after(p: Any) -> Any:
        slope = jax.grad(lambda p: jnp.sum(tg.losses.si_sdr(y, p)))(p)
        return tg.losses.si_sdr(y, p), tg.losses.si_sdr(y, p - slope)

    before, after = before_and_after(p)
    assert np.all(after < before)


def test_filters_are_no_distortion():
    """As that of mir_eval and torchmetrics is, whatever the spectrum: of 12 decibel, and of 40."""
    t, delays = np.arange(2000), np.arange(40)
    noise = RNG.normal(size=t.shape)
    low = np.convolve(noise * (1 + np.sin(t / 90)), 0.9**delays)[: len(t)]
    echo = np.convolve(low, RNG.normal(size=40) * 0.8**delays)[: len(t)]
    p = np.stack([echo / echo.std() + size * RNG.normal(size=t.shape) for size in (0.25, 0.01)]).astype("float32")
    y: Any = np.stack([low, low]).astype("float32")

    @jax.jit
    def found(p: Any) -> Any:
        def value(p: Any) -> Any:
            return tg.losses.sdr(y, p, filter_length=64)

        step = jax.grad(lambda p: jnp.sum(value(p)))(p)
        size = 1e-2 / jnp.linalg.norm(step, axis=-1, keepdims=True)
        return value(p), value(p + size * step) - value(p - size * step), 2e-2 * jnp.linalg.norm(step, axis=-1)

    values, change, predicted = found(p)
    np.testing.assert_allclose(values, [-of.sdr(a, b, 64) for a, b in exact(y, p)], atol=0.02)
    np.testing.assert_allclose(change, predicted, rtol=0.02)


def test_mistakes():
    with pytest.raises(tg.ContractError, match=r"has no axis of time .* shapes like \(batch, time\) are expected"):
        tg.metrics.SNR()(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(tg.ContractError, match="must have the same shape"):
        tg.losses.SISDR()(Y, Y[:, :2])
    with pytest.raises(tg.ContractError, match=r"must be sources of the same shape, like \(batch, sources, time\)"):
        tg.metrics.PermutationInvariant()(jnp.zeros((2, 9, 4)), jnp.zeros((2, 9, 4)))
    with pytest.raises(TypeError, match="`metric` is a metric, such as tg.metrics.SISDR"):
        tg.metrics.PermutationInvariant(tg.losses.SISDR())
    with pytest.raises(TypeError, match="`loss` is a loss, such as tg.losses.SISDR"):
        tg.losses.PermutationInvariant(tg.losses.si_sdr)
    with pytest.raises(tg.ContractError, match="one for each of 18 is expected"):
        tg.losses.PermutationInvariant(tg.losses.SISDR())(Y[:2, :, None], P[:2, :, None])
    with pytest.raises(tg.ContractError, match="of more than 1024 samples, half of the longest transform"):
        tg.losses.MultiResolutionSTFT()(Y[:, 0], P[:, 0])
    with pytest.raises(ValueError, match=r"`resolutions` is a list of \(length, step, window\)"):
        tg.losses.MultiResolutionSTFT(resolutions=[(32, 8, 64)])
