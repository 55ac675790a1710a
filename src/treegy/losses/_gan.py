"""What a generator and a discriminator are trained on: losses of scores, which are high for what looks real."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from .._converters import OneOf
from .._terms._elementwise import all_in_floats
from .._terms._loss import Loss
from .._types import PyTree
from ._several import several

_OF_REAL_AND_FAKE: dict[str, Callable[[Array, Array], Array]] = {
    "minimax": lambda real, fake: jax.nn.softplus(-real) + jax.nn.softplus(fake),
    "hinge": lambda real, fake: jnp.maximum(1 - real, 0) + jnp.maximum(1 + fake, 0),
    "wasserstein": lambda real, fake: fake - real,
    "least_squares": lambda real, fake: ((real - 1) ** 2 + fake**2) / 2,
}
_OF_FAKE: dict[str, Callable[[Array], Array]] = {
    "non_saturating": lambda fake: jax.nn.softplus(-fake),
    "minimax": lambda fake: -jax.nn.softplus(fake),
    "hinge": lambda fake: -fake,
    "wasserstein": lambda fake: -fake,
    "least_squares": lambda fake: (fake - 1) ** 2 / 2,
}

_as_kind_of_discriminator = OneOf("kind", *_OF_REAL_AND_FAKE)
_as_kind_of_generator = OneOf("kind", *_OF_FAKE)


def gan_discriminator(y_pred: PyTree, *, kind: str = "minimax") -> Float[Array, "..."]:
    r"""How badly scores tell what is real, $r$, from what is generated, $f$.

    | `kind` | value |
    |---|---|
    | `"minimax"` | $-\log \sigma(r) - \log(1 - \sigma(f))$ |
    | `"hinge"` | $\max(1 - r, 0) + \max(1 + f, 0)$ |
    | `"wasserstein"` | $f - r$; see [`treegy.losses.GradientPenalty`][] |
    | `"least_squares"` | $\frac12 (r - 1)^2 + \frac12 f^2$ |

    **Arguments:**

    - `y_pred`: scores `(real, fake)`, each `(batch, ...)`: logits, and no probabilities.
    - `kind`: one of these.

    **Returns:**

    One value for each pair of scores, `(batch, ...)`. In the dtype of the scores, at least float32. Nothing is averaged
    over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape. `ValueError` where
    there is no such `kind`.

    ??? cite

        Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014; Arjovsky et al., *Wasserstein GAN*, 2017; Lim
        and Ye, *Geometric GAN*, 2017; Mao et al., *Least Squares Generative Adversarial Networks*, ICCV 2017.
    """
    return _OF_REAL_AND_FAKE[_as_kind_of_discriminator(kind)](*several(y_pred, ("real", "fake")))


def gan_generator(y_pred: Num[Array, "..."], *, kind: str = "non_saturating") -> Float[Array, "..."]:
    r"""How little real what is generated looks, by its scores $f$.

    | `kind` | value |
    |---|---|
    | `"non_saturating"` | $-\log \sigma(f)$ |
    | `"minimax"` | $\log(1 - \sigma(f))$ |
    | `"hinge"`, `"wasserstein"` | $-f$ |
    | `"least_squares"` | $\frac12 (f - 1)^2$ |

    **Arguments:**

    - `y_pred`: scores $f$, `(batch, ...)`: logits, and no probabilities.
    - `kind`: one of these.

    **Returns:**

    One value for each score, `(batch, ...)`. In the dtype of the scores, at least float32. Nothing is averaged over
    examples; see [`treegy.Loss`][].

    **Raises:** `ValueError` where there is no such `kind`.

    ??? cite

        As for [`treegy.losses.gan_discriminator`][].
    """
    return _OF_FAKE[_as_kind_of_generator(kind)](*all_in_floats({"y_pred": y_pred}))


class GANDiscriminator(Loss):
    r"""The loss of a discriminator: [`treegy.losses.gan_discriminator`][].

    **Raises:** `ValueError` where there is no such `kind`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.GANDiscriminator(kind="hinge")
        real, fake = jnp.array([2.0]), jnp.array([0.5])
        assert loss((real, fake)) == 1.5
        ```
    """

    kind: str = eqx.field(default="minimax", kw_only=True, static=True, converter=_as_kind_of_discriminator)
    """`"minimax"`, `"hinge"`, `"wasserstein"` or `"least_squares"`."""

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        return gan_discriminator(y_pred, kind=self.kind)


class GANGenerator(Loss):
    r"""The loss of a generator: [`treegy.losses.gan_generator`][].

    **Raises:** `ValueError` where there is no such `kind`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        assert abs(tg.losses.GANGenerator()(jnp.zeros(3)) - jnp.log(2)) < 1e-6
        assert tg.losses.GANGenerator(kind="wasserstein")(jnp.ones(3)) == -1
        ```
    """

    kind: str = eqx.field(default="non_saturating", kw_only=True, static=True, converter=_as_kind_of_generator)
    """`"non_saturating"`, `"minimax"`, `"hinge"`, `"wasserstein"` or `"least_squares"`."""

    def call(self, y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return gan_generator(y_pred, kind=self.kind)
