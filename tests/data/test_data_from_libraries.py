"""Data from other people's libraries: the same model and the same metric values as from arrays."""

import gc
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg

# Optax's Adam promotes dtypes.
pytestmark = pytest.mark.standard_promotion

N, BATCH = 22, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
Y = RNG.integers(0, 2, N)
ADAM = optax.adam(1e-2)


def make_model(module: Any = None) -> tg.Model[Any]:
    net = eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0)) if module is None else module
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    return tg.Model(net, loss=loss, metrics=tg.metrics.SparseCategoricalAccuracy(), optimizer=ADAM)


@pytest.fixture(scope="module")
def expected() -> tuple[Any, tg.History]:
    with jax.numpy_dtype_promotion("standard"):
        return make_model().fit(X, Y, batch_size=BATCH, shuffle=False, epochs=2, verbose=0)


def check(found: tuple[Any, tg.History], expected: tuple[Any, tg.History]) -> None:
    pairs = zip(jax.tree.leaves(found[0].module), jax.tree.leaves(expected[0].module), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs if eqx.is_array(a))
    assert found[1].history == expected[1].history


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:This process:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*whose 2 workers are forked:UserWarning")
def test_torch(expected, workers):
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, num_workers=workers)
    before = threading.active_count()
    check(make_model().fit(loader, epochs=2, verbose=0), expected)
    until = time.monotonic() + 10  # PyTorch's own may be about to end
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert make_model().evaluate(loader, verbose=0) == make_model().evaluate(X, Y, batch_size=BATCH, verbose=0)
    with pytest.raises(tg.DataError, match="`x` is an instance of TensorDataset, which gives examples and no batches"):
        make_model().fit(data)


def test_torch_tensors():
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    a = make_model().evaluate(torch.from_numpy(X), torch.from_numpy(Y), verbose=0)
    assert a == make_model().evaluate(X, Y, verbose=0)
    half = torch.from_numpy(X).bfloat16()
    assert make_model().predict(half).shape == (N, 2)


def test_grain(expected):
    grain = pytest.importorskip("grain", reason="grain isn't installed")
    data = grain.MapDataset.range(N).map(lambda i: (X[i], Y[i])).batch(BATCH)
    check(make_model().fit(data, epochs=2, verbose=0), expected)
    check(make_model().fit(data.to_iter_dataset(), epochs=2, verbose=0), expected)
    endless = grain.MapDataset.range(N).map(lambda i: (X[i], Y[i])).batch(BATCH).repeat()
    check(make_model().fit(endless, epochs=2, steps_per_epoch=5, verbose=0), expected)


class Examples:
    """What Grain's `DataLoader` reads."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: Any) -> Any:
        return X[i], Y[i]

    def __repr__(self) -> str:
        return "Examples()"  # the same in each process


@pytest.mark.parametrize("step", [18, 22])
@pytest.mark.parametrize("kind", ["map", "iter", "repeated", "loader"])
def test_grain_goes_on_after_an_interruption(tmp_path, kind, step):
    """Its iterators know where they are: nothing is read twice, and nothing is warned of."""
    grain = pytest.importorskip("grain", reason="grain isn't installed")
    steps = 11 if kind == "repeated" else None
    data: Any = grain.MapDataset.range(N).seed(1).shuffle().map(lambda i: (X[i], Y[i])).batch(2)
    if kind == "loader":
        sampler = grain.samplers.IndexSampler(N, shuffle=True, seed=1, num_epochs=1)
        data = grain.DataLoader(data_source=Examples(), sampler=sampler, operations=[grain.transforms.Batch(2)])
    elif kind != "map":
        data = (data.repeat() if kind == "repeated" else data).to_iter_dataset()
    goes_on_after_an_interruption(tmp_path, data, "error", step, steps)


def test_grain_leaves_no_thread():
    grain = pytest.importorskip("grain", reason="grain isn't installed")
    data = grain.MapDataset.range(N).map(lambda i: (X[i], Y[i])).batch(2).repeat().to_iter_dataset()

    class Failing(tg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            raise ZeroDivisionError

    before = set(threading.enumerate())
    gc.disable()
    try:
        make_model().fit(data, epochs=2, steps_per_epoch=5, verbose=0)
        with pytest.raises(ZeroDivisionError):
            make_model().fit(data, epochs=2, steps_per_epoch=5, verbose=0, callbacks=[Failing()])
        until = time.monotonic() + 10  # they have been told to end
        while set(threading.enumerate()) - before and time.monotonic() < until:
            time.sleep(0.01)
        assert not set(threading.enumerate()) - before
    finally:
        gc.enable()


@pytest.mark.parametrize("step", [18, 22])
def test_torch_goes_on_after_an_interruption(tmp_path, step):
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    examples = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    data = torch.utils.data.DataLoader(examples, batch_size=2)
    goes_on_after_an_interruption(tmp_path, data, "ignore", step, None)


@pytest.mark.filterwarnings("ignore:.*which can't be told where to resume:UserWarning")
def test_a_shuffling_loader_of_torch_is_warned_of(tmp_path):
    """Its order can't be given to another process: that is said when the run begins."""
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    examples = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    data = torch.utils.data.DataLoader(examples, batch_size=2, shuffle=True)
    with (
        pytest.warns(
            UserWarning, match=r"DataLoader, whose shuffling follows from PyTorch's global state.*torch.Generator"
        ),
        pytest.raises(AssertionError),
    ):
        goes_on_after_an_interruption(tmp_path, data, "always", 22, None)


