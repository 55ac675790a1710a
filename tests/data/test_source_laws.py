"""Laws over everything that gives data: the same examples in the same order, wherever a run begins or resumes."""

import collections
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

N, SIZE, EPOCHS = 24, 4, 3
STEPS = N // SIZE
NUMBERS = np.arange(N, dtype=np.int32)

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:.*which can't be told where to resume:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*workers are forked:UserWarning"),
]


# Sources, as a process makes them


class Batches:
    """What can be iterated over again."""

    def __iter__(self) -> Iterator[Any]:
        return iter(NUMBERS.reshape(STEPS, SIZE))


class Again:
    """Its `__iter__` begins again and returns itself, as that of many loaders."""

    def __iter__(self) -> Any:
        self.at = 0
        return self

    def __next__(self) -> Any:
        if self.at == STEPS:
            raise StopIteration
        self.at += 1
        return NUMBERS.reshape(STEPS, SIZE)[self.at - 1]


class ByEpoch:
    """Its order follows from the epoch, of which it is told."""

    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        return iter(np.random.default_rng(self.epoch).permutation(NUMBERS).reshape(STEPS, SIZE))


class ByEpochOfCallback(ByEpoch):
    """A callback of the user's tells it, under a name of its own."""

    set_epoch = None  # pyright: ignore[reportAssignmentType]


class TellEpoch(tg.callbacks.Callback):
    def __init__(self, data: ByEpoch):
        self.data = data

    def on_epoch_begin(self, epoch, logs):
        self.data.epoch = epoch


class Unsized(Batches):
    def __len__(self) -> int:
        raise NotImplementedError


def torch_loader(**arguments: Any) -> Any:
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    data = torch.utils.data.TensorDataset(torch.from_numpy(NUMBERS))
    if arguments.get("shuffle"):
        arguments["generator"] = torch.Generator().manual_seed(3)
    return torch.utils.data.DataLoader(data, batch_size=SIZE, **arguments)


class Source:
    """What Grain reads, which is spelled alike in each process."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: Any) -> Any:
        return NUMBERS[i]

    def __repr__(self) -> str:
        return "Source()"


def grain_loader() -> Any:
    grain = pytest.importorskip("grain", reason="grain isn't installed")
    sampler = grain.samplers.IndexSampler(N, shuffle=True, seed=1, num_epochs=1)
    return grain.DataLoader(data_source=Source(), sampler=sampler, operations=[grain.transforms.Batch(SIZE)])


def grain_data(iterable: bool) -> Any:
    grain = pytest.importorskip("grain", reason="grain isn't installed")
    data = grain.MapDataset.source(Source()).seed(1).shuffle().batch(SIZE)
    return data.to_iter_dataset() if iterable else data


def table(streamed: bool) -> Any:
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets isn't installed")
    data = datasets.Dataset.from_dict({"x": NUMBERS.tolist()})
    if streamed:
        rows = data.to_iterable_dataset().shuffle(seed=3, buffer_size=N).batch(SIZE)
        return rows.map(lambda row: {"x": np.array(row["x"], np.int32)})
    return {"x": data["x"]}


def tensorflow() -> Any:
    tf: Any = pytest.importorskip("tensorflow", reason="TensorFlow isn't installed")
    data = tf.data.Dataset.from_tensor_slices(NUMBERS).shuffle(N, seed=3, reshuffle_each_iteration=False)
    return data.batch(SIZE).prefetch(2)


class TensorFlow:
    """Stands in for `tf.data.Dataset`, which has tensors unless it is asked for NumPy's arrays."""

    def as_numpy_iterator(self) -> Iterator[Any]:
        return iter(Batches())

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError


SOURCES: dict[str, Callable[[], Any]] = {
    "arrays": lambda: NUMBERS,
    "a mapping of arrays": lambda: collections.UserDict(x=NUMBERS),
    "batches": Batches,
    "begins again": Again,
    "no length": Unsized,
    "told of the epoch": ByEpoch,
    "told of the epoch by a callback": ByEpochOfCallback,
    "torch": torch_loader,
    "torch, shuffled": lambda: torch_loader(shuffle=True),
    "torch, shuffled by workers": lambda: torch_loader(
        shuffle=True, num_workers=1, multiprocessing_context="spawn", persistent_workers=True
    ),
    "grain's loader": grain_loader,
    "grain's map": lambda: grain_data(False),
    "grain's iterable": lambda: grain_data(True),
    "a table": lambda: table(False),
    "a streamed table": lambda: table(True),
    "tf.data": TensorFlow,
    "TensorFlow": tensorflow,
}


