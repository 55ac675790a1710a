"""Steps that are not finite are explained: what was first, and what it spoiled."""

import contextlib
import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers

pytestmark = pytest.mark.once

X = numbers(8, 3)
Y = numbers(8, 2, seed=1)
SGD = optax.sgd(0.1)
MSE = tg.losses.MeanSquaredError()


def linear(n: int = 2, of: int = 3, bias: bool = True) -> eqx.nn.Linear:
    return eqx.nn.Linear(of, n, use_bias=bias, key=jax.random.key(0))


def make_model(loss: Any = MSE, module: Any = None, optimizer: Any = SGD, **fields: Any) -> tg.Model[Any]:
    return tg.Model(linear() if module is None else module, loss=loss, optimizer=optimizer, **fields)


def explained(model: tg.Model[Any], x: Any = X, y: Any = Y, weight: Any = None) -> list[str]:
    """The lines of a report, without what is before the first that is not finite."""
    text = tg.debug.explain_nan(model, x, y, weight)
    assert text is not None
    return text.removeprefix("The first value that isn't finite: ").splitlines()


def line_of(fn: Any, text: str) -> str:
    lines, start = inspect.getsourcelines(fn)
    return f"test_explain_nan.py:{start + next(i for i, line in enumerate(lines) if text in line)}"


# Modules and losses as users write them


class Log(eqx.Module):
    scale: jax.Array

    def __init__(self, n: int = 2):
        self.scale = jnp.ones(n)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        return jnp.log(-jnp.abs(x) * self.scale)


class Blocks(eqx.Module):
    blocks: list[Any]
    heads: dict[str, Any]

    def __call__(self, image: Any) -> Any:
        for block in self.blocks:
            image = block(image)
        return self.heads["out"](image)


class Masked(eqx.Module):
    mask: jax.Array
    net: eqx.nn.Linear

    def __init__(self, *mask: float):
        self.mask, self.net = jnp.asarray(mask), linear()

    def __call__(self, x: Any) -> Any:
        return self.net(jax.nn.softmax(x + self.mask))


def square_root(y_true: Any, y_pred: Any) -> Any:
    error = jnp.sum((y_true - y_pred) ** 2, axis=-1)
    return jnp.sqrt(error - 1e6)


def distance(y_pred: Any) -> Any:
    apart = y_pred - jax.lax.stop_gradient(y_pred)
    return jnp.sqrt(jnp.sum(apart**2, axis=-1))  # 0, and its gradient is none


def masked(y_pred: Any) -> Any:
    good = jnp.where(y_pred > 0, y_pred, 1.0)
    bad = jnp.log(-jnp.abs(y_pred))  # NaN, and never used
    return jnp.sum(jnp.where(jnp.isfinite(good), jax.lax.stop_gradient(good), bad) + y_pred, axis=-1)


# What was not finite before


def test_a_parameter():
    mlp = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    bad = eqx.tree_at(lambda m: m.layers[1].weight, mlp, mlp.layers[1].weight.at[0, 1].set(jnp.nan))
    first, *more = explained(make_model(module=bad))
    assert first == "the parameter `module.layers[1].weight`, before the step already: f32[2,4]: 1 of 8 is nan"
    assert "  spoiled: the log `mean_squared_error_loss`, nan" in more
    assert "  spoiled: the gradient of `module.layers[0].bias`, f32[4]: 4 of 4 are nan" in more


def test_the_data():
    x = X.copy()
    x[3, 1], x[5, 0] = np.inf, np.nan
    module = Blocks([linear(3)], {"out": linear()})
    first, *_ = explained(make_model(module=module), {"image": x, "other": X})
    told = "f32[8,3]: 1 of 24 is nan, 1 of 24 is inf; examples 3, 5 of the batch"
    assert first == f"the data `x['image']`, before the step already: {told}"
    y = Y.copy()
    y[2] = np.nan
    first, *_ = explained(make_model(), y=y)
    assert first == "the data `y`, before the step already: f32[8,2]: 2 of 16 are nan; example 2 of the batch"


