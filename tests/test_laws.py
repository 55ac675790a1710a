"""The laws that every loss, metric and regularizer keeps.

The classes are found in the package, and their data is chosen by their names and by what they ask for: a new class is
tested by existing, and one that no data is known for fails.
"""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from treegy._accumulator import Mean, compute_all, merge_all
from treegy._inject import request
from treegy._term import Batch, make_term, parts, reducer

Data = dict[str, Any]

CLASSES = [
    cls
    for package in (tg.losses, tg.metrics, tg.regularizers)
    for _, cls in sorted(vars(package).items())
    if inspect.isclass(cls) and issubclass(cls, tg.Loss | tg.Metric) and not inspect.isabstract(cls)
]

# Besides the default: what takes another path through the mathematics.
OPTIONS: dict[str, list[Data]] = {
    "BinaryCrossentropy": [{"label_smoothing": 0.1}],
    "CategoricalCrossentropy": [{"label_smoothing": 0.1}],
    "GlobalL1L2": [{"l1": 0.1, "l2": 0.2}],
    "Precision": [{"thresholds": [0.25, 0.5], "class_id": 1}],
    "Recall": [{"thresholds": [0.25, 0.5], "class_id": 1}],
    "SparseCategoricalCrossentropy": [{"ignore_class": 0}],
}

# Data by a pattern in the name of the class; the first that fits.
KINDS: list[tuple[str, str]] = [
    ("^Sparse", "class indices"),
    ("^Categorical", "distributions"),
    ("^Binary|^Precision|^Recall", "binary"),
    ("^Accuracy", "labels"),
    ("^Mean$|^Sum$", "values"),
    ("Error$|^Huber", "numbers"),
]


def make_data(kind: str, n: int, rng: np.random.Generator) -> Data:
    """Values for `n` examples. Those that have gradients are floats."""
    if kind == "parameters":
        return {"parameters": {"weight": _floats(rng, (2, 3)), "bias": _floats(rng, (3,))}}
    if kind == "values":
        return {"y_pred": _floats(rng, (n, 3))}
    if kind == "numbers":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": _floats(rng, (n, 3))}
    if kind == "labels":
        return {"y_true": _integers(rng, 3, (n,)), "y_pred": _integers(rng, 3, (n,))}
    if kind == "binary":
        return {"y_true": _integers(rng, 2, (n, 3)), "y_pred": _uniform(rng, (n, 3))}
    labels = _integers(rng, 4, (n,))
    y_true = labels if kind == "class indices" else jnp.asarray(np.eye(4, dtype="float32")[np.asarray(labels)])
    return {"y_true": y_true, "y_pred": _uniform(rng, (n, 4))}


def _floats(rng: np.random.Generator, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.uniform(size=shape), jnp.float32)


def _integers(rng: np.random.Generator, high: int, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.integers(0, high, shape), jnp.int32)


def kind_of(cls: type[Any]) -> str:
    if "parameters" in request(cls().call):
        return "parameters"
    for pattern, kind in KINDS:
        if re.search(pattern, cls.__name__):
            return kind
    pytest.fail(f"No data is known for {cls.__name__}: add it to KINDS, so that the laws are tested for it.")


class Subject(NamedTuple):
    """Something that the laws are tested of."""

    thing: Any
    kind: str

    @property
    def is_loss(self) -> bool:
        return isinstance(self.thing, tg.Loss)

    @property
    def has_examples(self) -> bool:
        return self.kind != "parameters"

    def data(self, n: int, seed: int = 0) -> Data:
        return make_data(self.kind, n, np.random.default_rng(seed))

    def of(self, data: Data, weight: Any = None, reduce: Callable[..., Any] | None = None) -> Any:
        """The accumulators of one batch, as a model makes them."""
        term = make_term("loss" if self.is_loss else "metric", self.thing, "it")
        size = 3 if not self.has_examples else data["y_pred"].shape[0]
        if reduce is None:
            reduce = reducer(self.thing.reduction) if self.is_loss else Mean.of
        return parts(term, Batch({**data, "sample_weight": weight}, size, weight), reduce)

    def figure(self, data: Data, weight: Any = None, reduce: Callable[..., Any] | None = None) -> Any:
        return compute_all(self.of(data, weight, reduce))

    def reductions(self) -> list[Callable[..., Any] | None]:
        return [reducer(name) for name in ("sum_over_batch_size", "weighted_mean", "sum")] if self.is_loss else [None]


