"""Annotations are contracts: checked while tracing, with one vocabulary of axes for a model."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Optional, Union

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from beartype import beartype
from jaxtyping import AnnotationError, Array, Bool, Float, Float32, Int, Num, PyTree, Shaped, jaxtyped

import treegy as tg
from helpers import numbers

N, FEATURES, CLASSES = 6, 4, 3
X, Y, LABELS = numbers(N, FEATURES), numbers(N, CLASSES), np.arange(N, dtype=np.int32) % CLASSES


class Encoder(eqx.Module):
    """Takes one example."""

    linear: eqx.nn.Linear

    def __init__(self, features: int = FEATURES, classes: int = CLASSES):
        self.linear = eqx.nn.Linear(features, classes, key=jax.random.key(0))

    def __call__(self, x: Float[Array, "features"]) -> Float[Array, "classes"]:
        return self.linear(x)


class Batched(Encoder):
    """Takes the whole batch."""

    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch classes"]:
        return jax.vmap(self.linear)(x)


class MSE(tg.Loss):
    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


def model(loss: Any, module: Any = None, **fields: Any) -> tg.Model[Any]:
    return tg.Model(Encoder() if module is None else module, loss=loss, **fields)


def holds(hint: Any, value: Any) -> bool:
    """Whether `y_true` of this annotation takes `value`. The module binds `features = 4` and `classes = 3`."""

    def loss(y_true, y_pred):
        return jnp.mean(y_pred, axis=-1)

    loss.__annotations__ = {"y_true": hint}
    try:
        model(loss).check(X, value)
    except tg.ContractError:
        return False
    return True


def fault(loss: Any, y: Any = Y, x: Any = X, **fields: Any) -> str:
    """What is said about it."""
    with pytest.raises(tg.ContractError) as caught:
        model(loss, **fields).check(x, y)
    assert isinstance(caught.value, TypeError)
    return str(caught.value)


# The text


def test_text():
    scalar = eqx.nn.Linear(FEATURES, "scalar", key=jax.random.key(0))
    assert fault(MSE(name="mse_loss"), Y[:, :1], module=scalar) == (
        "loss `mse_loss` (MSE.call) got a `y_pred` that does not fit its annotation.\n"
        '    y_true : Float[Array, "batch d"]  = f32[6,1]\n'
        '  > y_pred : Float[Array, "batch d"]  = f32[6]\n'
        "  axes: batch = 6 (from x), d = 1 (from y_true)\n"
        "  `y_pred` has 1 axis, 2 are expected. Did the module forget a last axis of length 1?"
    )


def test_text_of_a_conflict_with_the_module():
    def mine(y_true: Float[Array, "batch classes"], y_pred: Float[Array, "batch classes"]):
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)

    assert fault(mine, Y[:, :2]) == (
        "loss `mine_loss` (mine) got a `y_true` that does not fit its annotation.\n"
        '  > y_true : Float[Array, "batch classes"]  = f32[6,2]\n'
        '    y_pred : Float[Array, "batch classes"]  = f32[6,3]\n'
        "  axes: batch = 6 (from x), features = 4 (from x), classes = 3 (from y_pred)\n"
        "  Axis `classes` of `y_true` is 2, and 3 from y_pred. The annotations of the module name an axis `classes`, "
        "too, and names mean one length in a model. If this is another axis, call it something else, or set "
        "`local_axes = True` on the loss or metric, class or function: its names are its own then."
    )


def test_text_of_what_is_returned():
    def mine(y_true: Float[Array, "batch d"], y_pred: Any) -> Float[Array, "batch"]:
        return (y_true - y_pred) ** 2

    assert fault(mine) == (
        "loss `mine_loss` (mine) returned something that does not fit its annotation.\n"
        '    y_true : Float[Array, "batch d"]  = f32[6,3]\n'
        '  > return : Float[Array, "batch"]    = f32[6,3]\n'
        "  axes: batch = 6 (from x), features = 4 (from x), classes = 3 (from y_pred), d = 3 (from y_true)\n"
        "  the result has 2 axes, 1 is expected."
    )


def test_text_of_an_average_over_the_batch():
    def mine(y_true: Float[Array, "batch d"], y_pred: Any) -> Float[Array, "batch"]:
        return jnp.mean((y_true - y_pred) ** 2)

    assert fault(mine).endswith(
        "  the result has 0 axes, 1 is expected. One value per example is expected: average over the other axes only, "
        "such as `jnp.mean(..., axis=-1)`, and never over the batch."
    )


@pytest.mark.parametrize(
    "hint, value, why",
    [
        (
            Float[Array, "batch d"],
            X[:, 0],
            "`y_true` has 1 axis, 2 are expected. Does it lack a last axis of length 1?",
        ),
        (
            Float[Array, "batch d"],
            LABELS,
            "`y_true` has 1 axis, 2 are expected. Are these class indices? Then make one-hot labels of them, "
            "`jax.nn.one_hot(y, num_classes)`, or use a loss or metric of class indices.",
        ),
        (Int[Array, "batch"], LABELS[:, None], "has 2 axes, 1 is expected. Is its last axis of length 1 one too many?"),
        (Int[Array, "batch"], Y[:, 0], "`y_true` is f32[6], and the dtype expected is Int."),
        (Float[Array, "batch"], LABELS, "`y_true` is i32[6], and the dtype expected is Float."),
        (Bool[Array, "batch"], LABELS, "`y_true` is i32[6], and the dtype expected is Bool."),
        (Float32[Array, "batch"], Y[:, 0].astype(np.float16), "`y_true` is f16[6], and the dtype expected is Float32."),
        (Float[Array, "other"], Y, "`y_true` has 2 axes, 1 is expected."),
        (Float[Array, "classes batch"], Y, "Axis `classes` of `y_true` is 6, and 3 from y_pred."),
        (Float[Array, "batch d d"], numbers(N, 2, 5), "Axis `d` of `y_true` is both 2 and 5."),
        (Float[Array, "batch 2"], Y, "`y_true` is f32[6,3], and the axes expected are `batch 2`."),
        (Float[Array, "batch classes+1"], Y, "`y_true` is f32[6,3], and the axes expected are `batch classes+1`."),
        (Float[Array, "a b c ..."], Y, "`y_true` has 2 axes, at least 3 are expected."),
        (Float[np.ndarray, "batch d"], Y, "`y_true` is a jax.Array, and a ndarray is expected."),
        (Float[Array, "batch d"], {"a": Y}, "`y_true` is {'a': f32[6,3]}, and an array is expected."),
        (list[Float[Array, "batch d"]], Y, '`y_true` is f32[6,3], and list[Float[Array, "batch d"]] is expected.'),
        (list[Float[Array, "batch d"]], [Y, Y, Y[:, :1]], "Axis `d` of `y_true[2]` is 1, and 3 from y_true."),
        (dict[str, Float[Array, "batch d"]], {"a": Y, "b": LABELS}, "`y_true['b']` has 1 axis, 2 are expected."),
        (tuple[Float[Array, "batch d"], Int[Array, "batch"]], (Y, LABELS[:, None]), "`y_true[1]` has 2 axes, 1 is"),
        (tuple[Float[Array, "batch d"], Int[Array, "batch"]], (Y,), "`y_true` is (f32[6,3],), and tuple[Float[Array,"),
        (PyTree[Float[Array, "batch ..."]], {"a": [Y, LABELS]}, "`y_true['a'][1]` is i32[6], and the dtype"),
        (Optional[Float[Array, "batch d"]], LABELS, "`y_true` has 1 axis, 2 are expected."),  # noqa: UP045
        (Float[Array, "batch d"] | Int[Array, "batch"], LABELS[:, None], "`y_true` is i32[6,1], and Float[Array, "),
    ],
)  # fmt: skip
def test_why(hint, value, why):
    def mine(y_true, y_pred):
        return jnp.mean(y_pred, axis=-1)

    mine.__annotations__ = {"y_true": hint}
    text = fault(mine, value)
    assert text.startswith("loss `mine_loss` (mine) got a `y_true` that does not fit its annotation.\n  > y_true : ")
    assert why in text.splitlines()[-1]


@pytest.mark.parametrize(
    "hint, text",
    [
        (Float[Array, "batch d"], 'Float[Array, "batch d"]'),
        (Float[np.ndarray, "..."], 'Float[ndarray, "..."]'),
        (Optional[Int[Array, "batch"]], 'Int[Array, "batch"] | None'),  # noqa: UP045
        (Float[Array, ""] | Int[Array, ""], 'Float[Array, ""] | Int[Array, ""]'),
        (list[Int[Array, "b"]], 'list[Int[Array, "b"]]'),
        (tuple[Int[Array, "b"], ...], 'tuple[Int[Array, "b"], ...]'),
        (dict[str, Any | Int[Array, "b"]], 'dict[str, Any | Int[Array, "b"]]'),
        (Annotated[Int[Array, "b"], tg.At()], 'Int[Array, "b"]'),
        (PyTree[Int[Array, "b"]], 'PyTree[Int[Array, "b"]]'),
        (PyTree[Int[Array, "b"], "T"], 'PyTree[Int[Array, "b"], "T"]'),
    ],
)
def test_annotations_are_shown_as_they_were_written(hint, text):
    def loss(y_true, y_pred: Float[Array, "a b c d"]):
        return y_pred

    loss.__annotations__ = {"y_true": hint, **loss.__annotations__}
    assert f" y_true : {text} " in fault(loss, object_fitting(hint))


def object_fitting(hint: Any) -> Any:
    """Some `y` that fits, since an error elsewhere is wanted."""
    integers, floats = jnp.zeros(N, jnp.int32), jnp.zeros((N, 2))
    fits = {
        str(Float[np.ndarray, "..."]): floats,
        str(list[Int[Array, "b"]]): [integers],
        str(tuple[Int[Array, "b"], ...]): (integers,),
        str(dict[str, Any | Int[Array, "b"]]): {"a": integers},
    }
    return fits.get(str(hint), floats if hint == Float[Array, "batch d"] else integers)


# Which values fit


@pytest.mark.parametrize(
    "hint, good, bad",
    [
        (Float[Array, "batch classes"], Y, Y[:, :2]),
        (Float[Array, "batch _"], Y, LABELS),
        (Float[Array, "batch ..."], Y, Y.astype(np.int32)),
        (Float[Array, "*dims classes"], numbers(N, 2, CLASSES), numbers(N, 2, 2)),
        (Float[Array, "batch features-1"], Y, Y[:, :2]),
        (Float[Array, "batch #classes"], Y[:, :1], Y[:, :2]),
        (Float[Array, "batch size=3"], Y, Y[:, :2]),
        (Float[Array, "6 3"], Y, Y[:, :2]),
        (Num[Array, "batch"], LABELS, LABELS == 1),
        (Shaped[Array, "batch"], LABELS == 1, Y),
        # Containers, item by item
        (list[Int[Array, "batch"]], [LABELS] * 5, [LABELS] * 4 + [Y]),
        (Sequence[Int[Array, "batch"]], (LABELS, LABELS), (LABELS, Y)),
        (tuple[Int[Array, "batch"], ...], (LABELS,) * 5, (LABELS,) * 4 + (Y,)),
        (tuple[Int[Array, "batch"], Float[Array, "batch d"]], (LABELS, Y), (Y, LABELS)),
        (tuple[Int[Array, "batch"], Any], (LABELS, {"a": Y}), (Y, LABELS)),
        (dict[str, Int[Array, "batch"]], dict.fromkeys("abcde", LABELS), {**dict.fromkeys("abcd", LABELS), "e": Y}),
        (Mapping[str, Int[Array, "batch"]], {"a": LABELS}, {"a": Y}),
        (dict[str, list[Int[Array, "batch"]]], {"a": [LABELS, LABELS]}, {"a": [LABELS, Y]}),
        (list[Float[Array, "batch d"]], [Y, Y], [Y, Y[:, :2]]),
        (PyTree[Int[Array, "batch"]], {"a": [LABELS, (LABELS,)]}, {"a": [LABELS, (Y,)]}),
        (PyTree[Float[Array, "batch ?any"], "T"], {"a": Y, "b": Y[:, :1]}, {"a": Y, "b": LABELS}),
        # Unions
        (Float[Array, "batch d"] | Int[Array, "batch"], LABELS, LABELS[:, None]),
        (Union[Float[Array, "batch d"], Int[Array, "batch"]], Y, LABELS == 1),  # noqa: UP007
        (Optional[Int[Array, "batch"]], LABELS, Y),  # noqa: UP045
        (list[Float[Array, "batch d"] | Int[Array, "batch"]], [Y, LABELS], [Y, LABELS == 1]),
        (list[Int[Array, "batch"]] | Int[Array, "batch"], [LABELS], [Y]),
        (Annotated[Int[Array, "batch"], "a note"], LABELS, Y),
        (Annotated[Int[Array, "batch"], tg.At("a")], {"a": LABELS}, {"a": Y}),
    ],
    ids=str,
)  # fmt: skip
def test_what_fits(hint, good, bad):
    assert holds(hint, good)
    assert not holds(hint, bad)


@pytest.mark.parametrize("hint", [Any, Array, list, object, None, int], ids=str)
def test_what_is_no_contract(hint):
    assert holds(hint, Y)


def test_an_arm_of_a_union_that_does_not_fit_binds_nothing():
    def loss(y_true: Float[Array, "batch d"] | Float[Array, "batch k"], y_pred: Float[Array, "batch k"]):
        return jnp.mean(y_pred, axis=-1)

    model(loss).check(X, Y[:, :2])


def test_none_where_it_is_not_meant():
    def loss(y_pred, class_weight: Float[Array, "classes"]):
        return jnp.mean(y_pred, axis=-1)

    assert "`class_weight` is None. Add `| None` to the annotation if that is meant." in fault(loss)


# One vocabulary


def features(x: Float[Array, "batch classes"], y_pred):
    return jnp.mean(y_pred, axis=-1)


@pytest.mark.parametrize("module", [Encoder, Batched])
def test_axes_of_the_module_mean_the_same_in_losses_and_metrics(module):
    def fits(x: Float[Array, "batch features"], y_pred: Float[Array, "batch classes"]):
        return jnp.mean(y_pred, axis=-1)

    model(fits, module(), metrics=fits).check(X, Y)
    said = "Axis `classes` of `x` is 4, and 3 from y_pred."
    assert said in fault(features, module=module())
    with pytest.raises(tg.ContractError, match="metric `features` got a `x` that.*(?s:.*)" + said):
        model(None, module(), metrics=features).check(X, Y)


def test_batch_is_always_known():
    def loss(y_true: Float[Array, "classes batch"], y_pred):
        return jnp.mean(y_pred, axis=-1)

    plain = eqx.nn.Linear(FEATURES, CLASSES, key=jax.random.key(0))
    assert "Axis `batch` of `y_true` is 3, and 6 from x." in fault(loss, module=plain)


def test_other_axes_are_local_to_a_function():
    def one(y_true: Float[Array, "batch d"], y_pred):
        return jnp.mean(y_pred, axis=-1)

    def other(x: Float[Array, "batch d"], y_pred):
        return jnp.mean(y_pred, axis=-1)

    model([one, other], metrics=[one, other]).check(X, Y)


def test_local_axes():
    class Mine(tg.Loss):
        local_axes: ClassVar[bool] = True

        def call(self, x: Float[Array, "batch classes"], y_pred) -> Float[Array, "batch"]:
            return jnp.mean(y_pred, axis=-1)

    class Wrong(Mine):
        def call(self, x: Float[Array, "classes batch"], y_pred) -> Float[Array, "batch"]:
            return jnp.mean(y_pred, axis=-1)

    class Value(tg.Metric):
        local_axes: ClassVar[bool] = True

        def call(self, x: Float[Array, "batch classes"]) -> Float[Array, "batch"]:
            return x[:, 0]

    model(Mine(), metrics=Value()).check(X, Y)
    assert "Axis `batch` of `x` is 4, and 6 from x." in fault(Wrong())


def test_built_ins_do_not_join_the_vocabulary():
    class Named(Encoder):
        def __call__(self, x: Float[Array, "shape"]) -> Float[Array, "rest"]:
            return self.linear(x)

    module = Named()  # pyright: ignore[reportCallIssue]
    tg.Model(module, loss=tg.losses.MeanSquaredError(), metrics=tg.metrics.MeanAbsoluteError()).check(X, Y)


def test_vocabulary_of_structures():
    class Two(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(
            self, image: Float[Array, "pixels"], text: Float[Array, "words"]
        ) -> dict[str, tuple[Float[Array, "hidden"], ...]]:
            return {"a": (self.linear(image), self.linear(image))}

    def fits(y_true: Float[Array, "batch words"], y_pred: Any) -> Any:
        return jnp.mean(y_true, axis=-1)

    def wrong(y_true: Float[Array, "batch pixels"], y_pred: Any) -> Any:
        return jnp.mean(y_true, axis=-1)

    def hidden(y_true: Float[Array, "batch hidden"], y_pred: Any) -> Any:
        return jnp.mean(y_true, axis=-1)

    x, y = {"image": X, "text": numbers(N, 2)}, numbers(N, 2)
    two = Two(eqx.nn.Linear(FEATURES, 5, key=jax.random.key(0)))
    model(fits, two).check(x, y)
    assert "pixels = 4 (from x), words = 2 (from x), hidden = 5 (from y_pred)" in fault(wrong, y, x, module=two)
    assert "Axis `hidden` of `y_true` is 2, and 5 from y_pred." in fault(hidden, y, x, module=two)


def test_vocabulary_of_a_module_with_state():
    class Stateful(eqx.Module):
        norm: eqx.nn.BatchNorm

        def __init__(self):
            self.norm = eqx.nn.BatchNorm(FEATURES, "batch", mode="batch")

        def __call__(
            self, x: Float[Array, "features"], state: eqx.nn.State
        ) -> tuple[Float[Array, "features"], eqx.nn.State]:
            return self.norm(x, state)

    def wrong(y_true: Float[Array, "batch features"], y_pred):
        return jnp.mean(y_pred, axis=-1)

    module, state = eqx.nn.make_with_state(Stateful)()
    assert "Axis `features` of `y_true` is 3, and 4 from x." in fault(wrong, module=module, state=state)


def test_the_vocabulary_holds_from_batch_to_batch():
    """It is computed in each trace, not remembered from the call of the module, which a cached trace would skip."""

    def loss(y_true: Float[Array, "batch classes"], y_pred: Float[Array, "batch classes"]):
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)

    trained = model(loss)
    for _ in range(2):
        trained, _ = trained.test_on_batch(X, Y)
        with pytest.raises(tg.ContractError, match="Axis `classes` of `y_true` is 2, and 3 from y_pred."):
            trained.test_on_batch(X, Y[:, :2])
    trained.test_on_batch(X[:4], Y[:4])  # `batch` is another length in another batch


# Modules and steps


def test_modules():
    class Wrong(Encoder):
        def __call__(self, x: Float[Array, "features"]) -> Float[Array, "features"]:
            return self.linear(x)

    with pytest.raises(tg.ContractError) as caught:
        tg.Model(Wrong()).predict(X)  # pyright: ignore[reportCallIssue]
    assert str(caught.value).splitlines()[:5] == [
        "module `Wrong` returned something that does not fit its annotation.",
        '    x      : Float[Array, "features"]  = f32[4]',
        '  > return : Float[Array, "features"]  = f32[3]',
        "  axes: features = 4 (from x)",
        "  Axis `features` of the result is 3, and 4 from x.",
    ]
    with pytest.raises(tg.ContractError, match=r"module `Encoder` got a `x` that (?s:.*)`x` has 0 axes, 1 is expected"):
        tg.Model(Encoder()).predict(X[:, 0])


def test_steps():
    class Mine(tg.Model):
        def pred_step(self, x: Float[Array, "batch 4"], states: tg.States) -> tuple[Float[Array, "batch 3"], tg.States]:
            return x[:, : int(states.width)], states

        def states_step(self):
            return super().states_step().update(width=3)

    class Narrow(Mine):
        def states_step(self):
            return super().states_step().update(width=2)

    assert Mine(run_eagerly=True).predict(X).shape == (N, 3)
    with pytest.raises(
        tg.ContractError, match=r"step `pred_step` \(.*Mine.pred_step\) got a `x` that .*(?s:.*)batch 4"
    ):
        Mine().predict(X[:, :2])
    with pytest.raises(
        tg.ContractError, match=r"step `pred_step` .* returned something (?s:.*)the result\[0\] is f32\[6,2\]"
    ):
        Narrow(run_eagerly=True).predict(X)


def test_steps_of_a_model_without_a_module():
    class Mine(tg.Model):
        def test_step(
            self, x: Float[Array, "batch d"], y_true: Int[Array, "batch"], states
        ) -> tuple[Float[Array, ""], dict[str, Any], tg.States]:
            return jnp.mean(x), {"a": 1.0}, states

    assert Mine().evaluate(X, LABELS, verbose=0) == {"a": 1.0}
    with pytest.raises(tg.ContractError, match="step `test_step` .* got a `y_true`"):
        Mine().evaluate(X, Y, verbose=0)


# NumPy and JAX


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
@pytest.mark.parametrize("eagerly", [False, True])
def test_arrays_are_those_of_jax_in_every_step(convert, eagerly):
    x, y = convert(X), convert(Y)
    trained = model(MSE(), run_eagerly=eagerly, optimizer=optax.sgd(0.1), metrics=tg.metrics.Mean(of=lambda x: x))
    trained, _ = trained.fit(x, y, batch_size=4, validation_data=(x, y), verbose=0)
    trained.evaluate(x, y, batch_size=4, verbose=0)
    trained.predict(x, batch_size=4)
    trained.init(x, y)
    trained, _ = trained.train_on_batch(x, y)
    trained.test_on_batch(x, y)
    assert isinstance(trained.predict_on_batch(x), jax.Array)
    trained.check(x, y)


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray, list], ids=["numpy", "jax", "list"])
def test_a_loss_called_by_hand_takes_any_array(convert):
    loss = MSE()
    if convert is list:
        with pytest.raises(tg.ContractError, match=r"(?s)`mse_loss`.*`y_true` is \[.*\], and an array is expected"):
            loss(Y.tolist(), Y.tolist())
    else:
        assert loss(convert(Y), convert(Y)) == 0


def test_a_step_called_by_hand_with_numpy():
    with pytest.raises(tg.ContractError, match=r"`y_true` is a ndarray, and a jax.Array is expected. .*`jnp.asarray`"):
        model(MSE()).test_step(jnp.asarray(X), Y)


# `Model.check`


def shape(*axes: int, dtype: Any = np.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(axes, dtype)


def test_check_takes_shapes():
    checked = model(MSE(), metrics=tg.metrics.Mean(), optimizer=optax.sgd(0.1))
    assert checked.check(shape(N, FEATURES), shape(N, CLASSES)) is None
    assert checked.check(X, shape(N, CLASSES), sample_weight=shape(N)) is None
    with pytest.raises(tg.ContractError, match="Axis `d` of `y_pred` is 3, and 2 from y_true"):
        checked.check(shape(N, FEATURES), shape(N, 2))
    with pytest.raises(tg.ContractError, match="dtype expected is Float"):
        checked.check(shape(N, FEATURES), shape(N, CLASSES, dtype=np.int32))
    with pytest.raises(tg.ContractError, match="`sample_weight` f32.5. doesn't line up"):
        checked.check(X, Y, sample_weight=shape(5))
    with pytest.raises(tg.InjectionError, match="asks for `y_true`"):
        checked.check(X)


@pytest.mark.parametrize("initialized", [False, True])
def test_check_allocates_nothing(initialized):
    many = 10**10
    checked = model(MSE(), optimizer=optax.sgd(0.1))
    if initialized:
        checked = checked.init(X, Y)
    checked.check(shape(many, FEATURES), shape(many, CLASSES))
    with pytest.raises(tg.ContractError, match="Axis `d` of `y_pred` is 3, and 7 from y_true"):
        checked.check(shape(many, FEATURES), shape(many, 7))


def test_check_of_a_module_too_large_to_be_made():
    module = eqx.filter_eval_shape(lambda: Encoder(10**6, 10**6))
    tg.Model(module, loss=MSE()).check(shape(8, 10**6), shape(8, 10**6))


def test_check_of_steps_that_make_their_parameters():
    class Mine(tg.Model):
        def test_step(self, x: Float[Array, "batch d"], states, initializing):
            if initializing:
                states = states.update(net_params=jnp.zeros((x.shape[1], x.shape[1])))
            return jnp.mean(x @ states.net_params), {}, states

    Mine().check(shape(10**9, 50_000))
    with pytest.raises(tg.ContractError, match="`x` has 3 axes, 2 are expected"):
        Mine().check(shape(2, 3, 4))


def test_check_computes_nothing():
    called = []

    def loss(y_pred):
        jax.debug.callback(lambda: called.append(1))
        return jnp.mean(y_pred, axis=-1)

    model(loss).check(X)
    jax.effects_barrier()
    assert called == []


# What it costs


class Untyped(eqx.Module):
    linear: eqx.nn.Linear

    def __init__(self):
        self.linear = eqx.nn.Linear(FEATURES, CLASSES, key=jax.random.key(0))

    def __call__(self, x):
        return self.linear(x)


class UntypedMSE(tg.Loss):
    def call(self, y_true, y_pred):
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


def test_types_cost_nothing():
    def program(module: Any, loss: Any) -> str:
        untrained = tg.Model(module, loss=loss, optimizer=optax.sgd(0.1)).init(X, Y)
        arrays, static = eqx.partition(untrained, eqx.is_array)

        def step(arrays, x, y):
            model, logs = eqx.combine(arrays, static).train_on_batch(x, y)
            return eqx.filter(model, eqx.is_array), list(logs.values())

        return str(jax.make_jaxpr(step)(arrays, X, Y))

    assert program(Encoder(), MSE()) == program(Untyped(), UntypedMSE(name="mse_loss"))


def test_checked_while_tracing_only():
    traces = []

    def loss(y_true: Float[Array, "batch d"], y_pred):
        traces.append(1)
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)

    evaluated = model(loss)
    evaluated.evaluate(X, Y, batch_size=2, verbose=0)
    n = len(traces)
    evaluated.evaluate(X, Y, batch_size=2, verbose=0)
    assert len(traces) == n


# Code that is checked already


def test_code_that_checks_itself():
    @jaxtyped(typechecker=beartype)
    class Checked(eqx.Module):
        linear: eqx.nn.Linear

        @jaxtyped(typechecker=beartype)
        def __call__(self, x: Float[Array, "features"]) -> Float[Array, "classes"]:
            return self.linear(x)

    class Own(tg.Loss):
        @jaxtyped(typechecker=beartype)
        def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
            return jnp.mean((y_true - y_pred) ** 2, axis=-1)

    @jaxtyped(typechecker=beartype)
    def bias(y_true: Float[Array, "batch classes"], y_pred: Float[Array, "batch classes"]) -> Float[Array, "batch"]:
        return jnp.mean(y_pred - y_true, axis=-1)

    class Stepping(tg.Model):
        @jaxtyped(typechecker=beartype)
        def pred_step(self, x: Float[Array, "batch d"], states: tg.States) -> Any:
            return super().pred_step(x, states)

    module = Checked(eqx.nn.Linear(FEATURES, CLASSES, key=jax.random.key(0)))
    checked = tg.Model(module, loss=Own(), metrics=bias, optimizer=optax.sgd(0.1))
    checked, history = checked.fit(X, Y, batch_size=4, verbose=0)
    assert list(history.history) == ["loss", "own_loss", "bias"]
    with pytest.raises(tg.ContractError, match="metric `bias` got a `y_true`(?s:.*)Axis `classes` of `y_true` is 2"):
        checked.replace(loss=None).evaluate(X, Y[:, :2], verbose=0)
    with pytest.raises(tg.ContractError, match="loss `own_loss`"):
        checked.evaluate(X, Y[:, :2], verbose=0)
    stepping = Stepping(module, loss=Own())
    assert stepping.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(
        checked.replace(module=module).evaluate(X, Y)["loss"]
    )


def test_values_that_the_annotations_do_not_name():
    def loss(y_pred: Float[Array, "batch classes"], parameters, states, training: bool, key: Shaped[Array, ""]):
        assert training is False and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        return jnp.mean(y_pred, axis=-1)

    model(loss).check(X)


def test_an_annotation_that_is_wrong_in_itself():
    def loss(y_true: Float[Array, "batch unknown+1"], y_pred):
        return jnp.mean(y_pred, axis=-1)

    with pytest.raises(
        AnnotationError, match=r"'unknown\+1'(?s:.*)the annotation of `y_true` of loss `loss_1` \(loss\)"
    ):
        model(loss).check(X, Y)
