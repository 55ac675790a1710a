"""What has to be the same on eight devices as on one: run by `test_eight_devices.py`, in a process that has them.

In double precision, so that only the order of sums differs.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import treegy as tg

assert jax.device_count() == 8 and jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]

pytestmark = pytest.mark.standard_promotion

EXAMPLES, BATCH = 100, 12  # neither is a multiple of eight, nor of each other
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(EXAMPLES, 8, 8)), RNG.integers(0, 4, EXAMPLES).astype("int32")
WEIGHT = RNG.uniform(0.0, 2.0, EXAMPLES)
CLASSES = {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.5}


class Perceptron(eqx.Module):
    layers: list[Any]
    dropout: eqx.nn.Dropout

    def __init__(self, key: jax.Array):
        a, b = jax.random.split(key)
        self.layers = [eqx.nn.Linear(64, 32, key=a), eqx.nn.Linear(32, 4, key=b)]
        self.dropout = eqx.nn.Dropout(0.3)

    def __call__(self, x: Any, *, key: Any = None, inference: bool = False) -> Any:
        hidden = jax.nn.gelu(self.layers[0](x.ravel()))
        return self.layers[1](self.dropout(hidden, key=key, inference=inference))


class Convolutional(eqx.Module):
    first: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(self, key: jax.Array):
        a, b = jax.random.split(key)
        self.first = eqx.nn.Conv2d(1, 8, 3, padding=1, key=a)
        self.norm = eqx.nn.BatchNorm(8, axis_name="batch", mode="ema")
        self.last = eqx.nn.Linear(8 * 64, 4, key=b)
        self.dropout = eqx.nn.Dropout(0.2)

    def __call__(self, x: Any, state: eqx.nn.State, *, key: Any = None, inference: bool = False) -> Any:
        hidden, state = self.norm(self.first(x[None]), state)
        hidden = self.dropout(jax.nn.relu(hidden).ravel(), key=key, inference=inference)
        return self.last(hidden), state


def model_of(net: str) -> tg.Model:
    key, state = jax.random.key(0), None
    if net == "perceptron":
        module: Any = Perceptron(key)
    else:
        module, state = eqx.nn.make_with_state(Convolutional)(key)
    return tg.Model(
        module,
        state=state,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tg.metrics.SparseCategoricalAccuracy(), tg.metrics.ConfusionMatrix(num_classes=4)],
        optimizer=tg.with_ema(optax.MultiSteps(optax.adam(1e-2), 3), 0.9),
    )


def grid(axes: dict[str, int], kind: AxisType = AxisType.Auto) -> jax.sharding.Mesh:
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(kind,) * len(axes))


def by_columns(path: str, shape: tuple[int, ...]) -> P | None:
    return P("model", *[None] * (len(shape) - 1)) if shape[0] % 4 == 0 and len(shape) < 3 else None


def by_rows(path: str, shape: tuple[int, ...]) -> P | None:
    return P(*[None] * (len(shape) - 1), "data") if shape[-1] % 4 == 0 else None


STRATEGIES = {
    "data": lambda: tg.parallel.DataParallel(),
    "data, explicit": lambda: tg.parallel.DataParallel(grid({"data": 8}, AxisType.Explicit)),
    "four of eight": lambda: tg.parallel.DataParallel(jax.sharding.Mesh(np.asarray(jax.devices()[:4]), ("data",))),
    "fsdp": lambda: tg.parallel.FSDP(min_size=1),
    "fsdp over two axes": lambda: tg.parallel.FSDP(grid({"replica": 2, "data": 4}), ("replica", "data"), min_size=1),
    "replicas of shards": lambda: tg.parallel.Layout(
        grid({"replica": 2, "data": 4}), batch=("replica", "data"), rule=by_rows
    ),
    "tensors": lambda: tg.parallel.Layout(grid({"data": 2, "model": 4}), batch="data", rule=by_columns),
}


class Batches:
    """Gives batches."""

    def __iter__(self) -> Any:
        for start in range(0, EXAMPLES, BATCH):
            here = slice(start, start + BATCH)
            yield X[here], Y[here], WEIGHT[here]


def run(model: tg.Model, batches: bool = False) -> dict[str, Any]:
    """All that there is to compare after some training."""
    found: dict[str, Any] = {}
    given: dict[str, Any] = {"class_weight": CLASSES, "verbose": 0}
    if batches:
        model, history = model.fit(Batches(), validation_data=(X, Y), epochs=2, **given)
    else:
        split = {"sample_weight": WEIGHT, "validation_split": 0.2, "batch_size": BATCH}
        model, history = model.fit(X, Y, epochs=2, **split, **given)
    found["history"] = {name: np.asarray(values) for name, values in history.history.items()}
    found["evaluate"] = model.evaluate(X, Y, batch_size=BATCH, sample_weight=WEIGHT, verbose=0)
    found["predict"] = model.predict(X, batch_size=BATCH)
    for n in (16, 5):
        model, logs = model.train_on_batch(X[:n], Y[:n], WEIGHT[:n])
        found[f"train on {n}"] = logs
        model, logs = model.test_on_batch(X[:n], Y[:n], WEIGHT[:n])
        found[f"test on {n}"] = logs
        found[f"predict {n}"] = model.predict_on_batch(X[:n])
    found["states"] = {n: v for n, v in model.states.items() if n != "rng"}
    return found


_ON_ONE: dict[Any, Any] = {}


def on_one(net: str, batches: bool) -> dict[str, Any]:
    if (net, batches) not in _ON_ONE:
        _ON_ONE[net, batches] = run(model_of(net), batches)
    return _ON_ONE[net, batches]


def assert_same(found: Any, expected: Any) -> None:
    here, there = (jax.tree_util.tree_leaves_with_path(tree) for tree in (found, expected))
    assert [path for path, _ in here] == [path for path, _ in there]
    for (path, a), (_, b) in zip(here, there, strict=True):
        name = jax.tree_util.keystr(path)
        if isinstance(a, jax.Array | np.ndarray | float):
            # Hits are counted in single precision, whatever the predictions are.
            single = "accuracy" in name or getattr(a, "dtype", None) == np.float32
            within = 1e-6 if single else 1e-12
            np.testing.assert_allclose(a, b, rtol=within, atol=within, err_msg=name)


def _slow_but(few: list[Any], every: Iterable[Any]) -> list[Any]:
    """Parameters, of which all but a few are exhaustive."""
    return [pytest.param(*each, marks=() if each in few else pytest.mark.slow) for each in every]


_NETS = ("perceptron", "convolutional")
_FEW = [("perceptron", False, "tensors"), ("convolutional", True, "fsdp")]


@pytest.mark.parametrize(
    ("net", "batches", "strategy"), _slow_but(_FEW, itertools.product(_NETS, (False, True), STRATEGIES))
)
def test_the_same_as_on_one_device(net: str, batches: bool, strategy: str):
    assert_same(run(model_of(net).distributed(STRATEGIES[strategy]()), batches), on_one(net, batches))


# Where arrays are


OPTIMIZER = tg.with_ema(optax.adam(1e-3), 0.9)


def large(seed: int = 0, width: int = 256, **fields: Any) -> tg.Model:
    return tg.Model(
        eqx.nn.MLP(32, 8, width, 2, key=jax.random.key(seed)),
        loss=tg.losses.MeanSquaredError(),
        optimizer=OPTIMIZER,
        **fields,
    )


DATA = RNG.normal(size=(64, 32)), RNG.normal(size=(64, 8))


def spec_of(array: Any) -> Any:
    return array.sharding.spec


def bytes_on_first_device(tree: Any) -> int:
    first = jax.devices()[0]
    shards = [s for a in jax.tree.leaves(eqx.filter(tree, eqx.is_array)) for s in a.addressable_shards]
    return sum(s.data.nbytes for s in shards if s.device == first)


def bytes_of(tree: Any) -> int:
    return sum(a.nbytes for a in jax.tree.leaves(eqx.filter(tree, eqx.is_array)))


def test_fsdp_has_an_eighth_of_what_is_large():
    model = large().distributed(tg.parallel.FSDP(min_size=256)).fit(*DATA, verbose=0).model
    for tree in (model.module, model.states.optimizer_states):
        assert bytes_on_first_device(tree) < 0.13 * bytes_of(tree)
    assert spec_of(model.module.layers[1].weight)[0] == "data"
    whole = large().distributed(tg.parallel.DataParallel()).fit(*DATA, verbose=0).model
    assert bytes_on_first_device(whole.module) == bytes_of(whole.module)


def test_nothing_moves_from_run_to_run():
    model = large().distributed(tg.parallel.FSDP(min_size=256)).fit(*DATA, verbose=0).model
    before: list[Any] = [a.sharding for a in jax.tree.leaves(eqx.filter(model, eqx.is_array))]
    model = model.fit(*DATA, verbose=0).model
    model = model.train_on_batch(*DATA)[0]
    assert [a.sharding for a in jax.tree.leaves(eqx.filter(model, eqx.is_array))] == before


def test_one_program_serves_a_second_run(caplog: pytest.LogCaptureFixture):
    model = large().distributed(tg.parallel.FSDP(min_size=256))
    model = model.fit(*DATA, batch_size=20, validation_data=DATA, epochs=2, verbose=0).model
    model.predict(DATA[0])
    with jax.log_compiles():
        again = large(1).distributed(tg.parallel.FSDP(min_size=256))
        caplog.clear()
        again = again.fit(*DATA, batch_size=20, validation_data=DATA, epochs=2, verbose=0).model
        again = again.fit(*DATA, batch_size=20, verbose=0).model
        again.predict(DATA[0])
    compiled = [r.getMessage() for r in caplog.records if "Finished XLA compilation" in r.getMessage()]
    assert not compiled, compiled


def test_create_makes_the_same_model_where_it_is_to_be():
    strategy = tg.parallel.FSDP(min_size=256)
    created = tg.parallel.create(large, strategy)
    moved = large().distributed(strategy)
    assert jax.tree.structure(created) == jax.tree.structure(moved)
    for a, b in zip(jax.tree.leaves(created), jax.tree.leaves(moved), strict=True):
        if isinstance(a, jax.Array):
            assert a.sharding == b.sharding
            if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
                np.testing.assert_allclose(a, b)
    created = created.fit(*DATA, verbose=0).model
    assert_same(created.evaluate(*DATA, verbose=0), moved.fit(*DATA, verbose=0).model.evaluate(*DATA, verbose=0))


def test_layers_that_are_scanned_over_are_not_split_along_the_layers():
    keys = jax.random.split(jax.random.key(0), 64)
    blocks = eqx.filter_vmap(lambda key: eqx.nn.Linear(16, 16, key=key))(keys)
    model = tg.Model(blocks).distributed(tg.parallel.FSDP(min_size=1))
    assert spec_of(model.module.weight)[0] is None and spec_of(model.module.bias)[0] is None
    convolution = tg.Model(eqx.nn.Conv2d(3, 64, 3, key=keys[0])).distributed(tg.parallel.FSDP(min_size=1))
    assert spec_of(convolution.module.weight)[0] == "data"


def test_back_to_one_device():
    model = large().distributed(tg.parallel.FSDP(min_size=1)).fit(*DATA, verbose=0).model.distributed(None)
    assert model.strategy is None
    assert {len(a.devices()) for a in jax.tree.leaves(eqx.filter(model, eqx.is_array))} == {1}
    assert_same(model.fit(*DATA, verbose=0).model.parameters, large().fit(*DATA, epochs=2, verbose=0).model.parameters)


# What else is done with a model


def test_scan_fit():
    kwargs: dict[str, Any] = {"epochs": 3, "batch_size": 20, "validation_data": DATA}
    model, logs = large().distributed(tg.parallel.FSDP(min_size=1)).scan_fit(*DATA, **kwargs)
    alone, expected = large().scan_fit(*DATA, **kwargs)
    assert_same((model.parameters, logs), (alone.parameters, expected))


def test_saved_on_eight_and_loaded_on_one_and_the_reverse(tmp_path: Any):
    strategy = tg.parallel.FSDP(min_size=1)
    model = large().distributed(strategy).fit(*DATA, verbose=0).model
    model.save(tmp_path / "eight")
    alone = large(1).load(tmp_path / "eight")
    assert_same(alone.parameters, model.parameters)
    assert {len(a.devices()) for a in jax.tree.leaves(alone.parameters)} == {1}
    alone.save(tmp_path / "one")
    again = large(1).distributed(strategy).load(tmp_path / "one")
    assert_same(again.parameters, model.parameters)
    continued = [m.fit(*DATA, verbose=0).model.parameters for m in (model, alone, again)]
    assert_same(continued[1], continued[0])
    assert_same(continued[2], continued[0])
    assert spec_of(again.fit(*DATA, verbose=0).model.module.layers[1].weight)[0] == "data"


def some(n: int) -> tg.parallel.Strategy | None:
    """FSDP over so many devices."""
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:n]), ("data",))
    return None if n == 1 else tg.parallel.FSDP(mesh, min_size=1)


@pytest.mark.parametrize(("before", "after"), _slow_but([(8, 1)], [(8, 1), (8, 2), (8, 3), (1, 8), (2, 8), (3, 8)]))
def test_a_backup_resumes_on_another_number_of_devices(before: int, after: int, tmp_path: Any):
    class Fails(tg.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 1:
                raise RuntimeError("the machine is gone")

    kwargs: dict[str, Any] = {"epochs": 4, "batch_size": 20, "validation_data": DATA, "verbose": 0}
    backup = tg.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        large().distributed(some(before)).fit(*DATA, callbacks=[backup, Fails()], **kwargs)
    resumed = large().distributed(some(after)).fit(*DATA, callbacks=tg.callbacks.BackupAndRestore(tmp_path), **kwargs)
    unbroken = large().fit(*DATA, **kwargs)
    assert len(resumed.history.history["loss"]) == 4
    assert_same(resumed.history.history, unbroken.history.history)
    assert_same(resumed.model.parameters, unbroken.model.parameters)
    assert {len(a.devices()) for a in jax.tree.leaves(resumed.model.parameters)} == {after}


@pytest.mark.slow
def test_looking_at_a_model():
    model = large().distributed(tg.parallel.FSDP(min_size=1)).fit(*DATA, verbose=0).model
    summary = model.summary(*DATA)
    assert summary.devices == 8 and "On each of 8 devices" in str(summary)
    held = model.module, model.states.optimizer_states
    assert summary.device_bytes == bytes_on_first_device(held)
    assert summary.trainable_bytes + summary.other_bytes + summary.optimizer_bytes == bytes_of(held)
    model.check(*DATA)
    assert tg.debug.doubts(model, *DATA) is not None
    nan = DATA[0].copy()
    nan[3, 2] = np.nan
    found, expected = (str(tg.debug.explain_nan(m, nan, DATA[1])) for m in (model, model.distributed(None)))
    assert found == expected and "nan" in found.lower()


def test_callbacks_that_look_at_every_batch():
    class Looks(tg.callbacks.Callback):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.seen.append((batch, logs["loss"], np.asarray(self.model.module.layers[0].weight)))

    found, expected = Looks(), Looks()
    stopping = tg.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True)
    large().distributed(tg.parallel.FSDP(min_size=1)).fit(*DATA, batch_size=20, callbacks=[found, stopping], verbose=0)
    large().fit(*DATA, batch_size=20, callbacks=[expected], verbose=0)
    assert_same(found.seen, expected.seen)


@pytest.mark.slow
def test_eagerly():
    found = large(run_eagerly=True).distributed(tg.parallel.FSDP(min_size=1)).fit(*DATA, batch_size=20, verbose=0)
    assert_same(found.model.parameters, large().fit(*DATA, batch_size=20, verbose=0).model.parameters)


class OwnJit(tg.Model):
    def jit_step(self, step: Any) -> Any:
        return eqx.filter_jit(step)


@pytest.mark.slow
def test_a_jit_step_of_ones_own_and_half_precision():
    def make() -> tg.Model:
        policy = tg.DTypePolicy(params=jnp.float64)
        net, loss = eqx.nn.MLP(32, 8, 64, 2, key=jax.random.key(0)), tg.losses.MeanSquaredError()
        return OwnJit(net, loss=loss, optimizer=OPTIMIZER, dtype_policy=policy)

    found, expected = (
        model.fit(*DATA, batch_size=20, verbose=0).model
        for model in (make().distributed(tg.parallel.FSDP(min_size=1)), make())
    )
    # It computes in single precision.
    for a, b in zip(jax.tree.leaves(found.parameters), jax.tree.leaves(expected.parameters), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_data_that_is_split_already():
    strategy = tg.parallel.DataParallel()
    x, y = (jax.device_put(a, NamedSharding(strategy.mesh, P("data"))) for a in DATA)
    found = large().distributed(strategy).fit(x, y, batch_size=20, verbose=0).model
    assert_same(found.parameters, large().fit(*DATA, batch_size=20, verbose=0).model.parameters)


def test_ones_own_jit():
    step = eqx.filter_jit(lambda model, x, y: model.train_on_batch(x, y))
    model, expected = large().distributed(tg.parallel.FSDP(min_size=1)).init(*DATA), large().init(*DATA)
    model, expected = step(model, *DATA)[0], step(expected, *DATA)[0]
    (model, logs), (expected, wanted) = step(model, *DATA), step(expected, *DATA)
    assert_same((logs, model.parameters), (wanted, expected.parameters))
    assert spec_of(model.module.layers[1].weight)[0] == "data"


def test_what_a_module_constrains_of_one_example():
    strategy = tg.parallel.Layout(grid({"data": 2, "model": 4}), batch="data")

    class Constrains(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            hidden = jax.lax.with_sharding_constraint(self.linear(x), NamedSharding(strategy.mesh, P("model")))
            return hidden

    model = tg.Model(Constrains(eqx.nn.Linear(32, 8, key=jax.random.key(0)))).distributed(strategy)
    y_pred = model.predict_on_batch(DATA[0])
    assert spec_of(y_pred) == P("data", "model"), y_pred.sharding


# What devices exchange

_BYTES = {"pred": 1, "u8": 1, "u32": 4, "s32": 4, "f32": 4, "u64": 8, "s64": 8, "f64": 8}
_COLLECTIVE = re.compile(
    r" = (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)(?:-start)?\("
)


def exchanged(model: tg.Model) -> dict[str, tuple[int, int]]:
    """How many collectives of each kind a training step has, and how many bytes they give a device."""
    step: Any = eqx.filter_jit(lambda model, x, y: model.train_on_batch(x, y)[0])
    strategy: Any = model.strategy
    data = [jax.device_put(a, NamedSharding(strategy.mesh, P(strategy.batch))) for a in DATA]
    found: dict[str, tuple[int, int]] = {}
    for kinds, name in _COLLECTIVE.findall(step.lower(model, *data).compile().compiled.as_text()):
        arrays = re.findall(r"(\w+)\[([\d,]*)\]", kinds)
        size = sum(_BYTES[kind] * math.prod(int(n) for n in shape.split(",") if n) for kind, shape in arrays)
        n, total = found.get(name, (0, 0))
        found[name] = n + 1, total + size
    return found


def test_data_parallel_sums_gradients_once():
    model = large().distributed(tg.parallel.DataParallel()).init(*DATA)
    found = exchanged(model)
    assert set(found) == {"all-reduce"}
    # The gradients, and a few numbers of the logs.
    assert found["all-reduce"][1] <= bytes_of(model.parameters) + 1000


def test_parts_of_a_batch_are_summed_over_the_devices_once():
    model = large(microbatches=4).distributed(tg.parallel.DataParallel()).init(*DATA)
    found = exchanged(model)
    assert set(found) <= {"all-reduce", "all-gather"}
    # What is gathered are the numbers that the loss is computed from.
    assert sum(size for _, size in found.values()) <= bytes_of(model.parameters) + 1000


def test_fsdp_gathers_for_every_part():
    """What a part exchanges is no more than what the whole does, in a loop over the parts."""
    strategy = tg.parallel.FSDP(min_size=256)
    whole, *parts = (exchanged(large(microbatches=k).distributed(strategy).init(*DATA)) for k in (1, 2, 4))
    for found in parts:
        assert {kind: n for kind, (n, _) in found.items()} == {kind: n for kind, (n, _) in whole.items()}
        assert all(size <= whole[kind][1] for kind, (_, size) in found.items())


def test_parts_with_less_than_an_example_for_each_device():
    model = large(microbatches=16).distributed(tg.parallel.FSDP(min_size=256))
    with pytest.warns(UserWarning, match="cuts a batch of 64 into parts of 4 examples.*At most 8 parts"):
        model.train_on_batch(*DATA)


@pytest.mark.parametrize(
    ("net", "strategy"),
    _slow_but(
        [("perceptron", "data")],
        itertools.product(["perceptron", "convolutional"], ["data", "data, explicit", "fsdp", "tensors"]),
    ),
)
@pytest.mark.filterwarnings("ignore:`microbatches=3` cuts a batch")
def test_parts_of_a_batch(net: str, strategy: str):
    """They give what the whole gives; with BatchNorm, what the same parts give on one device."""
    whole, parts = model_of(net), dataclasses.replace(model_of(net), microbatches=3)
    found = parts.distributed(STRATEGIES[strategy]())
    given: dict[str, Any] = {"sample_weight": WEIGHT, "class_weight": CLASSES, "batch_size": BATCH, "verbose": 0}
    expected = (parts if net == "convolutional" else whole).fit(X, Y, epochs=2, **given)
    found = found.fit(X, Y, epochs=2, **given)
    assert_same(found.model.parameters, expected.model.parameters)
    assert np.allclose(found.history["loss"], expected.history["loss"], rtol=1e-6)


def test_fsdp_exchanges_no_more_than_parameters_and_gradients():
    model = large().distributed(tg.parallel.FSDP(min_size=256)).init(*DATA)
    found = exchanged(model)
    assert set(found) <= {"all-gather", "all-reduce", "reduce-scatter"}
    assert sum(size for _, size in found.values()) <= 2 * bytes_of(model.parameters)


# Mistakes

WRONG: Any = "data"
NUMBER: Any = 3
LINEAR: Any = eqx.nn.Linear(2, 2, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: tg.parallel.DataParallel(grid({"data": 8}), "batch"), ValueError, "the mesh has no axis 'batch'"),
        (lambda: tg.parallel.DataParallel(axis=("a", "b")), ValueError, "without a `mesh` there is one axis"),
        (lambda: tg.parallel.FSDP(WRONG), TypeError, "`mesh` is 'data'"),
        (lambda: tg.parallel.Layout(grid({"data": 8}), rule=NUMBER), TypeError, "`rule` is 3"),
        (
            lambda: large().distributed(tg.parallel.Layout(grid({"data": 8}), rule={".layers[9].weight": P("data")})),
            ValueError,
            r"the rule has `.layers\[9\].weight`, and no array of the module is called so. Did you mean",
        ),
        (
            lambda: large(width=100).distributed(tg.parallel.Layout(grid({"data": 8}), rule={"*weight": P("data")})),
            ValueError,
            r"`P\('data'\)` for `.layers\[0\].weight`, of the shape \(100, 32\): its axis 0 can't be split",
        ),
        (
            lambda: large().distributed(tg.parallel.Layout(grid({"data": 8}), rule={"*": P(None, "data")})),
            ValueError,
            "which has fewer axes",
        ),
        (
            lambda: large().distributed(tg.parallel.Layout(grid({"data": 8}), rule={"*.weight": P("model")})),
            ValueError,
            "the mesh has no axis 'model'",
        ),
        (
            lambda: large().distributed(tg.parallel.Layout(grid({"data": 8}), rule=lambda path, shape: WRONG)),
            TypeError,
            "the rule says 'data'",
        ),
        (lambda: large().distributed(WRONG), TypeError, "`strategy` is 'data'"),
        (
            lambda: tg.parallel.create(lambda: LINEAR, tg.parallel.FSDP()),
            TypeError,
            "`make` returned",
        ),
    ],
)
def test_mistakes(make: Any, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        make()


def test_another_strategy_in_mid_run():
    class Moves(tg.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.model = self.model.distributed(tg.parallel.DataParallel())

    with pytest.raises(ValueError, match="strategy"):
        large().distributed(tg.parallel.FSDP()).fit(*DATA, callbacks=Moves(), epochs=2, verbose=0)


@pytest.mark.parametrize("strategy", [tg.parallel.DataParallel(), tg.parallel.FSDP()], ids=lambda s: type(s).__name__)
def test_an_export_is_for_one_device(strategy: tg.parallel.Strategy, tmp_path):
    model = tg.Model(Perceptron(jax.random.key(0)), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True))
    model = model.distributed(strategy)
    model.export(tmp_path, X)
    loaded = tg.load_exported(tmp_path)
    assert loaded.program.nr_devices == 1
    for n in (3, 8):
        found = loaded(X[:n])
        assert len(found.devices()) == 1
        np.testing.assert_allclose(found, np.asarray(model.predict(X[:n])), rtol=1e-12, atol=1e-12)


def test_a_module_that_says_itself_where_arrays_are_is_not_exported(tmp_path):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, P("data"))
    model = tg.Model(lambda x: jax.lax.with_sharding_constraint(x, split))
    with pytest.raises(ValueError, match="is for 8 devices, and an exported model for one"):
        model.export(tmp_path, X)
