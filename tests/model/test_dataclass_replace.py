"""`dataclasses.replace` and `copy.replace` of a model are its own `replace`."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
import pytest

import treegy as tg
from helpers import numbers

X = numbers(8, 4)
Y = X.sum(axis=1, keepdims=True)
MSE = tg.losses.MeanSquaredError()


class Own(tg.Model):
    scale: float = eqx.field(default=1.0, kw_only=True)

    def __check_init__(self) -> None:
        assert self.scale > 0


def trained(cls: Any = tg.Model) -> Any:
    net = eqx.nn.Linear(4, 1, key=jax.random.key(0))
    return cls(net, loss=MSE, optimizer=optax.adam(0.1)).fit(X, Y, verbose=0)[0]


REPLACE = [dataclasses.replace, *([getattr(copy, "replace")] if hasattr(copy, "replace") else [])]  # noqa: B009


def same(a: Any, b: Any, compare: Callable[..., bool]) -> bool:
    return compare(eqx.filter(a.states, eqx.is_array), eqx.filter(b.states, eqx.is_array), rtol=0, atol=0)


@pytest.mark.standard_promotion
@pytest.mark.parametrize("replace", REPLACE)
@pytest.mark.parametrize("cls", [tg.Model, Own])
def test_replacing_a_dataclass_is_replacing_a_model(replace: Any, cls: Any, tree_allclose: Callable[..., bool]):
    model = trained(cls)
    other = eqx.nn.Linear(4, 1, key=jax.random.key(1))
    for fields in ({}, {"batched": False}, {"optimizer": optax.sgd(0.1)}, {"module": other}, {"metrics": [MSE]}):
        found, right = replace(model, **fields), model.replace(**fields)
        assert type(found) is cls and same(found, right, tree_allclose)
        found, right = (m.fit(X, Y, verbose=0)[0] for m in (found, right))
        assert same(found, right, tree_allclose)
    assert int(replace(model, batched=False).states.step) == 1
    if cls is Own:
        assert replace(model, scale=2.0).scale == 2 and int(replace(model, scale=2.0).states.step) == 1
        with pytest.raises(AssertionError):
            replace(model, scale=-1.0)


@pytest.mark.parametrize("replace", REPLACE)
def test_replacing_what_was_not_trained(replace: Any):
    model = tg.Model(eqx.nn.Linear(4, 1, key=jax.random.key(0)))
    assert not replace(model, batched=False).initialized and replace(model, batched=False).batched is False


@pytest.mark.standard_promotion
def test_a_model_in_another_dataclass():
    @dataclasses.dataclass
    class Holds:
        model: Any

        def __post_init__(self) -> None:
            self.fresh = tg.Model(self.model.module)

    held = dataclasses.replace(Holds(trained()), model=trained())
    assert int(held.model.states.step) == 1 and not held.fresh.initialized
