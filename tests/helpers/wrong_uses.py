"""Models and data for wrong uses, and what an error for users must be."""

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers

X, Y, LABELS, ONES = numbers(20, 4), numbers(20, 2, seed=1), (np.arange(20) % 3).astype(np.int32), np.ones(20, "f4")


def linear(outputs: Any = 2) -> eqx.nn.Linear:
    return eqx.nn.Linear(4, outputs, key=jax.random.key(0))


def regression(module: Any = None, **fields: Any) -> tg.Model[Any]:
    fields = {"loss": tg.losses.MeanSquaredError(), "optimizer": optax.sgd(0.1), **fields}
    return tg.Model(linear() if module is None else module, **fields)


def fit(x: Any = X, y: Any = Y, *, model: Any = None, **arguments: Any) -> Any:
    return plain("fit")(regression() if model is None else model, x, y, verbose=0, **arguments)


def plain(method: str) -> Callable[..., Any]:
    """A method of `Model` without the hook under which tests run: it would refuse a wrong type by words of its own."""
    return inspect.unwrap(getattr(tg.Model, method))


def refused(error: type[Exception], match: str, do: Callable[[], Any]) -> None:
    with pytest.raises(error, match=match) as caught:
        do()
    assert isinstance(caught.value, ValueError | TypeError)


def named(cases: dict[str, Any]) -> Any:
    """Cases by the name under which pytest shows them."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def bad_name(y_true, y_prd):
    return jnp.mean((y_true - y_prd) ** 2, axis=-1)
