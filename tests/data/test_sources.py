"""Everything that gives batches: the same metric values and the same model as from arrays."""

import re
import warnings
from collections.abc import Iterator
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

# Optax's Adam promotes dtypes.
pytestmark = pytest.mark.standard_promotion

N, BATCH = 22, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
Y = RNG.normal(size=(N, 2)).astype(np.float32)
W = RNG.uniform(0, 2, N).astype(np.float32)
ADAM = optax.adam(1e-2)


def make_model(**fields: Any) -> tg.Model[Any]:
    net = eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0))
    fields = {"loss": tg.losses.MeanSquaredError(), "metrics": tg.metrics.MeanAbsoluteError(), **fields}
    return tg.Model(net, optimizer=ADAM, **fields)


class Batches:
    """What can be iterated over again, as loaders are, and counts how often it was."""

    def __init__(self, *arrays: Any, size: int = BATCH):
        self.arrays, self.size, self.begun, self.given = arrays, size, 0, 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        for start in range(0, len(self.arrays[0]), self.size):
            self.given += 1
            yield tuple(a[start : start + self.size] for a in self.arrays)


class SizedBatches(Batches):
    def __len__(self) -> int:
        return -(-len(self.arrays[0]) // self.size)


def same(a: Any, b: Any) -> bool:
    """Bit for bit."""
    pairs = zip(jax.tree.leaves(eqx.filter(a, eqx.is_array)), jax.tree.leaves(eqx.filter(b, eqx.is_array)), strict=True)
    return all(np.array_equal(np.asarray(_data(x)), np.asarray(_data(y))) for x, y in pairs)


def _data(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def from_arrays(epochs: int = 2, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    arguments = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "epochs": epochs, **arguments}
    return make_model().fit(X, Y, **arguments)


# The same as from arrays


@pytest.mark.parametrize("steps_per_execution", ["auto", 1, 2, 100])
@pytest.mark.parametrize("length", [False, True])
def test_iterables_train_as_arrays(length, steps_per_execution):
    expected, history = from_arrays()
    data = (SizedBatches if length else Batches)(X, Y)
    model, found = make_model().fit(data, epochs=2, verbose=0, steps_per_execution=steps_per_execution)
    assert same(model, expected)
    assert found.history == history.history
    assert (data.begun, data.given) == (2, 10)  # the batch that initialization looks at isn't lost, nor read twice


def test_generators_train_as_arrays_and_end():
    expected, history = from_arrays(1)
    with pytest.warns(UserWarning, match="the data ended in epoch 2 of 3: `x` is an instance of generator, which has"):
        model, found = make_model().fit(iter(Batches(X, Y)), epochs=3, verbose=0)
    assert same(model, expected)
    assert found.history == history.history
    assert found.stopped == "the data ended in epoch 2 of 3"


def test_generators_go_on():
    def endless() -> Iterator[Any]:
        while True:
            yield from Batches(X, Y)

    expected, history = from_arrays(2)
    data = endless()
    model, found = make_model().fit(data, epochs=2, steps_per_epoch=5, verbose=0)
    assert same(model, expected)
    assert found.history == history.history
    assert np.array_equal(next(data)[0], X[:BATCH])  # nothing was read that wasn't trained on


def seen_by(data: Any, *use: tg.callbacks.Callback, **arguments: Any) -> list[float]:
    """The first numbers of the batches that a `fit` trains on."""
    seen: list[float] = []

    class Telling(tg.Model):
        def train_step(self, x, states, initializing):
            if not initializing:
                seen.append(float(x[0]))
            return {"loss": 0.0}, states

    Telling(run_eagerly=True).fit(data, verbose=0, callbacks=list(use), **arguments)
    return seen


def test_one_generator_for_several_fits():
    """None of its batches is lost between them: none whose shape was looked at, and none of a `fit` that failed."""

    class StoppingAt(tg.callbacks.Callback):
        def heartbeat(self, step):
            if step == 2:
                self.stop()

    def batches() -> Iterator[Any]:
        for i, size in enumerate((2, 2, 3, 2, 2, 2, 2)):
            yield np.full(size, float(i))

    data = batches()
    assert seen_by(data, steps_per_epoch=2) == [0, 1]
    assert seen_by(data, steps_per_epoch=2) == [2, 3]
    assert seen_by(data, steps_per_epoch=2) == [4, 5]
    data = batches()
    assert seen_by(data, StoppingAt(), steps_per_epoch=5) == [0, 1]  # the third was read, to see its shape
    with pytest.raises(ValueError, match="there is nothing to train"):
        tg.Model(lambda x: x + "no", loss=tg.losses.MeanSquaredError(), optimizer=ADAM).fit(data, verbose=0)
    assert seen_by(data, steps_per_epoch=5) == [2, 3, 4, 5, 6]


def test_a_generator_that_ends_within_an_epoch():
    data = iter(Batches(X, Y))
    with pytest.warns(UserWarning, match="the data ended in epoch 2 of 3"):
        _, history = make_model().fit(data, epochs=3, steps_per_epoch=3, verbose=0)
    assert history.epoch == [0, 1]  # the second has two steps only
    assert history.stopped is not None


def test_epochs_of_a_length_of_their_own_go_through_all_of_the_data():
    seen: list[Any] = []

    class Telling(tg.Model):
        def train_step(self, x, states, initializing):
            if not initializing:
                seen.append(np.asarray(x).tolist())
            return {"loss": 0.0}, states

    data = Batches(np.arange(10.0), size=2)
    Telling(run_eagerly=True).fit(data, epochs=3, steps_per_epoch=3, verbose=0)
    assert sum(seen, []) == [*range(10), *range(8)]


def test_steps_per_epoch_of_one_pass_is_the_same_as_none():
    expected, _ = from_arrays(2)
    model, _ = make_model().fit(Batches(X, Y), epochs=2, steps_per_epoch=5, verbose=0)
    assert same(model, expected)


def test_weights_and_class_weights_come_along():
    labels = np.random.default_rng(3).integers(0, 2, N)
    arguments: dict[str, Any] = {"class_weight": {0: 1.0, 1: 3.0}, "verbose": 0}
    fields: dict[str, Any] = {"loss": tg.losses.SparseCategoricalCrossentropy(from_logits=True), "metrics": None}
    expected, history = make_model(**fields).fit(
        X, labels, sample_weight=W, batch_size=BATCH, shuffle=False, **arguments
    )
    model, found = make_model(**fields).fit(Batches(X, labels, W), **arguments)
    assert same(model, expected)
    assert found.history == history.history
    with pytest.raises(tg.DataError, match="no weight for class 7"):
        make_model(**fields).fit(Batches(X, np.full(N, 7)), **arguments)


@pytest.mark.parametrize("make", [lambda: Batches(X, Y), lambda: iter(Batches(X, Y))], ids=["iterable", "generator"])
def test_evaluate_and_predict(make):
    model = make_model()
    assert model.evaluate(make(), verbose=0) == model.evaluate(X, Y, batch_size=BATCH, verbose=0)
    assert np.array_equal(model.predict(make()), model.predict(X, batch_size=BATCH))
    assert model.evaluate(make(), steps=2, verbose=0) == model.evaluate(X, Y, steps=2, batch_size=BATCH, verbose=0)


def test_predict_takes_x_alone_as_well():
    model = make_model()
    expected = model.predict(X, batch_size=BATCH)
    assert np.array_equal(model.predict(x for (x,) in Batches(X)), expected)
    np.testing.assert_allclose(model.predict(x for x in np.split(X, 2)), expected, rtol=1e-6)


def test_validation_data():
    _, history = from_arrays(2, validation_data=(X, Y))
    data = Batches(X, Y)
    _, found = make_model().fit(X, Y, batch_size=BATCH, shuffle=False, epochs=2, verbose=0, validation_data=data)
    assert found.history == history.history
    _, found = make_model().fit(Batches(X, Y), epochs=2, verbose=0, validation_data=(X, Y))
    assert found["val_loss"] == pytest.approx(history["val_loss"], rel=1e-6)
    data = Batches(X, Y)
    make_model().fit(X, Y, batch_size=BATCH, epochs=3, verbose=0, validation_data=data, validation_steps=2)
    assert (data.begun, data.given) == (3, 6)  # each validation sees the same batches


def test_structured_batches():
    class Sum(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, a: Any, b: Any) -> Any:
            return self.linear(a) + self.linear(b)

    model = tg.Model(Sum(eqx.nn.Linear(3, 2, key=jax.random.key(0))), loss=tg.losses.MeanSquaredError(), optimizer=ADAM)
    expected, _ = model.fit({"a": X, "b": 2 * X}, Y, batch_size=BATCH, shuffle=False, verbose=0)
    found, _ = model.fit((({"b": 2 * x, "a": x}, y) for x, y in Batches(X, Y)), verbose=0)
    assert same(found, expected)


def test_jax_arrays_and_keys_in_batches():
    class Noisy(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x: Any, noise: Any) -> Any:
            return self.linear(x) + jax.random.normal(noise, (2,))

    model = tg.Model(
        Noisy(eqx.nn.Linear(3, 2, key=jax.random.key(0))), loss=tg.losses.MeanSquaredError(), optimizer=ADAM
    )
    keys = jax.random.split(jax.random.key(1), N)
    expected, _ = model.fit((X, keys), Y, batch_size=BATCH, shuffle=False, verbose=0)
    data = (((jnp.asarray(X[i]), keys[i]), jnp.asarray(Y[i])) for i in np.split(np.arange(20), 4))
    rest = (((X[20:], keys[20:]), Y[20:]) for _ in range(1))
    found, _ = model.fit((batch for part in (data, rest) for batch in part), verbose=0)
    assert same(found, expected)


def test_batches_of_many_shapes():
    """Each counts as often as it has examples; a warning says that each shape is compiled."""
    cuts = [5, 5, 3, 5, 4]
    starts = np.cumsum([0, *cuts])
    parts = [(X[a:b], Y[a:b]) for a, b in zip(starts, starts[1:], strict=False)]
    with pytest.warns(
        tg.RetraceWarning, match=r"the train step is compiled again .*`x` was f32\[5,3\] and is f32\[4,3\]"
    ):
        model, history = make_model().fit((part for part in parts), verbose=0)
    net, state = make_model().module, None
    total = 0.0
    state = ADAM.init(eqx.filter(net, eqx.is_inexact_array))
    for x, y in parts:
        loss = lambda net: jnp.mean((jax.vmap(net)(x) - y) ** 2)  # noqa: B023, E731
        value, grads = eqx.filter_value_and_grad(loss)(net)
        updates, state = ADAM.update(grads, state, eqx.filter(net, eqx.is_inexact_array))
        net = eqx.apply_updates(net, updates)
        total += float(value) * len(x)
    assert history["loss"][0] == pytest.approx(total / N, rel=1e-5)
    np.testing.assert_allclose(model.module.layers[0].weight, net.layers[0].weight, rtol=1e-4, atol=1e-6)


def test_a_smaller_last_batch_is_no_surprise():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _ = make_model().fit(Batches(X, Y), epochs=2, verbose=0)


def test_other_dtypes_are_explained():
    parts = [(X[:5], Y[:5]), (X[5:10].astype(np.float16), Y[5:10])]
    with pytest.warns(tg.RetraceWarning, match=r"`x` was f32\[5,3\] and is f16\[5,3\]"):
        make_model(loss=lambda y_true, y_pred: jnp.sum(y_pred.astype(jnp.float32) ** 2, -1), metrics=None).fit(
            (part for part in parts), verbose=0
        )


def test_callbacks_see_every_batch():
    seen: list[int] = []

    class Counting(tg.callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(batch)

    expected, _ = from_arrays(2)
    model, _ = make_model().fit(Batches(X, Y), epochs=2, verbose=0, callbacks=[Counting()])
    assert seen == [0, 1, 2, 3, 4] * 2
    np.testing.assert_allclose(model.module.layers[0].weight, expected.module.layers[0].weight, rtol=1e-5)


def test_as_numpy_iterator_is_used():
    """TensorFlow's data sets give tensors of their own otherwise."""

    class Dataset:
        def __iter__(self):
            raise AssertionError

        def as_numpy_iterator(self):
            return iter(Batches(X, Y))

    expected, _ = from_arrays(2)
    model, _ = make_model().fit(Dataset(), epochs=2, verbose=0)
    assert same(model, expected)


# What can't be


def test_a_source_is_alone():
    given: dict[str, Any] = {"y": Y, "sample_weight": W, "batch_size": 5}
    for name, value in given.items():
        with pytest.raises(tg.DataError, match=f"`{name}` is given, and `x` is an instance of Batches, which gives"):
            make_model().fit(Batches(X, Y), verbose=0, **{name: value})
    with pytest.raises(tg.DataError, match="`drop_remainder` is given"):
        make_model().fit(Batches(X, Y), drop_remainder=True)
    with pytest.raises(tg.DataError, match="`validation_split` is given, .*: pass `validation_data`"):
        make_model().fit(Batches(X, Y), validation_split=0.5)


def test_no_batches():
    with pytest.raises(tg.DataError, match="`x` is an instance of generator, which gives no batches"):
        make_model().fit((b for b in ()), verbose=0)
    with pytest.raises(tg.DataError, match="`validation_data` is an instance of generator, which gives no batches"):
        make_model().fit(X, Y, validation_data=(b for b in ()), verbose=0)


def test_a_generator_to_validate_on_ends():
    with pytest.raises(tg.DataError, match="`validation_data` is an instance of generator, which has ended after 5"):
        make_model().fit(X, Y, epochs=2, validation_data=iter(Batches(X, Y)), verbose=0)


def test_wrong_batches():
    with pytest.raises(tg.DataError, match="`x: batch 0` is .*; expected are batches `x`, `\\(x,\\)`, `\\(x, y\\)`"):
        make_model().fit(((X, Y, W, W) for _ in range(1)), verbose=0)
    with pytest.raises(tg.DataError, match="`x: batch 0: x` is the string 'a'"):
        make_model().fit(iter(["a"]), verbose=0)
    with pytest.raises(tg.DataError, match="`x: batch 0: x` has 22, `x: batch 0: y` has 5"):
        make_model().fit(((X, Y[:5]) for _ in range(1)), verbose=0)
    with pytest.raises(tg.DataError, match="`x: batch 1` is .*another structure than the batches before"):
        make_model().fit(iter([(X, Y), (X,)]), verbose=0)


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_a_list_of_batches_is_no_data_set(call, kind):
    """It is a PyTree of inputs, which a module may well take; where that goes wrong, there is a hint."""
    told = f"If that is a {kind.__name__} of batches: it was taken for the inputs of one data set.*`iter\\(batches\\)`"
    method = getattr(make_model(), call)
    with pytest.raises(Exception) as info:
        method(kind(Batches(X, Y)), verbose=0)
    assert isinstance(info.value, tg.DataError) and "`x[4][0]` has 2" in str(info.value)
    assert [note for note in info.value.__notes__ if re.search(told, note)]
    with pytest.raises(Exception) as info:
        method(kind(Batches(X[:20], Y[:20])), verbose=0)
    assert sum(bool(re.search(told, note)) for note in info.value.__notes__) == 1


def test_a_list_of_pairs_is_an_input_all_the_same():
    class Sum(eqx.Module):
        def __call__(self, pairs: Any) -> Any:
            return sum(a.sum() + b.sum() for a, b in pairs)

    model = tg.Model(Sum())
    np.testing.assert_allclose(model.predict([(X, Y), (X, Y)]), 2 * (X.sum(1) + Y.sum(1)), rtol=1e-5)


def test_a_list_of_batches_to_validate_on():
    with pytest.raises(TypeError, match=r"something that gives batches, such as an object .* A list is a PyTree"):
        make_model().fit(X, Y, validation_data=list(Batches(X, Y)), verbose=0)


def test_init_leaves_generators_alone():
    with pytest.raises(tg.DataError, match="of which `init` would take the first batch away"):
        make_model().init(iter(Batches(X, Y)))
    assert make_model().init(Batches(X, Y)).initialized


def test_more_steps_than_there_are():
    with pytest.raises(ValueError, match="`steps` is 9, and the data has 5 batches"):
        make_model().evaluate(SizedBatches(X, Y), steps=9, verbose=0)
    with pytest.raises(tg.DataError, match="`steps` is 9, and the data ended after 5 batches"):
        make_model().evaluate(Batches(X, Y), steps=9, verbose=0)


def test_an_exception_says_where_it_was():
    def broken() -> Iterator[Any]:
        yield X[:5], Y[:5]
        yield X[:5], Y[:5]
        raise OSError("the disk is gone")

    for steps in (1, 32):
        with pytest.raises(OSError, match="the disk is gone") as info:
            make_model().fit(broken(), epochs=3, steps_per_execution=steps, verbose=0)
        assert info.value.__notes__[0] == "This happened in epoch 1, after 2 of its steps."
    data = broken()
    for _ in range(2):
        next(data)
    with pytest.raises(OSError, match="the disk is gone") as info:
        make_model().fit(data, epochs=3, verbose=0)
    assert info.value.__notes__[0] == "This happened in epoch 1, before its first step had ended."


def test_an_iterator_of_somebody_else_is_left_open():
    """What `fit` made itself it closes."""
    closed: list[str] = []

    class Watched:
        def __init__(self, name: str):
            self.batches, self.name = iter(Batches(X, Y)), name

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.batches)

        def close(self):
            closed.append(self.name)

    class Loader:
        def __iter__(self):
            return Watched("made")

    class Sharing:
        def __init__(self):
            self.shared = Watched("shared")

        def __iter__(self):
            return self.shared

    make_model().fit(Watched("given"), steps_per_epoch=3, verbose=0)
    make_model().fit(Sharing(), steps_per_epoch=3, verbose=0)
    assert closed == []
    make_model().fit(Loader(), steps_per_epoch=3, verbose=0)
    make_model().evaluate(Loader(), verbose=0)
    assert closed == ["made"] * 2
    with pytest.raises(ValueError, match="`verbose`"):
        make_model().fit(Loader(), verbose=cast(Any, 7))  # before it was iterated over
    assert closed == ["made"] * 2
    failing = tg.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_model().fit(Loader(), verbose=0, callbacks=[failing])
    assert closed == ["made"] * 3
