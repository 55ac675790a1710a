"""Hooks of every batch are called as if the run stopped after each step, whatever it runs in one go."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treegy as tg
from helpers import numbers
from helpers.linear_models import arrays, identical
from treegy._loop import _engine

pytestmark = pytest.mark.standard_promotion  # `eqx.nn.BatchNorm` counts in integers

X, Y = numbers(150, 4), np.random.default_rng(1).integers(0, 3, 150).astype("int32")
WEIGHT = np.linspace(0.5, 2, 150, dtype="f4")
BATCH, STEPS = 8, 19  # the last batch has six examples


class Net(eqx.Module):
    """With something of everything: randomness, a state of its own, arrays that no step changes."""

    layers: list[Any]
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    fixed: jax.Array

    def __init__(self, key: Any):
        keys = jax.random.split(key, 2)
        self.layers = [eqx.nn.Linear(4, 8, key=keys[0]), eqx.nn.Linear(8, 3, key=keys[1])]
        self.norm = eqx.nn.BatchNorm(8, "batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.3)
        self.fixed = jnp.arange(8, dtype=jnp.int32)

    def __call__(self, x: Any, state: eqx.nn.State, key: Any) -> Any:
        x, state = self.norm(jax.nn.relu(self.layers[0](x)), state)
        return self.layers[1](self.dropout(x + self.fixed, key=key)), state


OPTIMIZER = optax.adam(1e-2)
LOSS = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
METRICS = [tg.metrics.SparseCategoricalAccuracy(), tg.metrics.F1Score()]


def made(**changes: Any) -> Any:
    module, state = eqx.nn.make_with_state(Net)(jax.random.key(0))
    model = tg.Model(module, loss=LOSS, metrics=METRICS, optimizer=OPTIMIZER, state=state)
    return model.replace(**changes) if changes else model


class Jitted(tg.Model[Any]):
    """Compiled by its own `jit_step`, which donates what it can."""

    def jit_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        return eqx.filter_jit(step, donate="all")


class Act(NamedTuple):
    """What a hook does: at its `at`-th call over the whole run."""

    hook: str
    at: int
    what: str


def halved(model: Any) -> Any:
    half = lambda a: a * 0.5 if eqx.is_inexact_array(a) else a  # noqa: E731
    return eqx.tree_at(lambda m: m.module, model, jax.tree.map(half, model.module))


class Recorder(tg.callbacks.Callback):
    """Notes all that hooks are told and can see, and does some things."""

    def __init__(self, acts: Any = ()):
        self.acts = {(act.hook, act.at): act.what for act in acts}
        self.seen: list[Any] = []
        self.calls = {"begin": 0, "end": 0}
        self.wanted: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self.seen.append(("epoch", epoch))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self.seen.append(("epoch end", epoch, known(logs)))

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any]) -> None:
        self._note("begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any]) -> None:
        self._note("end", batch, logs)

    def next_step(self, step: int) -> int | None:
        return self.wanted if self.wanted is not None and self.wanted > step else None

    def on_step_end(self, step: int, logs: Mapping[str, Any]) -> None:
        self.seen.append(("step end", step, known(logs), words(self.model)))

    def _note(self, hook: str, batch: int, logs: Mapping[str, Any]) -> None:
        run, n = self.training_run, self.calls[hook]
        self.calls[hook] += 1
        self.seen.append((hook, batch, known(logs), run.epoch, run.step, run.over))
        what = self.acts.get((hook, n))
        if what == "look":
            self.seen.append(words(self.model))
        elif what == "look at the run's":
            self.seen.append(words(run.model))
        elif what == "replace":
            self.model = halved(self.model)
        elif what == "stop":
            self.stop("enough")
        elif what == "interrupt":
            self.stop("later", interrupt=True)
        elif what == "want the next step":
            self.wanted = run.step + (2 if hook == "begin" else 1)
        elif what == "last batch":
            self.seen.append(np.asarray(run.last_batch.x).tobytes())
        elif what == "raise":
            raise OSError("the disk is full")


class EveryStep(Recorder):
    every_step = True


def known(logs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value).tobytes() for name, value in logs.items()}


def words(model: Any) -> list[bytes]:
    as_words = lambda a: jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a  # noqa: E731
    return [np.asarray(as_words(a)).tobytes() for a in jax.tree.leaves(arrays(model))]


class Batches:
    """Batches that can be gone through again."""

    def __init__(self, batches: list[Any]):
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class Outcome(NamedTuple):
    seen: list[Any]
    model: list[bytes]
    history: Any
    validations: Any
    stopped: str | None
    error: str | None


def outcome(callback: Any, model: Any = None, data: Any = None, **arguments: Any) -> Outcome:
    x, y = (X, Y) if data is None else (data(), None)
    more = {"batch_size": BATCH} if data is None else {}
    arguments = {"epochs": 2, "verbose": 0, "callbacks": callback, **more, **arguments}
    error = None
    try:
        model, history = (made() if model is None else model).fit(x, y, **arguments)
    except OSError as e:
        model, history = tg.rescued(e)
        error = str([e, *e.__notes__])
    values = {name: [np.asarray(v).tobytes() for v in history[name]] for name in history}
    validations = [(step, known(values)) for step, values in history.validations]
    return Outcome(callback.seen, words(model), values, validations, history.stopped, error)


def check(acts: Any, **arguments: Any) -> Outcome:
    """What happens is what happens a step at a time."""
    expected = outcome(EveryStep(acts), **arguments)
    found = outcome(Recorder(acts), **arguments)
    for name in Outcome._fields:
        assert getattr(found, name) == getattr(expected, name), name
    return found


HOOKS = ["begin", "end"]
WHATS = ["look", "look at the run's", "replace", "stop", "interrupt", "want the next step", "last batch", "raise"]


def acts(whats: list[str]) -> Any:
    act = st.builds(Act, st.sampled_from(HOOKS), st.integers(0, 2 * STEPS - 1), st.sampled_from(whats))
    # Before the first step there is no last batch.
    return st.lists(act.filter(lambda a: a.what != "last batch" or a.hook == "end"), max_size=6)


@pytest.mark.once
@settings(max_examples=8, deadline=None)
@given(acts(WHATS), st.sampled_from(["auto", 1, 3, 7, 64]))
def test_whatever_hooks_do(acts: Any, steps_per_execution: Any) -> None:
    check(acts, steps_per_execution=steps_per_execution)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(acts(WHATS), st.sampled_from(["auto", 1, 3, 7, 64]))
def test_whatever_hooks_do_exhaustively(acts: Any, steps_per_execution: Any) -> None:
    check(acts, steps_per_execution=steps_per_execution)


EDGES = [pytest.param(0, marks=pytest.mark.slow), STEPS - 1, pytest.param(2 * STEPS - 1, marks=pytest.mark.slow)]


@pytest.mark.once
@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("at", EDGES)
def test_each_thing_at_the_edges_of_epochs(what: str, hook: str, at: int) -> None:
    if (what, hook) == ("last batch", "begin"):
        hook, at = "end", at // 2
    check([Act(hook, at, what)])


@pytest.mark.once
@pytest.mark.parametrize(
    "arguments",
    [
        {"sample_weight": WEIGHT, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
        {"validation_data": (X[:20], Y[:20]), "validation_freq": tg.Every(steps=5)},
        {"validation_data": (X[:20], Y[:20])},
        {"data": lambda: Batches([(X[i : i + 10], Y[i : i + 10]) for i in range(0, 150, 10)])},
        {"data": lambda: Batches([(X[:n], Y[:n]) for n in (8, 8, 8, 3, 8, 8, 8, 8, 8, 3, 8, 8, 8, 8)])},
        {"steps_per_epoch": 7, "epochs": 4},
    ],
    ids=["weights", "validation within epochs", "validation", "batches", "batches of two sizes", "short epochs"],
)
@pytest.mark.parametrize("what", [pytest.param("look", marks=pytest.mark.slow), "replace", "stop"])
def test_whatever_fit_is_asked_for(arguments: dict[str, Any], what: str) -> None:
    check([Act("end", 6, "look"), Act("begin", 9, what), Act("end", 13, "want the next step")], **arguments)


@pytest.mark.once
@pytest.mark.parametrize("kind", ["eager", "jit_step"])
def test_models_that_are_compiled_otherwise(kind: str) -> None:
    model = made(run_eagerly=True) if kind == "eager" else Jitted(**_fields(made()))
    check([Act("end", 3, "look"), Act("end", 5, "replace")], model=model, epochs=1, steps_per_epoch=8)


def _fields(model: Any) -> dict[str, Any]:
    return {
        "module": model.module,
        "loss": LOSS,
        "metrics": METRICS,
        "optimizer": OPTIMIZER,
        "state": model.states.state,
    }


def test_hooks_change_nothing() -> None:
    quiet = outcome(Quiet())
    noisy = outcome(Recorder())
    assert quiet[1:] == noisy[1:]


class Quiet(tg.callbacks.Callback):
    seen: Any = ()


def test_steps_are_run_ahead_of_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = ran_ahead(monkeypatch)
    outcome(Recorder(), epochs=1)
    assert sum(runs) >= STEPS - 2
    assert max(runs) > 1
    runs.clear()
    outcome(EveryStep(), epochs=1)
    assert not runs


def ran_ahead(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    runs: list[int] = []
    original = _engine.Engine.run_ahead

    def run_ahead(self: Any, data: Any, first: int, n: int) -> Any:
        runs.append(n)
        return original(self, data, first, n)

    monkeypatch.setattr(_engine.Engine, "run_ahead", run_ahead)
    return runs


def test_who_looks_at_every_model_has_steps_made_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = ran_ahead(monkeypatch)
    outcome(Recorder([Act("end", i, "look") for i in range(STEPS)]), epochs=1)
    assert len(runs) <= 1


@pytest.mark.once
def test_steps_that_call_python_do_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    class Telling(tg.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            jax.debug.callback(lambda v: told.append(float(v)), jnp.sum(y_pred))
            return LOSS.call(y_true, y_pred)

    runs = ran_ahead(monkeypatch)
    outcome(Recorder([Act("end", 4, "look")]), model=made(loss=Telling()), epochs=1)
    jax.effects_barrier()
    assert not runs
    assert len(told) == STEPS


def test_an_error_of_a_step_comes_after_the_hooks_of_those_before_it() -> None:
    class Picky(tg.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return eqx.error_if(LOSS.call(y_true, y_pred), jnp.any(y_true == 9), "there is no class 9")

    y = Y.copy()
    y[45] = 9  # in the sixth batch
    callback = Recorder()
    with pytest.raises(eqx.EquinoxRuntimeError, match="there is no class 9"):
        made(loss=Picky()).fit(X, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=callback)
    assert callback.calls == {"begin": 6, "end": 5}


def test_large_models_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from treegy._loop import _compiled_engine

    monkeypatch.setattr(_compiled_engine, "_MOST_BYTES_KEPT", 100)
    runs = ran_ahead(monkeypatch)
    check([Act("end", 4, "look"), Act("begin", 8, "replace")], epochs=1)
    assert not runs


def test_the_model_that_the_user_holds_stays_valid() -> None:
    model, x, y = made(), jnp.asarray(X), jnp.asarray(Y)
    before = words(model)
    outcome(
        Recorder([Act("end", 4, "look"), Act("begin", 8, "replace")]), model=model, data=lambda: Batches([(x, y)] * 9)
    )
    assert words(model) == before
    assert identical(np.asarray(x), X)


def test_what_hooks_hold_stays_valid() -> None:
    class Keeper(tg.callbacks.Callback):
        def __init__(self):
            self.models: list[Any] = []
            self.then: list[Any] = []

        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            if batch % 5 == 2:
                self.models.append(self.model)
                self.then.append(words(self.models[-1]))

    keeper = Keeper()
    made().fit(X, Y, batch_size=BATCH, epochs=2, verbose=0, callbacks=keeper)
    assert len(keeper.models) == 8
    assert [words(model) for model in keeper.models] == keeper.then


class Watcher(tg.callbacks.Callback):
    def __init__(self, stops_at: int | None = None, looks: bool = False):
        self.seen: list[Any] = []
        self.stops_at, self.looks = stops_at, looks

    def on_test_batch_begin(self, batch: int, logs: Any) -> None:
        self.seen.append(("begin", batch))

    def on_test_batch_end(self, batch: int, logs: Any) -> None:
        self.seen.append(("end", batch, known(logs)))
        if self.looks and batch == 3:
            self.seen.append(words(self.model))
        if batch == self.stops_at:
            self.stop("enough")


class EveryTest(Watcher):
    every_step = True


@pytest.mark.once
@pytest.mark.parametrize("stops_at", [None, 0, 1, 6, STEPS - 1])
@pytest.mark.parametrize("looks", [False, True])
def test_evaluate(stops_at: int | None, looks: bool) -> None:
    model = made().init(X[:8])
    a, b = Watcher(stops_at, looks), EveryTest(stops_at, looks)
    found = model.evaluate(X, Y, batch_size=BATCH, callbacks=a, verbose=0)
    expected = model.evaluate(X, Y, batch_size=BATCH, callbacks=b, verbose=0)
    assert known(found) == known(expected)
    assert a.seen == b.seen
    assert len([s for s in a.seen if s[0] == "end"]) == (STEPS if stops_at is None else stops_at + 1)


@pytest.mark.once
@pytest.mark.parametrize("within", [True, False])
def test_validation(within: bool) -> None:
    more = {"validation_freq": tg.Every(steps=7)} if within else {}
    a, b = Watcher(2), EveryTest(2)
    found = outcome(a, validation_data=(X, Y), **more)
    assert found == outcome(b, validation_data=(X, Y), **more)
    assert found.stopped == "enough"


@pytest.mark.once
def test_backups_resume_in_the_middle_of_what_was_run_ahead(tmp_path: Any) -> None:
    whole = outcome(Recorder())
    backup = lambda: tg.callbacks.BackupAndRestore(tmp_path / "b", save_freq=4)  # noqa: E731
    first = Recorder([Act("end", 9, "interrupt")])
    made().fit(X, Y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[first, backup()])
    second = Recorder()
    model, _ = made().fit(X, Y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[second, backup()])
    assert words(model) == whole.model
    batches = lambda seen: [s for s in seen if s[0] in HOOKS and isinstance(s[1], int)]  # noqa: E731
    ends = lambda seen: [s[:5] for s in batches(seen)]  # noqa: E731
    assert ends(first.seen) + ends(second.seen) == ends(whole.seen)