def test_what_is_meant_not_to_be_finite():
    """Infinity as in masks and labels of weight 0 are nobody's fault, and hide nobody else's."""

    def log(y_pred: Any) -> Any:
        return jnp.sum(jnp.log(-jnp.abs(y_pred)), -1)

    y, weight = Y.copy(), np.ones(8, np.float32)
    y[2], weight[2] = np.nan, 0
    module = Masked(0, -np.inf, 0)
    frozen = eqx.tree_at(lambda m: m.mask, jax.tree.map(eqx.is_inexact_array, module), False)
    for trainable in (frozen, eqx.is_inexact_array):
        fine = make_model(module=module, trainable=trainable)
        assert tg.debug.explain_nan(fine, X, y, weight) is None
        first, *_ = explained(fine.replace(loss={"a": [MSE, log]}), y=y, weight=weight)
        assert first == "`log` in the loss `a/log_loss`"
    x = X.copy()
    x[2] = np.nan
    assert tg.debug.explain_nan(make_model(), x, y, weight) is None
    first, *_ = explained(make_model([MSE, log]), x, y, weight)
    assert first == "`log` in the loss `log_loss`"


def test_a_mask_that_leaves_nothing():
    first, second, *_ = explained(make_model(module=Masked(-np.inf, -np.inf, -np.inf)))
    assert first == "the parameter `module.mask`, before the step already: f32[3]: 3 of 3 are -inf"
    assert second == "  NaN comes of it: `sub` in the layer `module` (Masked)"

    class Where(eqx.Module):
        def __call__(self, x: Any) -> Any:
            return jax.nn.softmax(jnp.where(x > 1e9, x, -jnp.inf))

    module = eqx.nn.Sequential([linear(), eqx.nn.Lambda(Where())])
    first, at, of, *_ = explained(make_model(module=module))
    assert first == "`sub` in the layer `module.layers[1].fn` (Where)" and line_of(Where, "softmax") in at
    assert of == "  of: infinity that is written in the code"


# Layers


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (
            eqx.nn.MLP(3, 2, 4, 1, activation=lambda x: jnp.log(-jnp.abs(x)), key=jax.random.key(0)),
            "`module.activation` (<lambda>)",
        ),
        (
            eqx.nn.Sequential([linear(), eqx.nn.Dropout(0.5), eqx.nn.Lambda(lambda x: jnp.log(-jnp.abs(x)))]),
            "`module.layers[2]` (Lambda)",
        ),
        (Blocks([linear(3), Log(3)], {"out": linear()}), "`module.blocks[1]` (Log)"),
        (Blocks([linear()], {"out": Log()}), "`module.heads['out']` (Log)"),
    ],
)
def test_a_layer(module, expected):
    first, *more = explained(make_model(module=module), {"image": X} if isinstance(module, Blocks) else X)
    assert first == f"`log` in the layer {expected}"
    assert "test_explain_nan.py" in more[0] and "jnp.log" in more[0]
    assert more[1].startswith("  of: f32[8,") and "nan" in more[2]


def test_a_layer_of_equinox_with_the_line_that_calls_it():
    class Two(eqx.Module):
        a: eqx.nn.Linear
        b: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            x = self.a(x)
            return self.b(x)

    module = eqx.tree_at(lambda m: m.b.weight, Two(linear(3), linear()), jnp.full((2, 3), 3e38))
    first, at, *more = explained(make_model(module=module))
    assert first == "`dot_general` in the layer `module.b` (Linear)"
    assert line_of(Two, "self.b(x)") in at
    assert " are -inf" in more[1] and "from 3e+38 to 3e+38" in more[0]


def test_a_layer_within_vmap_and_scan():
    class Steps(eqx.Module):
        cell: Log
        pairs: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            pairs = jax.vmap(self.pairs)(jnp.stack([x, x]))

            def body(carry: Any, row: Any) -> Any:
                i, h = carry
                h = jnp.where(i == 2, self.cell(row), h + row)
                return (i + 1, h), h

            (_, h), _ = jax.lax.scan(body, (0, x[:2]), jnp.concatenate([pairs, pairs]))
            return h

    first, at, *_ = explained(make_model(module=Steps(Log(), linear())))
    assert first == "`log` in the layer `module.cell` (Log)"
    assert line_of(Log, "jnp.log") in at and at.endswith(", in iteration 2 of a loop")