def test_others_are_read_up_to_where_they_were(tmp_path):

    class Batches:
        def __iter__(self):
            yield from ((X[i : i + 2], Y[i : i + 2]) for i in range(0, N, 2))

    told = r"which can't be told where to resume: the passes before this one \(1\) .*, and its first 1 batches are read"
    with pytest.warns(UserWarning, match=told):
        goes_on_after_an_interruption(tmp_path, Batches(), "always", 18, 11)


def goes_on_after_an_interruption(directory: Path, data: Any, action: Any, step: int, steps: int | None) -> None:
    """It fails after a step, and goes on from the 12th, the first of an epoch; or fails after an epoch."""
    fails_at = step

    class Failing(tg.callbacks.Callback):
        def next_step(self, step):
            return fails_at if fails_at % 11 and step < fails_at else None

        def on_step_end(self, step, logs):
            raise RuntimeError("no")

        def on_epoch_begin(self, epoch, logs):
            if epoch * 11 == fails_at:
                raise RuntimeError("no")

    arguments: dict[str, Any] = {"epochs": 3, "steps_per_epoch": steps, "verbose": 0, "steps_per_execution": 1}

    def fit(*use: Any) -> Any:
        backup = tg.callbacks.BackupAndRestore(directory / "backup", save_freq=6 if step % 11 else "epoch")
        return make_model().fit(data, callbacks=[*use, backup], **arguments)

    expected = make_model().fit(data, **arguments)
    with pytest.raises(RuntimeError, match="no"):
        fit(Failing())
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        found = fit()
    check(found, expected)


def test_hugging_face(expected):
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets isn't installed")
    data = datasets.Dataset.from_dict({"pixels": X.tolist(), "label": Y.tolist()})
    numpy = data.with_format("numpy")
    check(
        make_model().fit(numpy["pixels"], numpy["label"], batch_size=BATCH, shuffle=False, epochs=2, verbose=0),
        expected,
    )

    class OfPixels(eqx.Module):
        net: Any

        def __call__(self, pixels: Any) -> Any:
            return self.net(pixels)

    module = OfPixels(eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0)))
    found = make_model(module).fit(data, numpy["label"], batch_size=BATCH, shuffle=False, epochs=2, verbose=0)
    check(found, expected)
    shuffled = make_model().fit(X, Y, batch_size=BATCH, validation_split=0.25, verbose=0)
    check(make_model(module).fit(data, numpy["label"], batch_size=BATCH, validation_split=0.25, verbose=0), shuffled)
    check(make_model().fit(((b["pixels"], b["label"]) for b in numpy.iter(BATCH)), verbose=0), half(expected))


def test_hugging_face_streamed(expected, tmp_path):
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets isn't installed")
    data = datasets.Dataset.from_dict({"pixels": X.tolist(), "label": Y.tolist()})
    streamed = data.to_iterable_dataset().with_format("numpy")

    class OfPixels(eqx.Module):
        net: Any

        def __call__(self, pixels: Any) -> Any:
            return self.net(pixels)

    def loss(x: Any, y_pred: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(y_pred, x["label"])

    module = OfPixels(eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0)))
    model = make_model(module).replace(loss=loss, metrics=None)
    table = {"pixels": X, "label": Y}
    expected_of = model.fit(table, batch_size=BATCH, shuffle=False, epochs=2, verbose=0)
    check(model.fit(streamed.batch(BATCH), epochs=2, verbose=0), expected_of)
    check(model.fit(streamed.batch(BATCH), epochs=2, steps_per_epoch=5, verbose=0), expected_of)
    assert np.array_equal(model.predict(streamed.batch(BATCH)), model.predict(table, batch_size=BATCH))
    named = (
        r"an instance of DatasetDict, which holds data sets by name: train, test. Pass one of them, as `data\['train'\]"
    )
    with pytest.raises(tg.DataError, match=named):
        model.fit(datasets.DatasetDict(train=data, test=data))
    with pytest.raises(tg.DataError, match="IterableDatasetDict, which holds data sets by name: train"):
        model.fit(datasets.IterableDatasetDict(train=streamed))
    pairs = streamed.batch(2).map(lambda b: {"x": b["pixels"], "y": b["label"]}, remove_columns=["pixels", "label"])

    class Pairs:
        def __iter__(self):
            return ((batch["x"], batch["y"]) for batch in pairs)

    for step in (18, 22):
        goes_on_after_an_interruption(tmp_path / str(step), Pairs(), "ignore", step, None)


def half(expected: tuple[Any, tg.History]) -> tuple[Any, tg.History]:
    with jax.numpy_dtype_promotion("standard"):
        return make_model().fit(X, Y, batch_size=BATCH, shuffle=False, epochs=1, verbose=0)


def test_memory_maps(expected, tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    check(make_model().fit(mapped, Y, batch_size=BATCH, shuffle=False, epochs=2, verbose=0), expected)
