"""`cross_validate`: a model for each fold of the data, all of them trained at once."""

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from .. import _checks
from .._data._shuffle import key_data_of, order
from .._describe import describe, is_arraylike
from .._steps._forward import size_of_batch
from .._steps._per_model import PerModel
from .._steps._stacks import root_of, size_of_stack
from .._types import PyTree
from ._model import Model
from ._stack import stack

if TYPE_CHECKING:
    M = TypeVar("M", bound=Model[Any])

    class CrossValidated(NamedTuple, Generic[M]):
        """What [`treegy.cross_validate`][] returns."""

        models: M
        """The stack of the trained models, one for each fold."""
        logs: dict[str, Any]
        """What each model makes of the examples that it wasn't trained on: arrays `(folds,)`."""
        folds: np.ndarray
        """In which fold each example is."""

else:
    M = TypeVar("M")

    # Not generic: beartype can't check generic named tuples.
    class CrossValidated(NamedTuple):
        """What [`treegy.cross_validate`][] returns."""

        models: Any
        logs: dict[str, Any]
        folds: np.ndarray


def cross_validate(
    model: M, x: PyTree, y: PyTree = None, *, folds: int = 5, sample_weight: PyTree = None, **fit: Any
) -> "CrossValidated[M]":
    r"""Train a model on all folds of the data but one, for each of them, and evaluate it on that one.

    All models see all examples, of which those of their own fold have the weight 0. The others weigh $n / n_f$, where
    $n_f$ is how many of the $n$ examples they are, so that means over examples are means over those. So layers that
    look at whole batches, such as `eqx.nn.BatchNorm`, see inputs of the fold too, as zeros; for these, and for losses
    with `reduction="sum"`, train models of their own.

    **Arguments:**

    - `model`: the model to begin with; all folds have the same parameters and keys.
    - `x`, `y`: arrays, or PyTrees of them.
    - `folds`: how many folds there are. Examples are put into them at random, by the model's seed.
    - `sample_weight`: `(batch,)`, if examples have weights of their own.
    - `**fit`: what [`treegy.Model.fit`][] takes.

    **Returns:**

    `(models, logs, folds)`, a named tuple.

    **Raises:** `ValueError` for fewer than two folds, or fewer examples than folds.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import optax
        import treegy as tg

        x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
        model = tg.Model(
            eqx.nn.Linear(4, 1, key=jax.random.key(0)),
            loss=tg.losses.MeanSquaredError(),
            optimizer=optax.adam(1e-1),
        )
        models, logs, folds = tg.cross_validate(model, x, x[:, :1], folds=5, epochs=20, verbose=0)
        assert logs["loss"].shape == (5,)
        ```
    """
    n = _length(x)
    if _checks.positive("folds", folds) < 2 or n < folds:
        raise ValueError(f"`folds` is {folds} for {n} examples: at least 2 are expected, and an example for each.")
    if size_of_stack(model) is not None:
        raise ValueError("`model` is a stack of models: pass one of them, such as `tg.unstack(models)[0]`.")
    if sample_weight is not None and (not is_arraylike(sample_weight) or sample_weight.shape != (n,)):
        raise ValueError(f"`sample_weight` is {describe(sample_weight)}; an array of shape ({n},) is expected.")
    fold = np.empty(n, int)
    fold[order(key_data_of(root_of(model.states)), 0, n, 0, n)] = np.arange(n) % folds
    outside = (fold[:, None] != np.arange(folds)).astype("float32")
    models, _ = stack([model] * folds).fit(x, y, sample_weight=_weights(outside, sample_weight), **fit)
    found = {name: fit[name] for name in ("batch_size",) if name in fit}
    logs = models.evaluate(x, y, sample_weight=_weights(1 - outside, sample_weight), verbose=0, **found)
    return CrossValidated(models, logs, fold)


def _weights(which: np.ndarray, sample_weight: PyTree) -> PerModel:
    weights = which * (len(which) / which.sum(axis=0))
    own = 1 if sample_weight is None else np.asarray(sample_weight)[:, None]
    return PerModel((weights * own).astype("float32"))


def _length(x: PyTree) -> int:
    n = size_of_batch(x)
    if n is None:
        raise ValueError(f"`x` is {describe(x)}; arrays are expected, whose examples are put into folds.")
    return n