def test_loops_that_are_not_differentiated():
    class Powers(eqx.Module):
        net: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            big = jax.lax.stop_gradient(self.net(x))
            big = jax.lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * 1e15), (0, jnp.abs(big) + 1))[1]
            return self.net(x) + jax.lax.cond(jnp.sum(x) < 1e9, lambda b: b, jnp.zeros_like, big)

    first, at, *_ = explained(make_model(module=Powers(linear())))
    assert first == "`mul` in the layer `module` (Powers)" and at.endswith("in iteration 2 of a loop")


def test_programs_within_programs():
    class Compiled(eqx.Module):
        scale: jax.Array

        @eqx.filter_jit
        def __call__(self, x: Any) -> Any:
            return jax.checkpoint(lambda x: jnp.log(-jnp.abs(x)))(x) * self.scale

    module = Blocks([linear(), Compiled(jnp.ones(2))], {"out": eqx.filter_jit(linear(of=2))})
    first, at, *_ = explained(make_model(module=module), {"image": X})
    assert first == "`log` in the layer `module.blocks[1]` (Compiled)" and line_of(Compiled, "jnp.log") in at


def test_a_derivative_of_a_users_own():
    @jax.custom_vjp
    def size(x: Any) -> Any:
        return jnp.abs(x)

    size.defvjp(lambda x: (jnp.abs(x), x), lambda x, g: (g * jnp.log(-jnp.abs(x)),))
    module = eqx.nn.Sequential([linear(), eqx.nn.Lambda(size)])
    assert explained(make_model(module=module))[0] == "`log` in the gradient of the layer `module.layers[1]` (Lambda)"


def test_states_of_layers():
    class Normed(eqx.Module):
        norm: eqx.nn.BatchNorm
        net: eqx.nn.Linear

        def __call__(self, x: Any, state: Any) -> Any:
            x, state = self.norm(x, state)
            return self.net(x), state

    module, state = eqx.nn.make_with_state(lambda: Normed(eqx.nn.BatchNorm(3, "batch", mode="ema"), linear()))()
    assert tg.debug.explain_nan(make_model(module=module, state=state), X, Y) is None
    x = X.copy()
    x[4] = np.inf
    lines = explained(make_model(module=module, state=state), x)
    assert lines[0].startswith("the data `x`") and lines[0].endswith("; example 4 of the batch")
    assert any("`state of module.norm.ema_state_index`" in line for line in lines)
    model = make_model(square_root, module=module, state=state)
    assert explained(model)[0] == "`sqrt` in the loss `square_root_loss`"


# Losses


def test_a_loss():
    first, at, of, makes, *more = explained(make_model(square_root))
    assert first == "`sqrt` in the loss `square_root_loss`"
    assert line_of(square_root, "jnp.sqrt") in at and at.endswith("(square_root): return jnp.sqrt(error - 1e6)")
    assert of.startswith("  of: f32[8] from -1e+06 to ")
    assert makes == "  makes: f32[8]: 8 of 8 are nan"
    assert more[:2] == ["  spoiled: the log `loss`, nan", "  spoiled: the log `square_root_loss`, nan"]
    assert "  spoiled: the gradient of `module.weight`, f32[2,3]: 6 of 6 are nan" in more


@pytest.mark.parametrize(
    ("loss", "scale", "expected"),
    [
        (MSE, 1e30, "loss `mean_squared_error_loss`"),
        ({"a": [MSE, square_root], "b": MSE}, 1.0, "loss `a/square_root_loss`"),
        ([tg.losses.MeanAbsoluteError(), tg.regularizers.GlobalL2(1e-3)], 1e30, "loss `global_l2_loss`"),
    ],
)
def test_which_loss(loss, scale, expected):
    module = eqx.tree_at(lambda n: n.weight, linear(), jnp.full((2, 3), scale))
    assert explained(make_model(loss, module))[0].endswith(f" in the {expected}")


def test_a_figure():
    """Neither the loss overflows nor a gradient: only what is shown, 1e30 times the weight."""
    module = eqx.tree_at(lambda n: n.weight, linear(), jnp.full((2, 3), 1e15))
    first, *more = explained(make_model(tg.losses.MeanSquaredError(weight=1e10), module))
    assert first == "`mul` in the loss `mean_squared_error_loss`"
    assert not any("gradient" in line for line in more)


