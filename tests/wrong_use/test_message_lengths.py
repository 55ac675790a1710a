"""An error says where to look in a few lines, whatever the size of the data."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import treegy as tg

pytestmark = pytest.mark.once

ONES = np.ones((8, 3), np.float32)
WIDE = {f"key{i}" * 60: ONES for i in range(500)}
DEEP = {f"a{i}" * 50: {f"b{j}" * 50: [ONES] * 20 for j in range(20)} for i in range(20)}
MSE = tg.losses.MeanSquaredError()


class Asks(eqx.Module):
    def __call__(self, nothing: Any) -> Any:
        return nothing


class OfDicts(eqx.Module):
    def __call__(self, x: dict[str, Float[Array, "7"]]) -> Any:
        return x


def many(head: str, hint: str) -> Any:
    """A function of 60 arguments with long names."""
    names = ", ".join(f"{'a' * 40}{i}{hint}" for i in range(60))
    scope: dict[str, Any] = {"H": Float[Array, "batch 5"], "D": jnp.ones((8, 5))}
    exec(f"def many({head}{names}): return y_pred", scope)
    return scope["many"]


def evaluated(loss: Any, y: Any, net: Any = None) -> Callable[[], Any]:
    return lambda: tg.Model(net or eqx.nn.Identity(), loss=loss).evaluate(ONES, y, verbose=0)


@pytest.mark.parametrize(
    "run",
    [
        lambda: tg.Model(Asks()).predict(WIDE),
        lambda: tg.Model(Asks()).predict(DEEP),
        lambda: tg.Model(OfDicts()).predict((WIDE,)),
        lambda: tg.Model(OfDicts()).predict((DEEP,)),
        lambda: tg.Model(eqx.nn.Identity()).predict((ONES,) * 300),
        lambda: tg.Model(many("y_pred, ", "")).predict((ONES,) * 3),
        evaluated(lambda nothing: nothing, WIDE),
        evaluated(lambda nothing: nothing, DEEP),
        evaluated(tg.losses.MeanSquaredError(on="nothing"), WIDE),
        evaluated(tg.losses.MeanSquaredError(on=("a0" * 50, "nothing")), DEEP),
        evaluated(MSE, WIDE),
        evaluated(MSE, DEEP),
        evaluated(MSE, ONES, lambda x: [x] * 500),
        evaluated(many("y_pred: H, ", ": H = D"), ONES),
    ],
)
def test_errors_about_large_data_are_short(run: Callable[[], Any]):
    with pytest.raises((tg.InjectionError, tg.ContractError)) as error:
        run()
    said = " ".join([str(error.value), *getattr(error.value, "__notes__", [])])
    assert 40 < len(said) < 2000
