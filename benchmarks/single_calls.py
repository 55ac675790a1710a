"""Calls that are made one at a time, and short ones: treegy beside the same written by hand with `eqx.filter_jit`."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from bounds import BOUNDS
from contenders.equinox_loops import HandWritten, loss_and_accuracy
from contenders.treegy_fit import Treegy
from timing import Differ, Result, measure
from workloads import PLANS, Work

import treegy as tg

Run = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Calls:
    """One kind of call, made in a row."""

    name: str
    title: str
    make: Callable[[Work, list[Any]], tuple[Run, Run]]
    """Makes of a workload and its batches what runs all calls with treegy, and by hand. Both return what they computed
    last."""
    calls: int = 200


class _Run:
    """What `measure` times."""

    def __init__(self, run: Run):
        self.run = run

    def reset(self) -> None: ...


def measured(kind: Calls, rounds: int, quick: bool) -> Result:
    """**Raises:** `Differ` if the two don't compute the same."""
    work = next(plan for plan in PLANS if plan.name == "mlp").work(quick=True)
    calls = 10 if quick else kind.calls
    batches = list(itertools.islice(itertools.cycle(work.batches()), calls))
    return compared(kind.name, kind.title, kind.make(work, batches), calls, rounds)


def compared(name: str, title: str, runs: tuple[Run, Run], steps: int, rounds: int) -> Result:
    """Measure what runs with treegy and by hand.

    **Raises:** `Differ` if the two don't return the same.
    """
    found, expected = (np.asarray(run()) for run in runs)
    if not np.allclose(found, expected, rtol=1e-2, atol=1e-3):
        raise Differ(f"{name}: treegy computes {found}, the hand-written loop {expected}.")
    result = Result(name, title, steps=steps, bounds=BOUNDS.get(name, {}))
    result.values = measure(dict(zip(("treegy", "hand-written"), map(_Run, runs), strict=True)), rounds)
    return result


# Training


def _by_hand(work: Work) -> tuple[HandWritten, Any, Any]:
    loop = HandWritten(work)
    return loop, loop.initial, loop.optimizer.init(eqx.filter(loop.initial, eqx.is_inexact_array))


def _trains_by_hand(work: Work, batches: list[Any]) -> Run:
    loop, network, opt_state = _by_hand(work)

    def theirs() -> float:
        net, states, loss = network, opt_state, None
        for x, y in batches:
            net, states, loss, _ = loop.train_step(net, states, x, y)
        return float(jax.block_until_ready((loss, net))[0])

    return theirs


def _trains(step: Callable[[Any, Any, Any], Any], model: Any, batches: list[Any]) -> Run:
    def ours() -> float:
        current, logs = model, {}
        for x, y in batches:
            current, logs = step(current, x, y)
        jax.block_until_ready(current.parameters)
        return float(logs["loss"])

    return ours


def _train_on_batch(work: Work, batches: list[Any]) -> tuple[Run, Run]:
    step = lambda model, x, y: model.train_on_batch(x, y)  # noqa: E731
    return _trains(step, Treegy(work).initial.init(*batches[0]), batches), _trains_by_hand(work, batches)


def _train_within_jit(work: Work, batches: list[Any]) -> tuple[Run, Run]:
    step = eqx.filter_jit(lambda model, x, y: model.train_on_batch(x, y))
    # Without what `test_on_batch` accumulates, which `init` makes too: the other loop carries nothing of that kind.
    model = Treegy(work).initial.init(*batches[0])
    model = model.replace(states=model.states.update(metrics_states=None))
    return _trains(step, model, batches), _trains_by_hand(work, batches)


# Evaluating and predicting, with a model that has been trained: so it is initialized, and has accumulated nothing


def _trained(work: Work, batches: list[Any]) -> tuple[Any, HandWritten]:
    """A model that `fit` returned, and the hand-written loop with its network."""
    loop, (x, y) = HandWritten(work), batches[0]
    model, _ = Treegy(work).initial.fit(x, y, batch_size=work.batch_size, verbose=0)
    loop.initial = model.module
    return model, loop


def _test_on_batch(work: Work, batches: list[Any]) -> tuple[Run, Run]:
    model, loop = _trained(work, batches)
    network = loop.initial

    @eqx.filter_jit
    def accumulated(net: Any, sums: Any, x: Any, y: Any) -> Any:
        loss, accuracy = loss_and_accuracy(net, x, y)
        total, hits, n = sums
        sums = total + loss * len(y), hits + accuracy * len(y), n + len(y)
        return sums, {"loss": sums[0] / sums[2], "accuracy": sums[1] / sums[2]}

    def ours() -> float:
        current, logs = model, {}
        for x, y in batches:
            current, logs = current.test_on_batch(x, y)
        return float(logs["loss"])

    def theirs() -> float:
        sums, logs = (np.float32(0), np.float32(0), np.int32(0)), {}
        for x, y in batches:
            sums, logs = accumulated(network, sums, x, y)
        return float(logs["loss"])

    return ours, theirs


