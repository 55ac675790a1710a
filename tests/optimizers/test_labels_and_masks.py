"""Labels of `optax.multi_transform`, and masks, that are modules."""

from typing import Any

import equinox as eqx
import jax
import optax
import pytest

import treegy as tg

MSE = tg.losses.MeanSquaredError()


def optimizers(labels: Any, mask: Any) -> dict[str, Any]:
    sgd = optax.sgd(0.1)
    return {
        "multi_transform": optax.multi_transform({"body": sgd}, labels),
        "masked": optax.masked(sgd, mask),
        "chain": optax.chain(optax.clip(1.0), optax.masked(sgd, mask)),
        "adamw": optax.adamw(1e-3, mask=mask),
        "MultiSteps": optax.MultiSteps(optax.masked(sgd, mask), 2),
    }


def test_labels_and_masks_that_are_a_module_are_refused():
    net = eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0))
    labels, mask = (
        jax.tree.map(lambda _, value=value: value, eqx.filter(net, eqx.is_inexact_array)) for value in ("body", True)
    )
    for optimizer in optimizers(labels, mask).values():
        with pytest.raises(TypeError, match=r"`optimizer` has labels or a mask that are .*MLP.*`lambda _: labels`"):
            tg.Model(net, loss=MSE, optimizer=optimizer)
    for optimizer in optimizers(lambda _: labels, lambda _: mask).values():
        tg.Model(net, loss=MSE, optimizer=optimizer)


def test_a_schedule_that_is_a_module_is_no_label():
    class Halving(eqx.Module):
        rate: float

        def __call__(self, step: Any) -> Any:
            return self.rate / (1 + step)

    tg.Model(eqx.nn.Linear(4, 1, key=jax.random.key(0)), optimizer=optax.sgd(Halving(0.1)))
