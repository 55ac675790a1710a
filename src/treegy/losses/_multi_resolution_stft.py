"""How much the spectrograms of sounds differ, at several resolutions."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, Shaped

from .._describe import array_name, describe
from .._errors import ContractError
from .._terms._accumulator import safe_divide
from .._terms._elementwise import absolute, matched
from .._terms._loss import Loss
from .._terms._powers import exponent_of, times_power

Resolution = tuple[int, int, int]
"""The length of a transform, the step from one to the next, and the length of its window, all in samples."""

RESOLUTIONS: tuple[Resolution, ...] = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))

# The least power that magnitudes are taken of, as in the implementations of the paper.
_LEAST = 1e-7


def multi_resolution_stft(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, resolutions: Sequence[Resolution] = RESOLUTIONS
) -> Float[Array, "..."]:
    r"""How much the spectrograms of sounds differ, the mean over resolutions of

    $$
    \frac{\lVert S - \hat S \rVert}{\lVert S \rVert} + \frac{1}{n} \sum \lvert \log S - \log \hat S \rvert
    $$

    of the magnitudes $S$ of short-time Fourier transforms, through Hann windows, whose sounds are mirrored at their
    ends. Powers below $10^{-7}$ count as $10^{-7}$.

    **Arguments:**

    - `y_true`, `y_pred`: of the same shape `(batch, ..., time)`. Nothing is broadcast.
    - `resolutions`: `(length, step, window)` of each, in samples: of the transform, from one to the next, and of its
        window.

    **Returns:**

    One value for each sound, `(batch, ...)`, each a mean over its own frames. Nothing is averaged over examples; see
    [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, where there is no axis of time, or where it is
    shorter than half a transform and a sample.

    ??? cite

        Yamamoto, Song and Kim, *Parallel WaveGAN: A Fast Waveform Generation Model Based on Generative Adversarial
        Networks with Multi-Resolution Spectrogram*, ICASSP 2020.
    """
    y, p = matched(y_true, y_pred)
    longest = max(length for length, _, _ in resolutions)
    if p.ndim < 2 or p.shape[-1] <= longest // 2:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} must be sounds (batch, ..., time) of more than {longest // 2} samples, "
            "half of the longest transform: pass other `resolutions` for shorter ones."
        )
    # Of what is loud, powers would overflow. What is less than loud stays in the unit of the least power.
    largest = jnp.max(jnp.maximum(jnp.abs(y), jnp.abs(p)), axis=-1, keepdims=True)
    exponent = jnp.maximum(exponent_of(largest), 0)
    y, p = times_power(y, -exponent), times_power(p, -exponent)
    least = jnp.maximum(times_power(jnp.full_like(largest, _LEAST), -2 * exponent), 1e-30)[..., None]
    total = jnp.zeros(p.shape[:-1], p.dtype)
    for resolution in resolutions:
        meant, found = (_power(a, least, *resolution) for a in (y, p))
        magnitudes, others = jnp.sqrt(meant), jnp.sqrt(found)
        # Powers have a least one, so that neither this quotient nor the root of its numerator are of 0.
        apart, all_of_it = (jnp.sum(a, axis=(-2, -1)) for a in ((magnitudes - others) ** 2, meant))
        same = apart == 0
        convergence = jnp.where(same, 0, jnp.sqrt(safe_divide(jnp.where(same, 1, apart), all_of_it)))
        total += convergence + jnp.mean(absolute(jnp.log(meant) - jnp.log(found)) / 2, axis=(-2, -1))
    return total / len(resolutions)


def _power(values: Array, least: Array, length: int, step: int, window: int) -> Float[Array, "... frames frequencies"]:
    """Return the powers of the frequencies of each frame, each at least the least one, `(..., 1, 1)`."""
    around = [(0, 0)] * (values.ndim - 1) + [(length // 2, length // 2)]
    padded = jnp.pad(values, around, mode="reflect")
    frames = 1 + (padded.shape[-1] - length) // step
    # The window stands in the middle of a transform, and what is around it is 0: where that is doesn't show in powers.
    first = (length - window) // 2
    places = first + step * np.arange(frames)[:, None] + np.arange(window)[None]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frame = padded[..., places]
    heights = jnp.asarray(hann, values.dtype).reshape((1,) * (frame.ndim - 1) + (-1,))
    spectra = jnp.fft.rfft(frame * heights, n=length, axis=-1)
    power = jnp.real(spectra) ** 2 + jnp.imag(spectra) ** 2
    # Selected: the slope of a maximum is a product, which is NaN where a gradient is infinite.
    return jnp.where(power < least, least, power)


def _as_resolutions(resolutions: Any) -> Any:
    listed = list(resolutions) if isinstance(resolutions, list | tuple) else []
    found = tuple(tuple(one) if isinstance(one, list | tuple) else one for one in listed)
    if not found or not all(map(_fits, found)):
        raise ValueError(
            "`resolutions` is a list of (length, step, window) in samples, integers of which the window isn't longer "
            f"than the length, and got {describe(resolutions)}."
        )
    return found


def _fits(resolution: object) -> bool:
    if not (isinstance(resolution, tuple) and len(resolution) == 3 and all(type(n) is int for n in resolution)):
        return False
    length, step, window = resolution
    return length >= 2 and step >= 1 and 1 <= window <= length


class MultiResolutionSTFT(Loss):
    """How much the spectrograms of sounds differ, at several resolutions: [`treegy.losses.multi_resolution_stft`][].

    **Raises:** `ValueError` where a resolution isn't three integers: a length, a step, and a window of at most that
    length.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        sounds = jax.random.normal(jax.random.key(0), (2, 256))
        loss = tg.losses.MultiResolutionSTFT(resolutions=[(64, 16, 64), (32, 8, 32)])
        assert loss(sounds, -sounds) == 0
        assert loss(sounds, 0.5 * sounds) > 0.5
        ```
    """

    resolutions: Sequence[Resolution] = eqx.field(
        default=RESOLUTIONS, kw_only=True, static=True, converter=_as_resolutions
    )
    """The length of the transforms, the step from one to the next, and the length of their window, in samples."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return multi_resolution_stft(y_true, y_pred, resolutions=self.resolutions)