def _test_the_same_model(work: Work, batches: list[Any]) -> tuple[Run, Run]:
    model, loop = _trained(work, batches)

    def ours() -> float:
        logs: Any = {}
        for x, y in batches:
            _, logs = model.test_on_batch(x, y)
        return float(logs["loss"])

    def theirs() -> float:
        loss: Any = None
        for x, y in batches:
            loss, _ = loop.test_step(loop.initial, x, y)
        return float(loss)

    return ours, theirs


def _predicts(call: Callable[[Any, Any], Any]) -> Callable[[Work, list[Any]], tuple[Run, Run]]:
    def make(work: Work, batches: list[Any]) -> tuple[Run, Run]:
        model, loop = _trained(work, batches)
        return (
            lambda: jax.block_until_ready([call(model, x) for x, _ in batches])[-1],
            lambda: jax.block_until_ready([loop.predict_step(loop.initial, x) for x, _ in batches])[-1],
        )

    return make


# Calls of the loop that are short: one batch


def _fit_of_a_batch(work: Work, batches: list[Any]) -> tuple[Run, Run]:
    model = Treegy(work).initial.init(*batches[0])
    loop, network, opt_state = _by_hand(work)

    def ours() -> list[float]:
        size = work.batch_size
        return [model.fit(x, y, batch_size=size, shuffle=False, verbose=0)[1]["loss"][0] for x, y in batches]

    return ours, lambda: [float(loop.train_step(network, opt_state, x, y)[2]) for x, y in batches]


def _evaluate_of_a_batch(work: Work, batches: list[Any]) -> tuple[Run, Run]:
    model, loop = _trained(work, batches)
    return (
        lambda: [model.evaluate(x, y, batch_size=work.batch_size, verbose=0)["loss"] for x, y in batches],
        lambda: [float(loop.test_step(loop.initial, x, y)[0]) for x, y in batches],
    )


def _predict_of_a_batch(work: Work, batches: list[Any]) -> tuple[Run, Run]:
    model, loop = _trained(work, batches)
    return (
        lambda: [np.asarray(model.predict(x, batch_size=work.batch_size, verbose=0)) for x, _ in batches],
        lambda: [np.asarray(loop.predict_step(loop.initial, x)) for x, _ in batches],
    )


# Hooks of every batch, in a whole epoch


class _Nothing(tg.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: tg.callbacks.Logs) -> None: ...


class _Reads(tg.callbacks.Callback):
    last = 0.0

    def on_train_batch_end(self, batch: int, logs: tg.callbacks.Logs) -> None:
        self.last = logs["loss"]


def _hooked(callback: type[tg.callbacks.Callback]) -> Callable[[Work, list[Any]], tuple[Run, Run]]:
    def make(work: Work, batches: list[Any]) -> tuple[Run, Run]:
        x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        model = Treegy(work).initial
        arguments: Any = {"batch_size": work.batch_size, "shuffle": False, "verbose": 0}
        loop, network, opt_state = _by_hand(work)

        def theirs() -> float:
            net, states, losses = network, opt_state, []
            for x, y in batches:
                net, states, loss, _ = loop.train_step(net, states, x, y)
                losses.append(loss)
            return float(np.mean([float(loss) for loss in losses]))

        return lambda: model.fit(x, y, callbacks=callback(), **arguments)[1]["loss"][-1], theirs

    return make


CALLS = [
    Calls("train-on-batch", "`train_on_batch`", _train_on_batch),
    Calls("train-in-jit", "`train_on_batch` within one's own `filter_jit`", _train_within_jit),
    Calls("test-on-batch", "`test_on_batch`, accumulating", _test_on_batch),
    Calls("test-the-same", "`test_on_batch` of the same model each time", _test_the_same_model),
    Calls("predict-on-batch", "`predict_on_batch`", _predicts(lambda model, x: model.predict_on_batch(x))),
    Calls("call", "`model(x)`", _predicts(lambda model, x: model(x))),
    Calls("fit-one", "`fit` of one batch", _fit_of_a_batch, 50),
    Calls("evaluate-one", "`evaluate` of one batch", _evaluate_of_a_batch, 50),
    Calls("predict-one", "`predict` of one batch", _predict_of_a_batch, 50),
    Calls("hook", "`fit` with a hook of every batch", _hooked(_Nothing), 937),
    Calls("hook-reads", "… that reads the loss", _hooked(_Reads), 937),
]
