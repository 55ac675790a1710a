"""Class weights: the same as `sample_weight` computed by hand, whatever form labels have."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers import Same

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N, CLASSES, TIME = 12, 3, 4
TABLE = {0: 0.5, 1: 2.0, 2: 7.0}
WEIGHTS = np.array(list(TABLE.values()), "float32")

LABELS = RNG.integers(0, CLASSES, N)
TOKENS = RNG.integers(0, CLASSES, (N, TIME))
# As the labels of two classes are: exactly one 1 in each row, which isn't one-hot for all that.
BINARY_TOKENS = np.eye(TIME, dtype="int64")[RNG.integers(0, TIME, N)]
SPARSE = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
DENSE = tg.losses.CategoricalCrossentropy(from_logits=True)
BINARY = tg.losses.BinaryCrossentropy(from_logits=True)


REDUCTIONS = ("sum_over_batch_size", "weighted_mean", "sum")


def logits(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("float32")


# The loss, what it is given, its labels, and the weight of each of its values.
FORMS: dict[str, tuple[Any, Any, Any, Any]] = {
    "indices": (SPARSE, logits(N, CLASSES), LABELS, WEIGHTS[LABELS]),
    "small integers": (SPARSE, logits(N, CLASSES), LABELS.astype("uint8"), WEIGHTS[LABELS]),
    "tokens": (SPARSE, logits(N, TIME, CLASSES), TOKENS, WEIGHTS[TOKENS]),
    "tokens of two classes": (SPARSE, logits(N, TIME, CLASSES), BINARY_TOKENS, WEIGHTS[BINARY_TOKENS]),
    "one-hot": (DENSE, logits(N, CLASSES), np.eye(CLASSES, dtype="float32")[LABELS], WEIGHTS[LABELS]),
    "one-hot integers": (DENSE, logits(N, CLASSES), np.eye(CLASSES, dtype="int32")[LABELS], WEIGHTS[LABELS]),
    "one-hot tokens": (DENSE, logits(N, TIME, CLASSES), np.eye(CLASSES, dtype="float32")[TOKENS], WEIGHTS[TOKENS]),
    "two classes": (BINARY, logits(N), LABELS % 2, WEIGHTS[LABELS % 2]),
    "a column": (BINARY, logits(N, 1), (LABELS % 2)[:, None].astype("float32"), WEIGHTS[LABELS % 2]),
    "a column of tokens": (BINARY, logits(N, TIME, 1), (TOKENS % 2)[..., None], WEIGHTS[TOKENS % 2]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("reduction", "given"),
    [
        ("sum_over_batch_size", False),
        ("weighted_mean", True),
        *(pytest.param(r, g, marks=pytest.mark.slow) for r in REDUCTIONS for g in (False, True)),
    ],
)
def test_they_equal_sample_weights_by_hand(form, reduction, given):
    loss, x, y, weight = FORMS[form]
    model = tg.Model(Same(), loss=type(loss)(from_logits=True, reduction=reduction))
    own = RNG.uniform(0.5, 2, N).astype("float32") if given else None
    own_axes = None if own is None else own.reshape(N, *[1] * (weight.ndim - 1))
    by_hand = weight if own_axes is None else (weight * own_axes).astype("float32")
    for size in (N, 5):
        found = model.evaluate(x, y, batch_size=size, class_weight=TABLE, sample_weight=own, verbose=0)
        expected = model.evaluate(x, y, batch_size=size, sample_weight=by_hand, verbose=0)
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "none"])
def test_a_loss_that_is_called_by_hand_takes_them(form, reduction):
    loss, x, y, weight = FORMS[form]
    loss = dataclasses.replace(loss, reduction=reduction)
    expected = loss(y, x, sample_weight=np.asarray(weight, "float32"))
    for given in (TABLE, WEIGHTS):
        np.testing.assert_allclose(loss(y, x, class_weight=given), expected, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_they_are_the_same_from_batches_under_jit_and_step_by_step(form):
    loss, x, y, _ = FORMS[form]
    model = tg.Model(Same(), loss=loss)
    expected = model.evaluate(x, y, batch_size=N, class_weight=TABLE, verbose=0)["loss"]
    batches = [(x[:7], y[:7]), (x[7:], y[7:])]
    assert model.evaluate(iter(batches), class_weight=TABLE, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(x, y, class_weight=TABLE)[1]["loss"] == pytest.approx(expected, rel=1e-5)
    jitted = eqx.filter_jit(lambda x, y: model.test_on_batch(x, y, class_weight=TABLE)[1]["loss"])
    assert jitted(jnp.asarray(x), jnp.asarray(y)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["arrays", "batches", "on batch", "eagerly"])
def test_a_label_without_a_weight_is_an_error_in_all_forms(form, how):
    loss, x, y, _ = FORMS[form]
    missing = int(np.max(y if y.shape != x.shape or y.shape[-1:] == (1,) or y.ndim == 1 else np.argmax(y, axis=-1)))
    table = {c: w for c, w in TABLE.items() if c != missing}
    model = tg.Model(Same(), loss=loss)
    calls = {
        "arrays": lambda: model.evaluate(x, y, class_weight=table, verbose=0),
        "batches": lambda: model.evaluate(iter([(x[:5], y[:5]), (x[5:], y[5:])]), class_weight=table, verbose=0),
        "on batch": lambda: model.test_on_batch(x, y, class_weight=table),
        "eagerly": lambda: model.replace(run_eagerly=True).evaluate(x, y, class_weight=table, verbose=0),
    }
    with pytest.raises(tg.DataError, match=f"`class_weight` has no weight for class {missing}, which occurs in `y`"):
        calls[how]()


SEVERAL = RNG.integers(0, 2, (N, CLASSES)).astype("float32")
SIGMOIDS = 1 / (1 + np.exp(-logits(N, CLASSES)))
SEVERAL_LABELS = [
    cls
    for cls in (getattr(tg.losses, name) for name in dir(tg.losses))
    if isinstance(cls, type) and getattr(cls, "several_labels", False)
]


@pytest.mark.parametrize("cls", SEVERAL_LABELS)
@pytest.mark.parametrize("size", [N, 1, 5])
def test_each_of_several_labels_has_the_weight_of_its_column(cls, size):
    x = logits(N, CLASSES) if cls is tg.losses.SigmoidFocal else SIGMOIDS.astype("float32")
    model = tg.Model(Same(), loss=cls())
    columns = [tg.Model(Same(), loss=cls()).evaluate(x[:, i], SEVERAL[:, i], verbose=0)["loss"] for i in range(CLASSES)]
    found = model.evaluate(x, SEVERAL, class_weight=TABLE, batch_size=size, verbose=0)["loss"]
    assert found == pytest.approx(np.mean(WEIGHTS * columns), rel=1e-5)


def test_several_labels_trained_on_have_the_gradient_of_the_weighted_columns():
    net = eqx.nn.Linear(4, CLASSES, key=jax.random.key(0))
    x = RNG.normal(size=(N, 4)).astype("float32")

    def by_hand(net):
        z = jax.vmap(net)(x)
        each = jnp.logaddexp(0.0, z) - SEVERAL * z
        return jnp.mean(WEIGHTS[None] * each)

    model = tg.Model(net, loss=BINARY)
    *_, grads = model.grad_step(x=x, y_true=SEVERAL, class_weight=jnp.asarray(WEIGHTS), training=True)
    expected = eqx.filter_grad(by_hand)(net)
    np.testing.assert_allclose(grads.weight, expected.weight, rtol=1e-4, atol=1e-6)


def test_columns_without_a_weight_are_an_error():
    model = tg.Model(Same(), loss=BINARY)
    with pytest.raises(
        tg.DataError, match="no weight for class 2, of which `y` has a column; there are weights for 0, 1"
    ):
        model.evaluate(logits(N, CLASSES), SEVERAL, class_weight={0: 1.0, 1: 3.0}, verbose=0)


def test_several_labels_a_row_are_refused_where_one_is_meant():
    model = tg.Model(Same(), loss=DENSE)
    y = np.eye(CLASSES, dtype="float32")[LABELS]
    y[3] = [1, 1, 0]
    with pytest.raises(tg.DataError, match=r"`y` has the row \[1, 1, 0\], which is not one-hot.* `BinaryCrossentropy`"):
        model.evaluate(logits(N, CLASSES), y, class_weight=TABLE, verbose=0)
    jitted = eqx.filter_jit(lambda y: model.test_on_batch(logits(N, CLASSES), y, class_weight=TABLE)[1]["loss"])
    assert np.isnan(jitted(jnp.asarray(y))), "what can't be looked at is NaN, not something that looks right"


def test_by_output_they_are_selected_as_labels_are():
    x, other = logits(N, CLASSES), (LABELS + 1) % 3
    losses = [tg.losses.SparseCategoricalCrossentropy(from_logits=True, on=name, name=name) for name in "abc"]
    model = tg.Model(lambda x: {"a": x, "b": x, "c": x}, loss=losses)
    y = {"a": LABELS, "b": other, "c": LABELS}
    tables: dict[str, Any] = {"a": TABLE, "b": [1.0, 2.0, 3.0], "c": None}
    logs = model.evaluate(x, y, class_weight=tables, verbose=0)
    weights = {"a": WEIGHTS[LABELS], "b": np.array([1, 2, 3], "float32")[other], "c": np.ones(N, "float32")}
    expected = model.evaluate(x, y, sample_weight=weights, verbose=0)
    for name in "abc":
        assert logs[f"{name}_loss"] == pytest.approx(expected[f"{name}_loss"], rel=1e-5)


def test_by_output_without_on_they_are_refused():
    model = tg.Model(Same(), loss=SPARSE)
    with pytest.raises(tg.ContractError, match=r"needs the weights of one output: choose them with `on=`"):
        model.evaluate(logits(N, CLASSES), LABELS, class_weight={"a": TABLE}, verbose=0)


def test_what_is_ignored_or_absent_needs_no_weight():
    x, y = logits(N, CLASSES), LABELS.copy()
    y[2] = -1
    ignoring = tg.Model(Same(), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1))
    without = np.arange(N) != 2
    expected = ignoring.evaluate(x[without], y[without], class_weight=TABLE, verbose=0)["loss"]
    assert ignoring.evaluate(x, y, class_weight=TABLE, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)
    model = tg.Model(Same(), loss=SPARSE)
    found = model.evaluate(x, y, class_weight=TABLE, sample_weight=without.astype("float32"), verbose=0)["loss"]
    assert found == pytest.approx(expected * (N - 1) / N, rel=1e-5)


def test_a_class_that_would_need_a_table_of_that_length_is_refused():
    model = tg.Model(Same(), loss=SPARSE)
    with pytest.raises(tg.DataError, match="the key 1099511627776; more than 10000000 classes"):
        model.evaluate(logits(N, CLASSES), LABELS, class_weight={2**40: 1.0}, verbose=0)
