"""What tables, frames, mappings and files give is what their formats say, or is refused: never something else."""

import collections
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg

pytestmark = pytest.mark.once

N = 12
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
Y = np.arange(N) % 2
SGD = optax.sgd(0.1)


class OfPixels(eqx.Module):
    net: eqx.nn.MLP

    def __call__(self, pixels):
        return self.net(pixels)


def net(outputs: int = 2) -> Any:
    return eqx.nn.MLP(3, outputs, 4, 1, key=jax.random.key(0))


def classifier(module: Any = None) -> tg.Model[Any]:
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    return tg.Model(net() if module is None else module, loss=loss, optimizer=SGD)


def given(x: Any, **arguments: Any) -> Any:
    """What reaches a module of such data."""
    options: dict[str, Any] = {"batch_size": 5, **arguments}
    return tg.Model(lambda x: x).predict(x, **options)


# Hugging Face


@pytest.fixture
def table() -> Any:
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets isn't installed")
    return datasets.Dataset.from_dict({"pixels": X.tolist(), "label": Y.tolist(), "other": [0.5] * N})


@pytest.mark.parametrize("form", [None, "numpy", "torch", "jax", "pandas", "arrow"])
def test_a_table_gives_the_columns_of_its_format(table, form):
    data = table.with_format(form, columns=["pixels"])
    found = tg.Model(OfPixels(net())).predict(data, batch_size=5)
    assert np.allclose(found, tg.Model(OfPixels(net())).predict({"pixels": X}), atol=1e-6)
    with pytest.raises(tg.InjectionError, match="asks for `label`, which is not available"):
        tg.Model(lambda label: label).predict(data)


def test_a_dtype_that_a_format_asks_for_is_that_of_the_arrays(table):
    assert given(table.with_format("numpy", dtype=np.float16)["pixels"]).dtype == np.float16
    assert given(table.with_format("numpy")["label"]).dtype == np.int32


def test_a_transform_is_applied_once_to_all_columns_of_a_row(table):
    """One that draws at random draws the same for all of them."""
    draws = np.random.default_rng(1)

    def noisy(rows: Any) -> Any:
        noise = draws.normal(size=len(rows["pixels"])).astype(np.float32)
        return {"a": noise, "b": noise, "n": np.array(rows["label"])}

    found = tg.Model(lambda a, b, n: (a, b, n)).predict(table.with_transform(noisy), batch_size=5)
    assert np.array_equal(found[0], found[1]) and len(np.unique(found[0])) == N
    assert np.array_equal(found[2], Y)


def test_a_column_of_a_transformed_table_is_transformed(table):
    double = table.with_transform(lambda rows: {**rows, "pixels": 2 * np.array(rows["pixels"], np.float32)})
    assert np.allclose(given(double["pixels"]), 2 * X, atol=1e-6)


def test_augmentations_differ_between_epochs(table):
    """A transform is applied whenever a row is read."""
    seen: list[float] = []
    draws = np.random.default_rng(1)

    def noisy(rows: Any) -> Any:
        found = draws.normal(size=(len(rows["pixels"]), 3)).astype(np.float32)
        seen.extend(found[:, 0].tolist())
        return {"pixels": found}

    model = tg.Model(OfPixels(net()), loss=lambda y_pred: y_pred[..., 0], optimizer=SGD)
    model.fit(table.with_transform(noisy), epochs=2, batch_size=4, shuffle=False, verbose=0)
    assert len(set(seen)) == len(seen) >= 2 * N


DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool", "float16", "float32", "float64"]