# Models whose parameters say what they were trained on, and when


class Table(eqx.Module):
    weight: jax.Array

    def __call__(self, x: Any) -> Any:
        return self.weight[x]


def value(y_pred: Any) -> Any:
    return y_pred


# Each step halves what was there, a little less than that: parameters tell the order of the steps.
OPTIMIZER = optax.chain(optax.add_decayed_weights(0.3), optax.sgd(1.0))


class OwnSteps(tg.Model[Any]):
    """The same without a module: it has to see a batch to be initialized."""

    def train_step(self, x, states, initializing):
        x = x["x"] if isinstance(x, dict) else x
        weight = jnp.zeros(N) if initializing else states.net_params
        if not initializing:
            weight = (0.7 * weight).at[x].add(-1 / SIZE)
        return {"loss": jnp.sum(weight)}, states.update(net_params=weight)


def model_of(kind: str) -> Any:
    return OwnSteps() if kind == "own steps" else tg.Model(Table(jnp.zeros(N)), loss=value, optimizer=OPTIMIZER)


def weights(model: Any, data: Any, *use: Any, **arguments: Any) -> Any:
    """The parameters after a `fit`, with which the callback comes that some data needs."""
    use = (*use, TellEpoch(data)) if isinstance(data, ByEpochOfCallback) else use
    size = {"batch_size": SIZE} if isinstance(data, np.ndarray | dict | collections.UserDict) else {}
    trained, _ = model.fit(data, verbose=0, callbacks=list(use), **{"epochs": EPOCHS, **size, **arguments})
    return trained, np.asarray(trained.parameters.weight if isinstance(trained.module, Table) else trained.parameters)


class Failing(tg.callbacks.Callback):
    """Fails after a step."""

    comes_last = True

    def __init__(self, step: int):
        self.step = step

    def next_step(self, step):
        return self.step if step < self.step else None

    def on_step_end(self, step, logs):
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", ["module", "own steps"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_pass_has_each_example_once(name, kind):
    """Also the first one, of which a batch is looked at before."""
    data = SOURCES[name]()
    trained, _ = weights(model_of(kind), data, epochs=1)
    # Undo the decay: each number was trained on once, at one of the steps.
    found = np.sort(weights(model_of(kind), SOURCES[name](), epochs=1)[1])
    expected = np.sort(np.repeat(-(0.7 ** np.arange(STEPS)) / SIZE, SIZE))
    assert np.allclose(found, expected, rtol=1e-5)
    assert int(trained.states.step) == STEPS


@pytest.mark.parametrize("kind", ["module", "own steps"])
@pytest.mark.parametrize(
    "step",
    [
        1,
        pytest.param(STEPS, marks=pytest.mark.slow),
        STEPS + 2,
        pytest.param(2 * STEPS - 1, marks=pytest.mark.slow),
        pytest.param(2 * STEPS, marks=pytest.mark.slow),
        pytest.param(3 * STEPS, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "workers" in name else []) for name in SOURCES]
)
def test_resuming_sees_what_an_unbroken_run_sees(tmp_path, name, step, kind):
    """In the first epoch, in the middle, at the end of an epoch, and at that of the last one."""
    _, unbroken = weights(model_of(kind), SOURCES[name]())
    with pytest.raises(ZeroDivisionError):
        backup = tg.callbacks.BackupAndRestore(tmp_path, 1)
        weights(model_of(kind), SOURCES[name](), backup, Failing(step))
    # Failing comes after the backup of its step, which is there or is about to be.
    _, found = weights(model_of(kind), SOURCES[name](), tg.callbacks.BackupAndRestore(tmp_path, 1))
    assert np.array_equal(found, unbroken)


