"""The laws of accumulators, and that long epochs lose nothing."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from treegy._terms._accumulator import Scaled, Total, compute_all

pytestmark = pytest.mark.once

few = hypothesis.settings(max_examples=20, deadline=None)
numbers = st.floats(-1e3, 1e3, width=32)
# Five values each, so that nothing is compiled twice.
batches = st.lists(numbers, min_size=5, max_size=5).map(lambda v: np.array(v, np.float32))
weights = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=5, max_size=5).map(lambda v: np.array(v, np.float32))
kinds = st.sampled_from([tg.Sum.of, tg.Mean.of, tg.Mean.of_examples])
shapes: dict[str, Callable[[Any], Any]] = {
    "plain": lambda a: a,
    "scaled": lambda a: Scaled(a, 2.5),
    "total": lambda a: Total([a, Scaled(a, 0.5)]),
}
wrappers = st.sampled_from(sorted(shapes))


def close(a: Any, b: Any, scale: float = 1.0) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * scale)


@few
@hypothesis.given(st.lists(st.tuples(batches, weights), min_size=3, max_size=3), kinds, wrappers)
def test_laws(parts: Any, of: Any, wrapper: str):
    a, b, c = (shapes[wrapper](of(jnp.asarray(v), jnp.asarray(w))) for v, w in parts)
    scale = float(max(np.abs(v).max() for v, _ in parts)) + 1
    close(a.merge(b).merge(c).compute(), a.merge(b.merge(c)).compute(), scale)
    close(a.merge(b).compute(), b.merge(a).compute(), scale)
    empty = a.empty()
    assert jax.tree.structure(empty) == jax.tree.structure(a)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), empty) == jax.tree.map(lambda x: (x.shape, x.dtype), a)
    for merged in (a.merge(empty), empty.merge(a), empty.merge(a).merge(empty)):
        np.testing.assert_array_equal(merged.compute(), a.compute())
    np.testing.assert_array_equal(empty.merge(empty).compute(), 0)
    # Also for an `empty()` made of shapes alone, as before the first batch.
    zeros = jax.tree.map(jnp.zeros_like, a).empty()
    np.testing.assert_array_equal(zeros.merge(a).compute(), a.compute())


@few
@hypothesis.given(batches, weights, batches, weights, kinds)
def test_two_batches_are_one(v: Any, w: Any, u: Any, x: Any, of: Any):
    whole = of(jnp.concatenate([v, u]), jnp.concatenate([w, x]))
    cut = of(jnp.asarray(v), jnp.asarray(w)).merge(of(jnp.asarray(u), jnp.asarray(x)))
    close(whole.compute(), cut.compute(), float(np.abs([v, u]).max()) + 1)


@few
@hypothesis.given(batches, weights)
def test_formulas(v: Any, w: Any):
    values, weight = jnp.asarray(v), jnp.asarray(w)
    v, w = v.astype(np.float64), w.astype(np.float64)
    scale = float(np.abs(v).max()) + 1
    close(tg.Sum.of(values, weight).compute(), (v * w).sum(), scale)
    close(tg.Mean.of(values, weight).compute(), (v * w).sum() / w.sum() if w.sum() else 0, scale)
    close(tg.Mean.of_examples(values, weight).compute(), (v * w).sum() / 5, scale)
    close(tg.Mean.of_examples(values, weight, weight > 0).compute(), (v * w).sum() / max((w > 0).sum(), 1), scale)


@few
@hypothesis.given(batches, st.lists(st.booleans(), min_size=5, max_size=5), kinds)
def test_what_does_not_count_may_be_nan(v: Any, kept: Any, of: Any):
    keep = np.array(kept)
    values = jnp.where(keep, jnp.asarray(v), jnp.nan)
    masked = of(values, None, jnp.asarray(keep)).compute()
    assert jnp.isfinite(masked)
    expected = {"Sum": v[keep].sum(), "Mean": v[keep].mean() if keep.any() else 0}
    close(masked, expected[of.__qualname__.split(".")[0]], float(np.abs(v).max()) + 1)
    weight = keep.astype(np.float32)
    close(tg.Sum.of(values, weight).compute(), expected["Sum"], float(np.abs(v).max()) + 1)
    close(tg.Mean.of(values, weight).compute(), expected["Mean"], float(np.abs(v).max()) + 1)
    # Where the values don't count, neither do their gradients.
    gradient = jax.grad(lambda values: of(values, None, jnp.asarray(keep)).compute())(values)
    assert jnp.all(jnp.isfinite(gradient)) and jnp.all(jnp.where(keep, 0, gradient) == 0)


def test_masks_and_weights_line_up_with_the_batch():
    values = jnp.arange(6.0).reshape(2, 3)
    assert float(tg.Sum.of(values, jnp.array([1.0, 10.0]))) == 3 + 120
    assert float(tg.Mean.of(values, mask=jnp.array([False, True]))) == 4
    assert float(tg.Mean.of(values, jnp.array([1.0, 3.0]), values < 4)) == pytest.approx((3 + 9) / 6)
    with pytest.raises(tg.ContractError, match=r"`sample_weight` f32\[3\] doesn't line up with the values f32\[2,3\]"):
        tg.Mean.of(values, jnp.ones(3))
    with pytest.raises(tg.ContractError, match=r"Pass `sample_weight\[\.\.\., 0\]`"):
        tg.Mean.of(values[:, 0], jnp.ones((2, 1)))


@pytest.mark.parametrize("kind", [tg.Sum, tg.Mean])
def test_many_additions_are_as_exact_as_in_float64(kind: Any):
    values = jax.random.uniform(jax.random.key(0), (200_000,)) + 0.1

    def add(sums: Any, value: Any) -> Any:
        return sums.merge(kind.of(value[None])), None

    sums, _ = jax.jit(lambda values: jax.lax.scan(add, kind.of(values[:1]).empty(), values))(values)
    exact = np.asarray(values, np.float64)
    expected = exact.sum() if kind is tg.Sum else exact.mean()
    np.testing.assert_allclose(float(sums), expected, rtol=1e-7)
    if kind is tg.Mean:
        assert float(sums.count) == 200_000


def test_counts_beyond_what_float32_counts():
    # One more than 2^24 is 2^24 in float32.
    start = tg.Mean(2.0**24, 2.0**24)

    def add(_: Any, sums: Any) -> Any:
        return sums.merge(tg.Mean(0.0, 1.0))

    sums = jax.jit(lambda sums: jax.lax.fori_loop(0, 1001, add, sums))(start)
    assert float(sums.count) + float(sums.rest[1]) == 2**24 + 1001
    np.testing.assert_allclose(float(sums), 2**24 / (2**24 + 1001), rtol=1e-7)


def test_small_weights_after_large_ones_are_not_lost():
    sums = tg.Sum(1e8)
    for _ in range(100):
        sums = sums.merge(tg.Sum(0.5))
    assert float(sums.total) + float(sums.rest) == 1e8 + 50


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_what_is_not_finite_shows(bad: float):
    sums = tg.Mean.of(jnp.array([1.0, bad])).merge(tg.Mean.of(jnp.array([1.0, 2.0])))
    np.testing.assert_array_equal(float(sums), bad)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "float16", "bfloat16", "float32"])
def test_everything_is_summed_in_float32(dtype: str):
    for of in (tg.Sum.of, tg.Mean.of, tg.Mean.of_examples):
        sums: Any = of(jnp.ones(3, dtype), jnp.ones(3, dtype))
        assert {leaf.dtype for leaf in jax.tree.leaves(sums.merge(sums.empty()))} == {jnp.dtype("float32")}
    # 2049 isn't a float16, and 257 no bfloat16.
    assert float(tg.Sum.of(jnp.ones(2049, dtype))) == 2049


def test_float64_stays():
    with jax.enable_x64(True):
        sums = tg.Mean.of(jnp.array([1.0, 1e-12])).merge(tg.Mean.of(jnp.array([0.0])))
        assert sums.compute().dtype == jnp.float64
        np.testing.assert_allclose(float(sums), (1 + 1e-12) / 3, rtol=1e-15)


def test_elementwise_sums():
    sums = tg.Mean(jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0])).merge(tg.Mean(jnp.array([3.0, 0.0]), jnp.ones(2)))
    np.testing.assert_allclose(sums.compute(), [2, 2])


def test_a_figure_of_a_whole_batch_counts_once_for_each_example():
    sums = tg.Mean.of_batch(1.0, 3).merge(tg.Mean.of_batch(5.0, 1))
    assert float(sums) == 2


class Several(tg.Accumulator):
    """One that shows several values."""

    part: Any

    def empty(self) -> Any:
        return Several(self.part.empty())

    def merge(self, other: Any) -> Any:
        return Several(self.part.merge(other.part))

    def compute(self) -> Any:
        return OrderedDict(b=self.part.compute(), a={"d": self.part.compute()})


def test_figures_of_several_get_names_and_overwrite_nothing():
    several, one = Several(tg.Sum(1.0)), tg.Sum(2.0)
    found = compute_all(OrderedDict({"": several, "it": several, "it/b": one}))
    assert [(name, float(figure)) for name, figure in found.items()] == [
        ("b", 1),
        ("a/d", 1),
        ("it/b_1", 1),
        ("it/a/d", 1),
        ("it/b", 2),
    ]