def test_a_metric():
    first, *more = explained(make_model(metrics={"m": square_root}))
    assert first == "`sqrt` in the metric `m/square_root`"
    assert [line for line in more if "spoiled" in line] == ["  spoiled: the log `m/square_root`, nan"]


def test_a_gradient():
    """The loss is finite: only the gradient isn't."""
    first, at, of, makes, *more = explained(make_model(distance), y=None)
    assert first == "`div` in the gradient of the loss `distance_loss`" and line_of(distance, "jnp.sqrt") in at
    assert of == "  of: f32[] from 0.5 to 0.5, f32[8] from 0 to 0" and makes == "  makes: f32[8]: 8 of 8 are inf"
    assert "  not spoiled: the metric values of the step, which are finite" in more
    assert "  spoiled: the gradient of `module.bias`, f32[2]: 2 of 2 are nan" in more


def test_a_gradient_through_a_layer():
    class Length(eqx.Module):
        def __call__(self, x: Any) -> Any:
            return jnp.sqrt(x * x)

    module = Blocks([linear(3, bias=False), Length()], {"out": linear()})
    first, at, *more = explained(make_model(module=module), {"image": 0 * X})
    assert first == "`div` in the gradient of the layer `module.blocks[1]` (Length)"
    assert line_of(Length, "jnp.sqrt") in at
    assert [line for line in more if "spoiled: the gradient" in line] == [
        "  spoiled: the gradient of `module.blocks[0].weight`, f32[3,3]: 9 of 9 are nan"
    ]


def test_an_update():
    model = make_model(optimizer=optax.sgd(3e38), loss=lambda y_pred: 1e3 * jnp.sum(y_pred**2, -1))
    first, *more = explained(model, y=None)
    assert first == "`mul` in the optimizer's update of `module.weight`"
    assert "  spoiled: `module.weight`, f32[2,3]: 2 of 6 are inf, 4 of 6 are -inf" in more
    assert not any("gradient of" in line for line in more)


# Users' own steps


def test_steps_that_are_overridden():
    class OwnTest(tg.Model[Any]):
        def test_step(self, x: Any, states: Any) -> Any:
            loss = jnp.mean(jax.vmap(self.module)(x))
            return loss, {"loss": loss}, states

    class OwnTrain(tg.Model[Any]):
        def train_step(self, **given: Any) -> Any:
            logs, states = super().train_step(**given)
            return logs, states

    class OwnParameters(tg.Model[Any]):
        def test_step(self, x: Any, states: Any, initializing: bool) -> Any:
            w = jnp.ones((3, 2)) if initializing else states.net_params["w"]
            loss = jnp.mean(jnp.log(-jnp.abs(x @ w)))
            return loss, {"loss": loss}, states.update(net_params={"w": w})

    module = Blocks([linear()], {"out": Log()})
    assert explained(OwnTest(module, optimizer=SGD))[0] == "`log` in the layer `module.heads['out']` (Log)"
    lines = explained(OwnTrain(module, loss=MSE, optimizer=SGD))
    assert lines[0] == "`log` in the layer `module.heads['out']` (Log)"
    lines = explained(OwnParameters(optimizer=SGD))
    assert lines[0] == "`log`" and line_of(OwnParameters, "jnp.log") in lines[1]
    model = OwnParameters(optimizer=SGD).init(X)
    bad = model.replace(states=model.states.update(net_params={"w": jnp.full((3, 2), jnp.nan)}))
    assert explained(bad)[0].startswith("the parameter `states.net_params['w']`, before the step already")


# What is nobody's fault


def test_what_is_never_used_is_nobodys_fault():
    assert tg.debug.explain_nan(make_model(masked), X) is None
    assert tg.debug.explain_nan(make_model(), X, Y) is None


def test_infinity_that_becomes_nan():
    def loss(y_pred: Any) -> Any:
        large = jnp.exp(jnp.abs(y_pred) + 1000)
        return jnp.sum(large - large, axis=-1)

    text = tg.debug.explain_nan(make_model(loss), X)
    assert text is not None and text.startswith("The first value that isn't finite: `exp` in the loss `loss_1`")
    assert "  NaN comes of it: `sub` in the loss `loss_1`" in text


# Within training