@pytest.mark.parametrize("kind", ["module", "own steps"])
@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "workers" in name else []) for name in SOURCES]
)
def test_resuming_between_epochs_sees_what_an_unbroken_run_sees(tmp_path, name, epoch, kind):
    """From a backup of the end of an epoch: the next pass has its own order, and not that of the pass before."""

    def fail(at: int, logs: Any) -> None:
        if at == epoch:
            raise ZeroDivisionError

    _, unbroken = weights(model_of(kind), SOURCES[name]())
    failing = tg.callbacks.LambdaCallback(on_epoch_begin=fail)
    with pytest.raises(ZeroDivisionError):
        weights(model_of(kind), SOURCES[name](), failing, tg.callbacks.BackupAndRestore(tmp_path))
    _, found = weights(model_of(kind), SOURCES[name](), tg.callbacks.BackupAndRestore(tmp_path))
    assert np.array_equal(found, unbroken)


@pytest.mark.parametrize("name", ["told of the epoch", "told of the epoch by a callback"])
@pytest.mark.parametrize("begin", [0, 2])
def test_the_order_is_that_of_the_epoch(name, begin):
    _, found = weights(model_of("module"), SOURCES[name](), initial_epoch=begin, epochs=begin + 2)
    order = [np.random.default_rng(begin + i).permutation(NUMBERS) for i in range(2)]
    weight = np.zeros(N, np.float32)
    for batch in np.concatenate(order).reshape(-1, SIZE):
        weight *= 0.7
        weight[batch] -= 1 / SIZE
    assert np.allclose(found, weight, rtol=1e-5)


@pytest.mark.parametrize("name", SOURCES)
def test_a_second_fit_begins_again(name):
    """With all examples, each once a pass."""
    data = SOURCES[name]()
    model, _ = weights(model_of("module"), data, epochs=1)
    model = model.replace(module=Table(jnp.zeros(N)))
    found = np.sort(weights(model, data, epochs=1)[1])
    assert np.allclose(found, np.sort(np.repeat(-(0.7 ** np.arange(STEPS)) / SIZE, SIZE)), rtol=1e-5)


def test_what_cannot_be_resumed_is_told_when_the_run_begins(tmp_path):
    torch = pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    data = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(NUMBERS)), batch_size=SIZE, shuffle=True
    )
    with pytest.warns(UserWarning, match=r"global state, which isn't backed up: give it a generator"):
        weights(model_of("module"), data, tg.callbacks.BackupAndRestore(tmp_path / "torch"), epochs=1)
    grain = pytest.importorskip("grain", reason="grain isn't installed")

    class Unnamed(Source):
        __repr__ = object.__repr__

    sampler = grain.samplers.IndexSampler(N, shuffle=True, seed=1, num_epochs=1)
    data = grain.DataLoader(data_source=Unnamed(), sampler=sampler, operations=[grain.transforms.Batch(SIZE)])
    with pytest.warns(UserWarning, match=r"holds the `repr` of an object, `<.*Unnamed object at 0x"):
        weights(model_of("module"), data, tg.callbacks.BackupAndRestore(tmp_path / "grain"), epochs=1)


def test_a_generator_within_something_else_says_so():
    class Around:
        def __init__(self):
            self.generator = (batch for batch in Batches())

        def __iter__(self):
            yield from self.generator

    with pytest.warns(UserWarning, match=r"gave 6 batches, and none when it was iterated over again: something within"):
        weights(model_of("module"), Around())


def test_nothing_is_iterated_over_before_the_epoch_begins(tmp_path):
    """Nor more often than once a pass."""
    told: list[Any] = []

    class Telling(Batches):
        def __iter__(self):
            told.append("iter")
            return super().__iter__()

    class Epochs(tg.callbacks.Callback):
        def on_train_begin(self, logs):
            assert self.model is not None and not told

        def on_epoch_begin(self, epoch, logs):
            told.append(epoch)

    weights(model_of("module"), Telling(), Epochs(), tg.callbacks.BackupAndRestore(tmp_path), epochs=2)
    assert told == [0, "iter", 1, "iter"]


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:This process:DeprecationWarning")
def test_forked_workers_are_told_of():
    pytest.importorskip("torch", reason="the CPU build of PyTorch isn't installed")
    with pytest.warns(UserWarning, match='multiprocessing_context="spawn"`, and `persistent_workers=True`'):
        tg.Model(Table(jnp.zeros(N)), loss=value).evaluate(torch_loader(num_workers=1), verbose=0)
