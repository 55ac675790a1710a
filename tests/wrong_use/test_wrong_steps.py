"""Wrong steps and states, and what users are told."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from jaxtyping import Array, Float

import treegy as tg
from helpers.wrong_uses import ONES, X, Y, bad_name, fit, linear, named, refused, regression

# Steps


@named(
    {
        "pred_step": (7, r"step `pred_step` \(Mine.pred_step\) must return `\(y_pred, states\)`, and returned 7"),
        "test_step": (None, r"step `test_step` .* must return `\(loss, logs, states\)`, and returned None"),
        "grad_step": (
            (1, 2, 3),
            r"step `grad_step` .* must return `\(loss, logs, states, grads\)`, and returned \(1, 2, 3\)",
        ),
        "train_step": (7, r"step `train_step` .* must return `\(logs, states\)`, and returned 7"),
        "init_step": (7, "step `init_step` .* must return `states`; its `states` is 7, not `tg.States`"),
        "call_train_step": (7, r"step `call_train_step` .* must return `\(logs, states\)`, and returned 7"),
    }
)
def test_a_step_that_returns_the_wrong_thing(case, request):
    returned, match = case
    name = request.node.callspec.id

    def step(self, x):
        return returned

    step.__qualname__ = f"Mine.{name}"
    model = type("Mine", (tg.Model,), {name: step})(linear(), loss=bad_name, optimizer=optax.sgd(0.1))
    refused(TypeError, match, lambda: fit(model=model))


@named(
    {
        "states": ((1.0, {}, 3), "its `states` is 3, not `tg.States`"),
        "logs": ((1.0, []), r"must return `\(loss, logs, states\)`"),
        "logs, a list": ((1.0, [], tg.States()), r"its `logs` is \[\], not a dict"),
        "loss, a string": (("a", {}, tg.States()), "returned a loss that is 'a'; a scalar is expected"),
        "loss, several": ((jnp.ones(3), {}, tg.States()), r"returned a loss that is f32\[3\]; a scalar is expected"),
    }
)
def test_parts_of_what_test_step_returns(case):
    returned, match = case

    class Mine(tg.Model):
        def test_step(self, x):
            return returned

    refused(TypeError, r"step `test_step` \(.*Mine.test_step\) .*" + match, lambda: Mine(linear()).evaluate(X))


def test_a_step_that_logs_something_else():
    class Mine(tg.Model):
        def test_step(self, x, states):
            return 0.0, {"name": "mine"}, states

    match = "step `test_step` logs 'name' as 'mine'; expected are numbers, arrays and `Accumulator`s"
    refused(TypeError, match, lambda: Mine().evaluate(X))


def test_a_step_that_asks_for_something_else():
    class Mine(tg.Model):
        def pred_step(self, x, state):
            return x, state

    match = r"(?s)step `pred_step` \(.*Mine.pred_step\) asks for `state`, .*Did you mean `states`\?"
    refused(tg.InjectionError, match, lambda: Mine().predict(X))


@named(
    {
        "unknown": (lambda m: m.pred_step(x=X, state=3), "takes x, states, .*and got `state`. Did you mean `states`"),
        "too many": (lambda m: m.pred_step(X, None, False, False, 1), r"takes at most 4 arguments \(x, states, "),
        "twice": (lambda m: m.pred_step(X, x=X), "got `x` twice, by position and by name"),
    }
)
def test_calling_a_step(case):
    do, match = case
    refused(tg.InjectionError, r"step `pred_step` \(Model.pred_step\) " + match, lambda: do(regression()))


def test_a_step_that_changes_what_there_is_in_states():
    class Mine(tg.Model):
        def test_step(self, x, states):
            return 0.0, {}, states.update(count=jnp.zeros(3))

    initialized = Mine().replace(states=tg.States(step=jnp.int32(0)))
    match = r"(?s)`test_step` changed the structure of the states.*new: +states.count = f32\[3\].*when `initializing`"
    refused(ValueError, match, lambda: initialized.evaluate(X))


@named(
    {
        "shape": (jnp.zeros(2), jnp.zeros(3), r"changed `states.mine` from f32\[2\] to f32\[3\]"),
        "dtype": (jnp.zeros(2), jnp.zeros(2, jnp.int32), r"changed `states.mine` from f32\[2\] to i32\[2\]"),
        "a string": ("a", "b", "changed `states.mine` from 'a' to 'b'. A leaf that isn't an array can't change"),
    }
)
def test_a_step_that_changes_a_leaf(case):
    old, new, match = case

    class Mine(tg.Model):
        def states_step(self):
            return super().states_step().update(mine=old)

        def test_step(self, x, states, initializing):
            return 0.0, {}, states if initializing else states.update(mine=new)

    refused(ValueError, f"step `test_step` {match}", lambda: Mine().evaluate(X))


@named(
    {
        "no module": (tg.Model(loss=bad_name, optimizer=optax.sgd(0.1)), "has no module to train"),
        "nothing selected": (regression(trainable=False), "there is nothing to train.*`trainable` selects none"),
        "no parameters": (
            regression(lambda x: x[:2]),
            "there is nothing to train.*an instance of function and has none",
        ),
        "no dependence": (
            regression(loss=lambda y_true: jnp.mean(y_true**2, axis=-1)),
            "the loss doesn't depend on `net_params`",
        ),
        "stop_gradient": (
            regression(loss=lambda y_pred: jnp.mean(jax.lax.stop_gradient(y_pred), axis=-1)),
            "the loss doesn't depend on `net_params`.*`stop_gradient`",
        ),
        "a comparison": (
            regression(loss=lambda y_true, y_pred: jnp.argmax(y_pred, -1) == jnp.argmax(y_true, -1)),
            "the loss doesn't depend on `net_params`.*comparison",
        ),
    }
)
@pytest.mark.parametrize("on_batch", [False, True])
def test_nothing_to_train(case, on_batch):
    model, match = case
    refused(ValueError, match, lambda: model.train_on_batch(X, Y) if on_batch else fit(model=model))


@named(
    {
        "None": (None, "returned None; expected are values per example"),
        "a tuple": ((1.0, 2.0), r"returned \(1.0, 2.0\); expected are values per example"),
        "a string in a dict": ({"a": "b"}, "part `a`, returned 'b'"),
        "complex": (jnp.ones(20, jnp.complex64), r"returned complex values c64\[20\]; real ones are expected"),
        "too few for the weights": (
            jnp.ones(3),
            r"returned values f32\[3\] for 20 examples, and one value per example is expected",
        ),
    }
)
def test_what_a_loss_returns(case):
    returned, match = case
    model = regression(loss=lambda y_pred: returned)
    refused(tg.ContractError, "^loss `lambda_loss`.*" + match, lambda: model.evaluate(X, Y, sample_weight=ONES))


@named(
    {
        "unknown": (lambda loss: loss(Y, Y, weights=1), "`MeanSquaredError.call` doesn't ask for `weights`"),
        "near": (lambda loss: loss(Y, y_pre=Y), "doesn't ask for `y_pre`. Did you mean `y_pred`"),
        "twice": (lambda loss: loss(Y, Y, y_true=Y), "got `y_true` twice, by position and by name"),
        "too many": (lambda loss: loss(Y, Y, ONES), "takes at most 2 positional arguments, and got 3"),
        "too few": (lambda loss: loss(Y), "asks for `y_pred`, which is not available"),
    }
)
def test_calling_a_loss(case):
    do, match = case
    refused(tg.InjectionError, match, lambda: do(tg.losses.MeanSquaredError()))


# States


class Deep(eqx.Module):
    """The same leaves as `Linear`, elsewhere."""

    inner: eqx.nn.Linear

    def __call__(self, x):
        return self.inner(x)


@named(
    {
        "other shapes": (
            lambda: regression(linear(3)).states,
            r"`states` are those of another module: `module.weight` is f32\[2,4\], and in the states f32\[3,4\]",
        ),
        "another module": (
            lambda: regression(Deep(linear())).states,
            r"`module.weight` is f32\[2,4\], and in the states not there. .*`replace\(module=...\)`",
        ),
        "another optimizer": (
            lambda: regression(optimizer=optax.sgd(0.1, momentum=0.9)).init(X, Y).states,
            "`states` are those of another optimizer.*`states.update\\(optimizer_states=None\\)`",
        ),
        "not those of a module": (lambda: tg.States(a=1), "the states of a model with a module have `net_params` and"),
    }
)
def test_states_of_another_model(case):
    states, match = case
    refused(ValueError, match, lambda: regression().replace(states=states()))


def test_states_are_no_dict():
    refused(TypeError, "`states` is {'a': 1}; `tg.States` are expected", lambda: regression().replace(states={"a": 1}))


# Under a trace


@named(
    {
        "fit in jit": lambda m: eqx.filter_jit(lambda m, x, y: m.fit(x, y)[0])(m, X, Y),
        "fit in jit of nothing": lambda m: eqx.filter_jit(lambda: m.fit(X, Y, verbose=0)[0])(),
        "fit of a traced model": lambda m: eqx.filter_jit(lambda m: m.fit(X, Y, verbose=0)[0])(m),
        "fit in grad": lambda m: jax.grad(lambda scale: m.fit(X * scale, Y)[1].history["loss"][0])(1.0),
        "fit in vmap": lambda m: jax.vmap(lambda x: m.fit(x, Y))(X[None]),
        "evaluate": lambda m: eqx.filter_jit(lambda m: m.evaluate(X, Y, verbose=0))(m),
        "predict": lambda m: eqx.filter_jit(lambda m, x: m.predict(x))(m, X),
        "save": lambda m: eqx.filter_jit(lambda m: m.save("nowhere"))(m),
    }
)
def test_what_runs_python_can_not_be_traced(case):
    refused(TypeError, "traced.*Under `jit`, `vmap` or `grad` call ", lambda: case(regression()))


# Fields of a model


class Annotated(tg.Loss):
    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


def test_a_model_is_frozen():
    model = regression(loss=Annotated())
    with pytest.raises(AttributeError, match="loss"):
        model.loss = None