@pytest.mark.parametrize("where", [0, 5, N - 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_missing_value_of_a_table_is_no_number(dtype, where):
    """It is refused, and named; or NaN, where there is one."""
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets isn't installed")
    values: list[Any] = [bool(v) if dtype == "bool" else int(v) for v in Y]
    values[where] = None
    features = datasets.Features({"y": datasets.Value(dtype)})
    data = datasets.Dataset.from_dict({"y": values}, features=features)
    for form in (None, "numpy"):
        try:
            found = np.asarray(given(data.with_format(form)["y"]))
        except tg.DataError as error:
            assert "`x` has a missing value in row" in str(error) or "objects" in str(error)
        else:
            assert found.dtype.kind == "f" and np.isnan(found[where])
            assert np.array_equal(np.delete(found, where), np.delete(Y, where))
    with pytest.raises((tg.DataError, tg.ContractError), match="`y|y_true"):
        classifier().fit(X, data.with_format("numpy")["y"], batch_size=4, verbose=0)


@pytest.mark.parametrize("batch_size", [1, 4, N])
@pytest.mark.parametrize("length", [0, 1, 2, 4])
@pytest.mark.parametrize("where", [1, N - 1])
@pytest.mark.parametrize("form", [None, "numpy"])
def test_rows_of_several_lengths_are_refused(form, where, length, batch_size):
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets isn't installed")
    rows = X.tolist()
    rows[where] = [1.0] * length
    data = datasets.Dataset.from_dict({"x": rows}).with_format(form)
    with pytest.raises(tg.DataError, match=rf"`x` has f32\[{length}\] in row {where}, and f32\[3\] in row 0"):
        tg.Model(net()).predict(data["x"], batch_size=batch_size)
    with pytest.raises(tg.DataError, match=rf"`x\['x'\]` has f32\[{length}\] in row {where}, and f32\[3\] in row 0"):
        tg.Model(lambda x: x).predict(data, batch_size=batch_size)


# Frames


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_of_numbers_of_several_dtypes_is_numbers(library):
    frames: Any = pytest.importorskip(library, reason=f"{library} isn't installed")
    data = {"a": X[:, 0], "b": X[:, 1], "c": Y == 1}
    expected = np.stack([X[:, 0], X[:, 1], Y], 1)
    assert np.allclose(given(frames.DataFrame(data)), expected)
    assert np.array_equal(given(frames.Series(Y)), Y)


@pytest.mark.parametrize("dtype", ["Int8", "Int64", "UInt16", "boolean", "Float32", "int64[pyarrow]", "bool[pyarrow]"])
@pytest.mark.parametrize("missing", [False, True])
def test_nullable_columns_of_pandas(dtype, missing):
    pandas = pytest.importorskip("pandas", reason="pandas isn't installed")
    values: list[Any] = [bool(v) if "bool" in dtype else int(v) for v in Y]
    if missing:
        values[3] = None
    series = pandas.Series(values, dtype=dtype)
    for found in (given(series), given(pandas.DataFrame({"a": series, "b": X[:, 0]}))[:, 0]):
        found = np.asarray(found)
        if missing:
            assert np.isnan(found[3])
            found, expected = np.delete(found, 3), np.delete(Y, 3)
        else:
            expected = Y
        assert np.array_equal(found, expected)
    if missing:
        with pytest.raises(tg.ContractError, match="y_true"):
            classifier().evaluate(X, series, verbose=0)


@pytest.mark.parametrize("dtype", ["Int64", "Boolean", "Float32", "UInt8"])
def test_missing_values_of_polars(dtype):
    polars = pytest.importorskip("polars", reason="polars isn't installed")
    values: list[Any] = [bool(v) if dtype == "Boolean" else int(v) for v in Y]
    values[3] = None
    series = polars.Series(values, dtype=getattr(polars, dtype))
    try:
        found = np.asarray(given(series))
    except tg.DataError as error:
        assert "objects" in str(error)
    else:
        assert np.isnan(found[3]) and np.array_equal(np.delete(found, 3), np.delete(Y, 3))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_with_words_is_refused(library):
    frames: Any = pytest.importorskip(library, reason=f"{library} isn't installed")
    with pytest.raises(tg.DataError, match="`x` is an array of objects.*Encode it first"):
        given(frames.DataFrame({"a": X[:, 0], "colour": ["red", "blue"] * (N // 2)}))


# Mappings and files


class Bunch(dict[str, Any]):
    """As scikit-learn's."""


def npz(path: Any) -> Any:
    np.savez(path / "data.npz", pixels=X)
    return np.load(path / "data.npz")


def hdf5(path: Any) -> Any:
    h5py = pytest.importorskip("h5py", reason="h5py isn't installed")
    file = h5py.File(path / "data.h5", "w")
    file["pixels"] = X
    return file


def zarr(path: Any) -> Any:
    library = pytest.importorskip("zarr", reason="zarr isn't installed")
    group = library.open_group(str(path / "data.zarr"), mode="w")
    group["pixels"] = X
    return group


MAPPINGS: dict[str, Any] = {
    "UserDict": lambda path: collections.UserDict(pixels=X),
    "Bunch": lambda path: Bunch(pixels=X),
    "OrderedDict": lambda path: collections.OrderedDict(pixels=X),
    "ChainMap": lambda path: collections.ChainMap({"pixels": X}),
    "npz": npz,
    "HDF5": hdf5,
    "Zarr": zarr,
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_mappings_are_dicts(tmp_path, name):
    data, model = MAPPINGS[name](tmp_path), classifier(OfPixels(net()))
    expected = model.evaluate({"pixels": X}, Y, verbose=0)
    assert model.evaluate(data, Y, verbose=0) == expected
    assert np.array_equal(model.predict(data), model.predict({"pixels": X}))
    assert np.array_equal(tg.Model(lambda a: a["pixels"]).predict({"a": data}), X)

    class Batches:
        def __iter__(self):
            return iter([(data, Y)])

    assert np.isclose(model.evaluate(Batches(), verbose=0)["loss"], expected["loss"])
    if hasattr(data, "close"):
        data.close()


def test_batches_that_are_dicts_with_labels_are_told_of():
    class Dicts:
        def __iter__(self):
            return iter([{"x": X, "y": Y}])

    for call in (classifier().evaluate, classifier().fit):
        with pytest.raises(tg.InjectionError) as caught:
            call(Dicts(), verbose=0)
        note = " ".join(caught.value.__notes__)
        assert "The batches are dicts of 'x', 'y', which were taken for the inputs" in note and "(x, y)" in note


def test_named_tuples_say_what_they_are_or_are_asked():

    class Named(NamedTuple):
        x: Any
        y: Any

    class Batch(NamedTuple):
        image: Any
        label: Any

    class Batches:
        def __init__(self, batch: Any):
            self.batch = batch

        def __iter__(self):
            return iter([self.batch])

    expected = classifier().evaluate(X, Y, verbose=0)["loss"]
    assert np.isclose(classifier().evaluate(Batches(Named(X, Y)), verbose=0)["loss"], expected)
    assert np.isclose(classifier().evaluate(Batches(tuple(Batch(X, Y))), verbose=0)["loss"], expected)
    with pytest.raises(tg.DataError, match=r"is a named tuple, Batch\(image=.*`tuple\(batch\)`.*`\(batch,\)`"):
        classifier().evaluate(Batches(Batch(X, Y)), verbose=0)
    found = tg.Model(lambda batch: batch.image).predict(Batches((Batch(X, X),)))
    assert np.array_equal(found, X)


def test_indices_as_weights_are_doubted():
    """The third of a batch is a weight, as in Keras: an id or an index is none."""
    found = tg.debug.doubts(classifier(), X, Y, sample_weight=np.arange(N))
    assert any("`sample_weight` counts 0, 1, 2" in str(doubt) for doubt in found)
    assert not any("counts" in str(doubt) for doubt in tg.debug.doubts(classifier(), X, Y, sample_weight=np.ones(N)))
