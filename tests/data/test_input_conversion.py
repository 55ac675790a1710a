"""No value changes in silence between the user's arrays and a step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

pytestmark = pytest.mark.once

LARGE = 2**40 + 7
X = np.ones((6, 3), "float32")
Y = np.ones((6, 1), "float32")


class Net(eqx.Module):
    w: jax.Array

    def __call__(self, x: Any) -> Any:
        sums = [jnp.sum(jnp.real(leaf).astype(jnp.float32)) for leaf in jax.tree.leaves(x)]
        return jnp.sum(jnp.stack(sums))[None] * self.w


def loss(y_true, y_pred):
    return jnp.sum(
        (y_pred - jnp.real(jax.tree.leaves(y_true)[0]).astype(jnp.float32).reshape(y_pred.shape)) ** 2, axis=-1
    )


MODEL = tg.Model(Net(jnp.ones(1)), loss=loss, optimizer=optax.sgd(1e-3))


def spoiled(shape: Any, dtype: str, value: Any) -> np.ndarray:
    array = np.ones(shape, dtype)
    array[4] = value
    return array


VALUES = {
    "int64": (spoiled((6, 1), "int64", LARGE), f"int64 that holds {LARGE}, .* int32"),
    "negative": (spoiled((6, 1), "int64", -LARGE), f"int64 that holds -{LARGE}, .* int32"),
    "uint64": (spoiled((6, 1), "uint64", LARGE), f"uint64 that holds {LARGE}, .* uint32"),
    "float64": (spoiled((6, 1), "float64", 1e300), r"float64 that holds 1e\+300, .* float32"),
    "complex128": (spoiled((6, 1), "complex128", 1e300j), r"float64 that holds 1e\+300, .* float32"),
}


def ways(x: Any, y: Any, weight: Any) -> dict[str, Any]:
    """All ways for data to come in."""
    first = ({"x": x}, {"b": y}, weight)

    def cut() -> Any:
        return iter([jax.tree.map(lambda a, at=at: a[at], first) for at in (slice(3), slice(3, 6))])

    model = MODEL.init({"x": X}, {"b": Y})
    return {
        "fit": lambda: MODEL.fit(*first[:2], sample_weight=weight, batch_size=3, verbose=0),
        "fit batches": lambda: MODEL.fit(cut(), verbose=0),
        "validation_data": lambda: MODEL.fit({"x": X}, {"b": Y}, validation_data=first, verbose=0),
        "evaluate": lambda: MODEL.evaluate(*first[:2], sample_weight=weight, batch_size=3, verbose=0),
        "evaluate batches": lambda: MODEL.evaluate(cut(), verbose=0),
        "train_on_batch": lambda: model.train_on_batch(*first),
        "test_on_batch": lambda: model.test_on_batch(*first),
    }


def names() -> list[str]:
    return list(ways(X, Y, None))


@pytest.mark.parametrize("way", names())
@pytest.mark.parametrize("value", VALUES)
def test_numbers_that_do_not_fit_are_refused_and_named(way, value):
    array, match = VALUES[value]
    one = np.ones(6, "float32")
    with pytest.raises(tg.DataError, match=rf"`x\['x'\]` is an array of {match}"):
        ways(array, Y, one)[way]()
    with pytest.raises(tg.DataError, match=rf"`y\['b'\]` is an array of {match}"):
        ways(X, array, one)[way]()
    if array.dtype.kind != "c":
        with pytest.raises(tg.DataError, match=rf"`sample_weight` is an array of {match}"):
            ways(X, Y, array[:, 0])[way]()


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_to_predict_too(method):
    with pytest.raises(tg.DataError, match="`x` is an array of int64"):
        getattr(MODEL, method)(VALUES["int64"][0])


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64"])
def test_what_fits_stays_what_it_is(dtype):
    info: Any = np.iinfo("int32") if dtype[0] == "i" else np.iinfo("uint32") if dtype[0] == "u" else np.finfo("float32")
    x = np.array([info.min, 0, 1, info.max], dtype)
    found = tg.Model(lambda x: x).predict(x)
    np.testing.assert_array_equal(np.asarray(found).astype(dtype), x)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(value):
    x = np.array([value, 1.0])
    np.testing.assert_array_equal(tg.Model(lambda x: x).predict(x), x)


def test_with_64_bits_all_of_them_fit():
    with jax.enable_x64(True):
        found = tg.Model(lambda x: x).predict(np.array([LARGE, 3]))
        assert found.dtype == "int64" and found[0] == LARGE


@pytest.mark.parametrize("values", [[2**70, 1, 3], [2**63, -1, 3], [1.5, 2**64], [[1, 2], [3, -(2**64)]]])
def test_integers_too_large_for_numpy_are_named(values):
    with pytest.raises(tg.DataError, match=r"`x` holds the integer -?\d{19,22}, which doesn't fit into 64 bits"):
        tg.Model(lambda x: x).predict(values)


# Masked arrays


@pytest.mark.parametrize("way", names())
def test_a_mask_is_not_dropped(way):
    masked = np.ma.array(X, mask=np.arange(18).reshape(6, 3) == 13)
    with pytest.raises(tg.DataError, match=r"masked array, of which 1 values are masked.* `sample_weight`"):
        ways(masked, Y, None)[way]()
    with pytest.raises(tg.DataError, match="masked array"):
        ways(X, np.ma.array(Y, mask=Y > 0), None)[way]()


def test_an_array_of_which_nothing_is_masked_is_an_array():
    found = MODEL.predict(np.ma.array(X))
    np.testing.assert_allclose(found, MODEL.predict(X))


# What can't be read


def test_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(tg.DataError, match=r"`x` is a sparse matrix of shape \(6, 3\).* `x.toarray\(\)`"):
        MODEL.fit(sparse.csr_matrix(X), Y, verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_deleted_arrays(method):
    x = jnp.asarray(X)
    x.delete()
    with pytest.raises(tg.DataError, match=r"`x` is an array f32\[6,3\] that was deleted"):
        getattr(MODEL, method)(x, Y)


def test_keys_that_jax_cannot_order():
    with pytest.raises(tg.DataError, match=r"`x` is {0: f32\[6,3\], 'a': f32\[6,3\]}, .* all strings, or all integers"):
        MODEL.fit({0: X, "a": X}, Y, verbose=0)


class Unreadable:
    shape, dtype = (6, 3), "float32"

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self) -> Any: ...


def test_tensors_that_do_not_give_their_numbers():
    with pytest.raises(
        tg.DataError, match=r"an instance of Unreadable which can't be read .* requires grad\. A tensor"
    ):
        MODEL.predict(Unreadable())


# Lists of examples


@pytest.mark.parametrize("rows", [list(X), [np.zeros(3, "f4")] * 20_000], ids=["few", "many"])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_rows_that_are_not_stacked(method, rows):
    model = tg.Model(eqx.nn.Linear(3, 1, key=jax.random.key(0)), loss=loss, optimizer=optax.sgd(0.1))
    data = (rows,) if method == "predict" else (rows, np.ones((len(rows), 1)))
    with pytest.raises((tg.DataError, TypeError)) as error:
        getattr(model, method)(*data, verbose=0)
    said = " ".join([str(error.value), *error.value.__notes__])
    assert f"`x` is a list of {len(rows)} arrays f32[3]" in said and "`np.stack(x)`" in said and len(said) < 2000


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_pairs_of_examples_and_labels(method):
    # What a data set of PyTorch gives, example by example.
    pairs = [(row, int(label)) for row, label in zip(X, np.arange(len(X)), strict=True)]
    with pytest.raises(tg.DataError) as error:
        getattr(MODEL, method)(pairs, verbose=0)
    (note,) = error.value.__notes__
    assert note.startswith(f"`x` is a list of {len(X)} pairs of an array and a number, which was taken for that many")
    x, y = map(np.stack, zip(*pairs, strict=True))
    assert x.shape == X.shape and y.shape == (len(X),)


def test_labels_that_are_not_stacked():
    with pytest.raises(tg.DataError) as error:
        MODEL.fit(X, list(Y), verbose=0)
    assert any("`np.stack(y)`" in note for note in error.value.__notes__)


# The split of the data


@pytest.mark.parametrize("n", [2, 3, 5, 7, 10, 49, 100, 999])
def test_a_split_is_that_of_pencil_and_paper(n):
    count = tg.metrics.Sum(of=lambda y_true: jnp.ones(len(y_true)), name="count")
    model = tg.Model(Net(jnp.ones(1)), loss=loss, optimizer=optax.sgd(1e-6), metrics=count)
    for k in sorted({1, n // 3 or 1, n // 2 or 1, n - 1}):
        _, history = model.fit(np.ones((n, 1)), np.ones((n, 1)), batch_size=n, validation_split=k / n, verbose=0)
        assert (history["count"], history["val_count"]) == ([n - k], [k])
