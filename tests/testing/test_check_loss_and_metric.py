"""`tg.testing`: what keeps the laws passes, and what breaks one is told which, by how much, and what to do."""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int

import treegy as tg

pytestmark = pytest.mark.once

Y: dict[str, Any] = {"y_true": np.arange(12.0).reshape(6, 2) % 5, "y_pred": np.ones((6, 2))}
LABELS: dict[str, Any] = {"y_true": np.array([0, 1, 2, 1, 0, 1]), "y_pred": np.arange(18.0).reshape(6, 3) % 7}


# What passes


class Reconstruction(tg.Loss):
    def call(self, x: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> dict[str, Float[Array, "batch"]]:
        return {"l1": jnp.mean(jnp.abs(x - y_pred), axis=-1), "l2": jnp.mean((x - y_pred) ** 2, axis=-1)}


class OfSome(tg.Loss):
    """Along time, and of what isn't a particular label."""

    def call(self, y_true: Float[Array, "batch time"], y_pred: Float[Array, "batch time"]) -> tg.Masked:
        return tg.Masked((y_true - y_pred) ** 2, y_true != 3)


class PerClass(tg.Accumulator):
    right: tg.Sum
    count: tg.Sum

    def empty(self) -> "PerClass":
        return PerClass(self.right.empty(), self.count.empty())

    def merge(self, other: "PerClass") -> "PerClass":
        return PerClass(self.right.merge(other.right), self.count.merge(other.count))

    def compute(self) -> dict[str, Array]:
        count = self.count.compute()
        return {"recall": jnp.where(count > 0, self.right.compute() / jnp.maximum(count, 1e-9), 0), "count": count}


class Recalls(tg.Metric):
    """An accumulator whose value is a dict of arrays."""

    def call(
        self, y_true: Int[Array, "batch"], y_pred: Float[Array, "batch classes"], sample_weight: Any = None
    ) -> PerClass:
        weight = jnp.ones(y_true.shape) if sample_weight is None else sample_weight
        of_class = jax.nn.one_hot(y_true, y_pred.shape[-1]) * weight[:, None]
        right = jnp.where((jnp.argmax(y_pred, axis=-1) == y_true)[:, None], of_class, 0)
        return PerClass(tg.Sum(jnp.sum(right, axis=0)), tg.Sum(jnp.sum(of_class, axis=0)))


def test_losses_of_users_pass():
    tg.testing.check_loss(Reconstruction(weight=0.5), x=Y["y_true"], y_pred=Y["y_pred"])
    tg.testing.check_loss(OfSome(reduction="sum"), **Y)
    tg.testing.check_loss(lambda y_true, y_pred: (y_true - y_pred) ** 2, **Y)
    tg.testing.check_loss(tg.losses.mean_squared_error, **Y)
    tg.testing.check_loss(tg.losses.Huber(on="a"), y_true={"a": Y["y_true"]}, y_pred={"a": Y["y_pred"]})
    tg.testing.check_loss(tg.regularizers.GlobalL2(reduction="sum"), parameters={"w": jnp.ones(3), "n": 3})


def test_metrics_of_users_pass():
    tg.testing.check_metric(Recalls(), **LABELS)
    tg.testing.check_metric(tg.metrics.Mean(of=lambda x: {"a": x, "b": -x}), x=np.arange(5.0))


# What breaks a law


class Broken(tg.Metric):
    """A metric whose value is a sum, in so many ways not."""

    how: str = eqx.field(static=True)

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        weight = jnp.ones(y_pred.shape[0]) if sample_weight is None else sample_weight
        values = jnp.sum((y_true - y_pred) ** 2, axis=-1)
        kept = jnp.where(weight != 0, values, 0)
        match self.how:
            case "mean of means":
                return tg.Mean(jnp.sum(kept * weight) / jnp.maximum(jnp.sum(weight), 1e-9), 1.0)
            case "unweighted":
                return tg.Mean(jnp.sum(kept), jnp.sum(jnp.where(weight != 0, 1.0, 0.0)))
            case "multiplied":
                return tg.Mean(jnp.sum(values * weight), jnp.sum(weight))
            case "one of nothing":
                counted = jnp.where(jnp.sum(weight) > 0, jnp.sum(kept * weight), 1)
                return Odd(counted, self.how, 0)
            case "undefined":
                return Odd(jnp.stack([jnp.sum(kept * weight), jnp.sum(weight)]), self.how, 0)
            case "half":
                return Odd(jnp.sum(kept * weight).astype(y_pred.dtype), self.how, 0)
            case "bytes":
                return Odd(jnp.sum(weight).astype(jnp.int8), self.how, 0)
            case "eager":
                return tg.Sum(jnp.sum(kept * weight) + (0 if isinstance(y_pred, jax.core.Tracer) else 1))
            case _:
                return Odd(jnp.sum(kept * weight), self.how, y_pred.shape[0] if self.how == "static" else 0)


class Odd(tg.Accumulator):
    total: Any
    how: str = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def empty(self) -> "Odd":
        start = 1.0 if self.how == "empty" else 0.0
        return Odd(jnp.full_like(self.total, start), self.how, self.size)

    def merge(self, other: "Odd") -> "Odd":
        match self.how:
            case "commutative":
                total = self.total + 2 * other.total
            case "dtype":
                total = (self.total + other.total).astype(jnp.int32)
            case _:
                total = self.total + other.total
        return Odd(total, self.how, self.size)

    def compute(self) -> Any:
        return self.total[0] / self.total[1] if self.how == "undefined" else self.total


@pytest.mark.parametrize(
    "how, error",
    [
        (
            "mean of means",
            r'\(Broken\.call\) breaks the law "batching".*\n.*cut at 1 and 3 +: [\d.]+\n.*in one batch +: .*\nRet',
        ),
        ("commutative", r'"batching".*\n.*cut at 1 and 3 : .*\n.*in one batch'),
        ("empty", r'"merging".*\n +a \+ empty : .*\n +a +: .*\n`merge` must'),
        (
            "unweighted",
            r'"repetition".*\n +with the weights \[2, 0, 1, 2, 0, 1\] : .*\n +with each .* often +: .*\nLeave',
        ),
        (
            "multiplied",
            r'"absence".*\n +with NaN in .* weight 0 : nan\n +without these examples +: [\d.]+\n.*jnp\.where',
        ),
        (
            "one of nothing",
            r'"nothing".*\n +with weights that are all 0 : 1\.0\n +of `empty\(\)` +: 0\.0\nA denominator may be 0',
        ),
        (
            "undefined",
            r'"nothing".*\n +of `empty\(\)` +: nan\n +as a number +: 0\.0\nA denominator may be 0',
        ),
        ("half", r'"precision".*\n +of a batch in float16 : \.total f16\[\]\nConvert values before'),
        ("bytes", r'"precision".*\n +of a batch : \.total i8\[\]\nConvert values before'),
        ("eager", r'"jit".*\n +run eagerly : [\d.]+\n +compiled +: [\d.]+\nKeep to `jnp`'),
        ("dtype", r'"stability".*\n +of a batch : \.total f32\[\]\n +merged +: \.total i32\[\]\nGive every field'),
        ("static", r'"stability".*\n +of a batch +: .*\n +of a batch of another size : .*\nGive every field'),
    ],
)
def test_a_broken_law_is_named(how: str, error: str):
    with pytest.raises(AssertionError, match=error):
        tg.testing.check_metric(Broken(how, name="it"), **Y)


def test_a_branch_on_a_value():
    def branching(y_true: Any, y_pred: Any) -> Any:
        return y_true - y_pred if y_pred[0, 0] > 0 else y_true

    with pytest.raises(
        AssertionError, match=r'`branching` breaks the law "jit".*\n.*BoolConversionError.*\n.*jnp.where'
    ):
        tg.testing.check_metric(branching, **Y)
    with pytest.raises(AssertionError, match=r'"jit".*\n.*NonConcreteBooleanIndexError.*\n.*jnp.where'):
        tg.testing.check_metric(lambda y_true, y_pred: y_pred[y_true > 1], **Y)


def test_a_scalar_can_not_be_weighted():
    with pytest.raises(AssertionError, match=r'"repetition".*\n.*returned a scalar where `sample_weight` f32\[6\]'):
        tg.testing.check_loss(lambda y_true, y_pred: jnp.mean((y_true - y_pred) ** 2), **Y)


def test_gradients_that_are_not_finite():
    def root(y_true: Any, y_pred: Any) -> Any:
        return jnp.sqrt(jnp.sum((y_true - y_pred) ** 2, axis=-1))

    error = r'`root_loss` \(root\) breaks the law "gradients".*\n +the gradient of `y_pred` where it is `y_true` : \[n'
    with pytest.raises(AssertionError, match=error):
        tg.testing.check_loss(root, **Y)
    with pytest.raises(AssertionError, match="where it is 3 everywhere"):
        tg.testing.check_loss(root, extremes=(3.0,), y_true=jnp.full((6, 1), 3.0), y_pred=jnp.ones((6, 1)))
    # Predictions that depend on a label of weight 0, which becomes 0.
    with pytest.raises(AssertionError, match="where the labels of weight 0 are NaN : "):
        tg.testing.check_loss(
            lambda y_true, y_pred: jnp.sum(y_pred * y_true / jnp.linalg.norm(y_true, axis=-1, keepdims=True), axis=-1),
            extremes=(),
            y_true=np.ones((6, 2)),
            y_pred=np.zeros((6, 2)),
        )
    with pytest.raises(AssertionError, match="the gradient of `parameters` as given"):
        tg.testing.check_loss(
            lambda parameters: jnp.sqrt(jnp.sum(parameters["w"] ** 2)), parameters={"w": jnp.zeros(2)}
        )


# What can't keep one says so


class Centered(tg.Metric):
    exempt_from: ClassVar[Mapping[str, str]] = {law: "of the batch" for law in ("batching", "repetition", "absence")}

    def call(self, y_pred: Any) -> Any:
        def together(values: Any) -> Any:
            return np.asarray(values - np.mean(values), values.dtype)

        value = jax.pure_callback(
            together, jax.ShapeDtypeStruct(y_pred.shape, y_pred.dtype), y_pred, vmap_method="expand_dims"
        )
        return value**2


def test_exemptions_are_of_the_laws_that_they_name():
    with pytest.raises(AssertionError, match='"vmap".*\n +of two sets of examples under vmap : .*\n +of each alone'):
        tg.testing.check_metric(Centered(), y_pred=np.arange(6.0) ** 2)

    class Other(tg.Metric):
        exempt_from: ClassVar[Mapping[str, str]] = {"batchig": "misspelled"}

        def call(self, y_pred: Any) -> Any:
            return y_pred

    with pytest.raises(ValueError, match=r"`exempt_from` 'batchig'; there are the laws batching, merging"):
        tg.testing.check_metric(Other(), y_pred=np.arange(6.0))


# What can't be checked


@pytest.mark.parametrize(
    "loss, values, kind, error",
    [
        (tg.losses.Huber, Y, TypeError, r"`loss` is the class `Huber`; make an instance of it: `Huber\(\)`"),
        ("mse", Y, TypeError, "`loss` is the string 'mse'"),
        ([tg.losses.Huber()], Y, TypeError, "`loss` is .*, and one loss is expected"),
        (tg.losses.Huber(), {}, TypeError, "asks for `y_true`, `y_pred`: pass examples of these by name"),
        (tg.losses.Huber(), {**Y, "sample_weight": 1}, TypeError, "the laws choose weights themselves"),
        (tg.losses.Huber(), {**Y, "y_ture": 1}, tg.InjectionError, "doesn't ask for `y_ture`. Did you mean `y_true`"),
        (tg.losses.Huber(), {**Y, "y_true": np.ones(5)}, ValueError, "6 in `y_pred`, 5 in `y_true`"),
        (tg.losses.Huber(), {"y_true": np.ones(3), "y_pred": np.ones(3)}, ValueError, "At least 4 examples .* got 3"),
        (
            tg.losses.Huber(),
            {**Y, "y_pred": 1.0},
            TypeError,
            "`y_pred` is 1.0, and an array with an axis for the batch",
        ),
        (tg.losses.Huber(), {**Y, "y_pred": np.ones((6, 3))}, tg.ContractError, "must have the same shape"),
    ],
)
def test_what_can_not_be_checked(loss: Any, values: Any, kind: Any, error: str):
    with pytest.raises(kind, match=error):
        tg.testing.check_loss(loss, **values)