def every(test: Any) -> Any:
    variants = [
        pytest.param(cls, options, id=cls.__name__ + ("" if not options else "-" + "-".join(options)))
        for cls in CLASSES
        for options in [{}, *OPTIONS.get(cls.__name__, [])]
    ]
    return pytest.mark.parametrize("cls, options", variants)(test)


def subject(cls: Any, options: Data) -> Subject:
    return Subject(cls(**options), kind_of(cls))


def spec(tree: Any) -> Any:
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(tree)]


def weights(n: int, seed: int = 0) -> jax.Array:
    """Some of them 0."""
    return jnp.asarray(np.random.default_rng(seed).choice([0.0, 0.5, 1.0, 2.0], n), jnp.float32)


def test_the_package_is_walked():
    names = {cls.__name__ for cls in CLASSES}
    assert {"MeanSquaredError", "Accuracy", "GlobalL2", "Precision", "Mean"} <= names
    assert set(OPTIONS) <= names


@every
def test_jit_equals_eager(cls: Any, options: Data, tree_allclose: Any):
    it = subject(cls, options)
    data, weight = it.data(4), weights(4) if it.has_examples else None

    @eqx.filter_jit
    def jitted(thing: Any, data: Data, weight: Any) -> Any:
        return thing(**data, sample_weight=weight)

    eager = it.thing(**data, sample_weight=weight)
    assert tree_allclose(jitted(it.thing, data, weight), eager, rtol=1e-6)


@every
def test_any_batching_equals_one_batch(cls: Any, options: Data):
    it = subject(cls, options)
    if not it.has_examples:
        # The same in each batch, and so in all of them.
        data = it.data(3)
        for reduce in it.reductions()[:2]:
            one, two = it.of(data, None, reduce), it.of(data, None, reduce)
            np.testing.assert_allclose(compute_all(merge_all(one, two))[""], compute_all(one)[""], rtol=1e-6)
        return
    data = it.data(8)
    for reduce in it.reductions():
        for weight, cuts in ((None, [4]), (weights(8), [1, 4])):
            pieces = [
                it.of(
                    jax.tree.map(lambda a, i=i, j=j: a[i:j], data),
                    None if weight is None else weight[i:j],
                    reduce,
                )
                for i, j in zip([0, *cuts], [*cuts, 8], strict=True)
            ]
            whole, got = it.figure(data, weight, reduce), compute_all(functools.reduce(merge_all, pieces))
            assert list(got) == list(whole)
            for name in whole:
                np.testing.assert_allclose(got[name], whole[name], rtol=1e-6, atol=1e-6)


@every
@hypothesis.settings(max_examples=5, deadline=None)
@hypothesis.given(seeds=st.tuples(*[st.integers(0, 2**32 - 1)] * 3))
def test_merging_is_associative_and_commutative(cls: Any, options: Data, seeds: tuple[int, int, int]):
    it = subject(cls, options)
    of = [it.of(it.data(4, seed), weights(4, seed) if it.has_examples else None) for seed in seeds]
    a, b, c = of
    left, right = merge_all(merge_all(a, b), c), merge_all(a, merge_all(b, c))
    empty = jax.tree.map(lambda acc: acc.empty(), a, is_leaf=lambda x: isinstance(x, tg.Accumulator))
    pairs = [
        (left, right, 1e-6),
        (merge_all(a, b), merge_all(b, a), 1e-6),
        (merge_all(a, empty), a, 0),
        (merge_all(empty, a), a, 0),
    ]
    for one, other, rtol in pairs:
        assert spec(one) == spec(other)
        one, other = compute_all(one), compute_all(other)
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=rtol)