def test_terminate_and_explain():
    """The third batch has a label that the loss can't take."""
    y = Y.copy()
    y[5] = -1e9

    def loss(y_true: Any, y_pred: Any) -> Any:
        return jnp.sum(y_pred**2, axis=-1) + jnp.log(jnp.sum(y_true, axis=-1) + 10)

    stopping = tg.callbacks.TerminateOnNaN(explain=True)
    arguments: dict[str, Any] = {"batch_size": 2, "epochs": 3, "shuffle": False, "verbose": 0}
    model, history = make_model(loss).fit(X, y, callbacks=[stopping], steps_per_execution=4, **arguments)
    assert int(model.states.step) == 3
    assert history.stopped is not None and history.stopped.startswith(
        "step 3 has values that aren't finite.\nThe first value that"
    )
    assert stopping.explanation is not None and "`log` in the loss `loss_1`" in stopping.explanation
    assert "f32[2]: 1 of 2 is nan" in stopping.explanation


def test_the_step_is_replayed_from_its_own_states():
    """Also where another callback changes them between two steps: here the rate, after the first epoch."""
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0)
    rates = tg.callbacks.LearningRateScheduler(lambda epoch: 3e38 * epoch)
    stopping = tg.callbacks.TerminateOnNaN(explain=True)
    model = make_model(optimizer=optimizer, loss=lambda y_pred: 1e3 * jnp.sum(y_pred**2, -1))
    _, history = model.fit(X, batch_size=8, epochs=3, verbose=0, callbacks=[stopping, rates])
    assert history.stopped is not None and history.stopped.startswith("step 2 has values that aren't finite.\n")
    assert stopping.explanation is not None and "in the optimizer's update" in stopping.explanation


def test_a_mask_does_not_stop_a_training():
    module = Masked(0, -np.inf, 0)
    use = tg.callbacks.TerminateOnNaN(explain=True)
    model, history = make_model(module=module).fit(X, Y, epochs=2, verbose=0, callbacks=[use])
    assert history.stopped is None and int(model.states.step) == 2


def test_explaining_that_fails_costs_nothing(monkeypatch):
    def fails(*args: Any) -> Any:
        raise RuntimeError("out of memory\nand so on")

    monkeypatch.setattr("treegy.debug._explain_nan.explain_step", fails)
    stopping = tg.callbacks.TerminateOnNaN(explain=True)
    model, history = make_model(square_root).fit(X, Y, epochs=3, verbose=0, callbacks=[stopping])
    assert int(model.states.step) == 1
    assert stopping.explanation == "It couldn't be explained: RuntimeError: out of memory"
    assert history.stopped == f"step 1 has values that aren't finite.\n{stopping.explanation}"


def test_watching_changes_nothing():
    module = eqx.nn.Sequential([linear(), eqx.nn.Dropout(0.5)])
    fitted = [
        make_model(module=module).fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[*use], steps_per_execution=1)
        for use in ((), (tg.callbacks.TerminateOnNaN(explain=True),))
    ]
    (plain, history), (watched, found) = fitted
    assert history.history == found.history
    for a, b in zip(jax.tree.leaves(plain.parameters), jax.tree.leaves(watched.parameters), strict=True):
        assert np.array_equal(a, b)


def test_names_are_no_part_of_the_program(monkeypatch):
    model = make_model([MSE, tg.regularizers.GlobalL2(1e-3)], metrics=MSE).init(X, Y)

    def program() -> str:
        arrays, rest = eqx.partition(model, eqx.is_array)

        def step(arrays: Any, x: Any, y: Any) -> Any:
            after, logs = eqx.combine(arrays, rest).train_on_batch(x, y)
            return eqx.filter(after, eqx.is_array), logs

        return jax.jit(step).lower(arrays, X, Y).as_text()

    with_names = program()
    monkeypatch.setattr(jax, "named_scope", lambda name: contextlib.nullcontext())
    assert program() == with_names


def test_a_model_is_the_same_after_it_was_explained():
    traces: list[int] = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        traces.append(1)
        return jnp.mean((y_true - y_pred) ** 2, -1)

    model = make_model(loss)
    model.fit(X, Y, verbose=0)
    before = len(traces)
    assert tg.debug.explain_nan(model, X, Y) is None
    assert len(traces) == before + 1
    model.fit(X, Y, verbose=0)
    assert len(traces) == before + 1