@every
def test_zero_weight_is_absence_even_where_the_value_is_nan(cls: Any, options: Data):
    it = subject(cls, options)
    if not it.has_examples:
        return
    data, kept = it.data(8), np.array([True, False, True, True, False, True, True, False])
    weight = np.where(kept, [1.0, 2.0, 3.0, 0.5, 1.0, 2.0, 1.0, 1.0], 0.0).astype("float32")

    def poisoned(a: jax.Array) -> jax.Array:
        gone = ~kept.reshape(-1, *[1] * (a.ndim - 1))
        # What makes the value NaN: an integer label that isn't a class does, too.
        return jnp.where(gone, jnp.nan if jnp.issubdtype(a.dtype, jnp.floating) else -7, a)

    present = jax.tree.map(lambda a: a[kept], data)
    for reduce in it.reductions():
        got = it.of(jax.tree.map(poisoned, data), jnp.asarray(weight), reduce)
        expected = it.of(present, jnp.asarray(weight[kept]), reduce)
        if reduce is Mean.of_examples:
            # Σwl / N: the examples of weight 0 are among the N.
            got = {k: acc.total for k, acc in got.items()}
            expected = {k: acc.total for k, acc in expected.items()}
        else:
            got, expected = compute_all(got), compute_all(expected)
        for name in expected:
            assert np.all(np.isfinite(got[name]))
            np.testing.assert_allclose(got[name], expected[name], rtol=1e-6)


@every
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_accumulated_in_float32(cls: Any, options: Data, dtype: Any):
    it = subject(cls, options)

    def halved(a: jax.Array) -> jax.Array:
        return a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a

    data = jax.tree.map(halved, it.data(4))
    weight = jnp.ones(4, dtype) if it.has_examples else None
    accumulators = it.of(data, weight)
    assert {leaf.dtype for leaf in jax.tree.leaves(accumulators)} == {jnp.dtype("float32")}
    got = compute_all(accumulators)
    # The very same numbers, computed in single precision from the beginning.
    exact = jax.tree.map(lambda a: a.astype(jnp.float32) if a.dtype == dtype else a, data)
    expected = it.figure(exact, None if weight is None else weight.astype(jnp.float32))
    for name in expected:
        assert got[name].dtype == jnp.float32
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-6)


@every
def test_merging_compiles_once(cls: Any, options: Data):
    it = subject(cls, options)
    traces = 0

    @jax.jit
    def step(sums: Any, other: Any) -> Any:
        nonlocal traces
        traces += 1
        return merge_all(sums, other)

    batch = it.of(it.data(4))
    sums = jax.tree.map(lambda acc: acc.empty(), batch, is_leaf=lambda x: isinstance(x, tg.Accumulator))
    for _ in range(3):
        sums = step(sums, batch)
        assert spec(sums) == spec(batch)
    assert traces == 1


@every
def test_vmap_equals_a_loop(cls: Any, options: Data):
    it = subject(cls, options)
    sets = [it.data(4, seed) for seed in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *sets)
    got = jax.vmap(it.figure)(stacked)
    for i, data in enumerate(sets):
        for name, expected in it.figure(data).items():
            np.testing.assert_allclose(got[name][i], expected, rtol=1e-6)


@every
def test_gradients_are_finite(cls: Any, options: Data):
    it = subject(cls, options)
    if not it.is_loss:
        return
    name = "y_pred" if it.has_examples else "parameters"
    data = it.data(4)
    with_logits = [it.thing]
    if hasattr(it.thing, "from_logits"):
        with_logits.append(cls(**options, from_logits=True))
    # Where logarithms, roots and absolute values are at their worst: at 0, at 1, where nothing is wrong, far away.
    floats = {k: v for k, v in data.items() if k == name}
    worst = [
        floats,
        *(jax.tree.map(lambda a, c=c: jnp.full_like(a, c), floats) for c in (0.0, 1.0, 1e-30, 1e4, -1e4)),
    ]
    if it.kind in ("numbers", "distributions"):
        worst.append({name: data["y_true"]})
    for thing in with_logits:

        @eqx.filter_jit
        def gradient(values: Any, thing: Any = thing) -> Any:
            return jax.grad(lambda v: thing(**{**data, name: v}))(values)

        for values in worst:
            leaves = jax.tree.leaves(gradient(values[name]))
            assert leaves and all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)


@every
def test_nothing_is_computed_for_a_contract(cls: Any, options: Data):
    # Contracts, shapes and dtypes are known without data, by which a model is checked.
    it = subject(cls, options)
    data = it.data(4)
    shapes = jax.eval_shape(it.figure, data)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), shapes) == jax.tree.map(
        lambda a: (a.shape, a.dtype), it.figure(data)
    )


def test_a_class_without_data_fails():
    class Unheard(tg.Loss):
        def call(self, y_pred: Any) -> Any:
            return y_pred

    with pytest.raises(pytest.fail.Exception, match="No data is known for Unheard"):
        kind_of(Unheard)
