"""`tg.inject`: functions get what their signatures name, whatever kind of function they are."""

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from beartype import beartype
from jaxtyping import Array, Float, jaxtyped

import treegy as tg
from helpers import numbers

AVAILABLE = dict(x=1, y_true=2, y_pred=3)


# Signatures


def plain(y_true, y_pred):
    return y_true, y_pred


def reordered(y_pred, y_true):
    return y_true, y_pred


def positional_only(y_true, y_pred, /):
    return y_true, y_pred


def mixed(y_true, /, *, y_pred):
    return y_true, y_pred


def keyword_only(*, y_true, y_pred):
    return y_true, y_pred


def with_default(y_true, y_pred, scale=1):
    return y_true, scale * y_pred


def with_keywords(y_true, **others):
    return y_true, others["y_pred"]


def with_args(y_true, *args, y_pred):
    assert args == ()
    return y_true, y_pred


@functools.wraps(plain)
def wrapped(*args, **kwargs):
    return plain(*args, **kwargs)


@functools.lru_cache
def cached(y_true, y_pred):
    return y_true, y_pred


@eqx.filter_jit
def jitted(y_true, y_pred):
    return y_true, y_pred


@jax.jit
def jax_jitted(y_true, y_pred):
    return y_true, y_pred


@jaxtyped(typechecker=beartype)
def typed(y_true: int, y_pred: int) -> tuple[int, int]:
    return y_true, y_pred


@eqx.filter_jit
@jaxtyped(typechecker=beartype)
def typed_and_jitted(y_true: Any, y_pred: Any) -> Any:
    return y_true, y_pred


class Callable_(eqx.Module):
    def __call__(self, y_true, y_pred):
        return y_true, y_pred


class Ordinary:
    def __call__(self, y_true, y_pred):
        return y_true, y_pred

    def method(self, y_true, y_pred):
        return y_true, y_pred

    @classmethod
    def of_class(cls, y_true, y_pred):
        return y_true, y_pred

    @staticmethod
    def static(y_true, y_pred):
        return y_true, y_pred


class Pair(NamedTuple):
    y_true: int
    y_pred: int


def with_first(first, y_true, y_pred):
    return y_true, y_pred


def with_named(y_true, y_pred, scale):
    return y_true, scale * y_pred


FUNCTIONS = [
    plain,
    reordered,
    positional_only,
    mixed,
    keyword_only,
    with_default,
    with_keywords,
    with_args,
    wrapped,
    cached,
    jitted,
    jax_jitted,
    typed,
    typed_and_jitted,
    Callable_(),
    Ordinary(),
    Ordinary().method,
    Callable_().__call__,
    Ordinary.of_class,
    Ordinary.static,
    Pair,
    lambda y_true, y_pred: (y_true, y_pred),
    functools.partial(with_first, "first"),
    functools.partial(with_named, scale=1),
    functools.partial(functools.partial(with_named, scale=2), scale=1),
    jax.tree_util.Partial(with_first, "first"),
    eqx.Partial(with_first, "first"),
]


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: getattr(fn, "__qualname__", type(fn).__name__))
def test_every_kind_of_function(fn):
    assert tuple(tg.inject(fn, **AVAILABLE)) == (2, 3)


def test_no_arguments():
    assert tg.inject(lambda: 7) == tg.inject(lambda: 7, **AVAILABLE) == 7


def test_a_default_gives_way_to_what_there_is():
    def fn(y_true, weight=10, *, other=20):
        return y_true, weight, other

    assert tg.inject(fn, **AVAILABLE) == (2, 10, 20)
    assert tg.inject(fn, **AVAILABLE, other=5) == (2, 10, 5)
    assert tg.inject(fn, **AVAILABLE, weight=None) == (2, None, 20)


def test_positional_only_with_defaults():
    def fn(y_true, y_pred=10, /, x=20):
        return y_true, y_pred, x

    assert tg.inject(fn, **AVAILABLE) == (2, 3, 1)
    assert tg.inject(fn, y_true=1) == (1, 10, 20)


def test_keywords_get_all_that_is_left():
    def fn(y_true, **others):
        return others

    assert tg.inject(fn, **AVAILABLE) == dict(x=1, y_pred=3)


def test_args_get_nothing():
    assert tg.inject(lambda *args: args, **AVAILABLE) == ()


def test_names_that_inject_itself_uses():
    def fn(fn, available, self):
        return fn, available, self

    assert tg.inject(fn, fn=1, available=2, self=3) == (1, 2, 3)


def test_a_partial_keeps_what_it_was_given():
    fn = functools.partial(with_named, y_true=20)
    assert tg.inject(fn, scale=2, y_pred=3) == (20, 6)


def test_a_class_is_made():
    class Made:
        def __init__(self, x, y_true):
            self.values = (x, y_true)

    assert tg.inject(Made, **AVAILABLE).values == (1, 2)


def test_under_jit():
    out = jax.jit(lambda a, b: tg.inject(lambda y_pred, y_true: y_pred - y_true, y_true=a, y_pred=b))(1.0, 3.0)
    assert out == 2


# Errors


def test_missing():
    def loss(y_true, y_prd):
        return y_true, y_prd

    expected = (
        "`test_missing.<locals>.loss` asks for `y_prd`, which is not available.\n"
        "  signature: loss(y_true, y_prd)\n"
        "  available: x = f32[4,2], y_true = 2, y_pred = {'a': i32[4], 'b': None}\n"
        "  Did you mean `y_pred`?"
    ).replace("test_missing.<locals>.", "")
    values = dict(x=jnp.zeros((4, 2)), y_true=2, y_pred={"a": jnp.arange(4), "b": None})
    with pytest.raises(tg.InjectionError) as caught:
        tg.inject(loss, **values)
    assert str(caught.value) == expected


def test_missing_without_anything_near():
    with pytest.raises(tg.InjectionError, match=r"asks for `foo`(?s:.*)available: nothing\n  Give it a default"):
        tg.inject(lambda foo: foo)


def test_missing_under_decorators():
    @eqx.filter_jit
    @functools.lru_cache
    def mine(foo):
        return foo

    with pytest.raises(tg.InjectionError, match=r"`mine` asks for `foo`, .*\n  signature: mine\(foo\)"):
        tg.inject(mine, bar=1)


def test_no_signature():
    with pytest.raises(tg.InjectionError, match="has no signature to read .*Wrap it in a function or lambda"):
        tg.inject(type, x=1)


def test_errors_inside_are_left_alone():
    def fn(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tg.inject(fn, x=1)


# `At`


def test_at():
    def fn(y_pred: Annotated[Any, tg.At("logits")], y_true: Annotated[Any, "a note", tg.At("a", 1)], x):
        return y_pred, y_true, x

    values = dict(y_pred={"logits": 1, "b": 2}, y_true={"a": [3, 4]}, x=5)
    assert tg.inject(fn, **values) == (1, 4, 5)


def test_at_finds_fields():
    class Output(eqx.Module):
        logits: int

    def fn(y_pred: Annotated[Any, tg.At("logits")], y_true: Annotated[Any, tg.At("y_true")]):
        return y_pred, y_true

    assert tg.inject(fn, y_pred=Output(1), y_true=Pair(2, 3)) == (1, 2)


def test_at_without_a_path_is_all_of_it():
    def fn(x: Annotated[Any, tg.At()]):
        return x

    assert tg.inject(fn, x={"a": 1}) == {"a": 1}


def test_at_of_a_default():
    def fn(y_pred: Annotated[Any, tg.At("logits")] = None):
        return y_pred

    assert tg.inject(fn) is None


@pytest.mark.parametrize(
    "value, match",
    [
        ({"a": 1}, r"asks for `y_pred` at At\('logits', 0\), but there is no 'logits' in `y_pred`, .*Keys: 'a'"),
        ({"logits": []}, r"but there is no 0 in `y_pred\['logits'\]`, which is \[\]. Keys: none"),
        (3, "but there is no 'logits' in `y_pred`, which is 3. Keys: none: it is not a container"),
    ],
)
def test_at_nothing(value, match):
    def fn(y_pred: Annotated[Any, tg.At("logits", 0)]):
        return y_pred

    with pytest.raises(tg.InjectionError, match=match):
        tg.inject(fn, y_pred=value)


def test_at_is_a_value():
    assert tg.At("a", 0) == tg.At("a", 0) != tg.At("a")
    assert hash(tg.At("a", 0)) == hash(tg.At("a", 0))
    assert repr(tg.At("a", 0)) == "At('a', 0)"
    assert tg.At("a", 0)({"a": [5]}) == 5


# Annotations that are strings

POSTPONED = '''
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
import treegy as tg
from jaxtyping import Array, Float

if TYPE_CHECKING:
    from nowhere import Nothing


def second(y_pred: Annotated[Float[Array, "batch"], tg.At(1)]) -> Float[Array, "batch"]:
    return y_pred


def unknown(y_true: Nothing, y_pred: Annotated[Float[Array, "batch"], tg.At(1)]) -> Nothing:
    return y_true + y_pred


class MSE(tg.Loss):
    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


class Whole(eqx.Module):
    """Takes the whole batch, as its annotation says."""

    linear: eqx.nn.Linear

    def __call__(self, x: Float[Array, "batch d"]) -> Float[Array, "batch d"]:
        assert x.ndim == 2
        return jax.vmap(self.linear)(x)
'''


@pytest.fixture
def postponed(tmp_path: Path):
    """A module with `from __future__ import annotations`."""
    file = tmp_path / "postponed_annotations.py"
    file.write_text(POSTPONED)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[file.stem]


def test_postponed_annotations(postponed: ModuleType):
    pair = (jnp.zeros(3), jnp.ones(3))
    assert np.array_equal(tg.inject(postponed.second, y_pred=pair), pair[1])
    with pytest.warns(UserWarning, match="`unknown` has annotations that can't be evaluated.*`y_true: Nothing`"):
        assert np.array_equal(tg.inject(postponed.unknown, y_pred=pair, y_true=pair[1]), [2, 2, 2])


def test_postponed_annotations_are_contracts(postponed: ModuleType):
    linear = eqx.nn.Linear(3, 3, key=jax.random.key(0))
    x = np.ones((5, 3), np.float32)
    model = tg.Model(postponed.Whole(linear), loss=postponed.MSE(), metrics=tg.metrics.Mean())
    assert model.evaluate(x, x, verbose=0)["mse_loss"] > 0
    with pytest.raises(tg.ContractError, match=r'> y_true : Float\[Array, "batch d"\]  = i32\[5,3\]'):
        model.evaluate(x, x.astype(np.int32), verbose=0)


def quoted(y_pred: "Annotated[Float[Array, 'batch'], tg.At('a')]") -> "Float[Array, 'batch']":
    return y_pred


def test_quoted_annotations():
    assert np.array_equal(tg.inject(quoted, y_pred={"a": jnp.ones(2)}), [1, 1])


# The same through a model

N = 6
X = numbers(N, 2)


def squared(y_true, y_pred):
    return jnp.mean((y_true - y_pred) ** 2, axis=-1)


def squared_positional(y_true, y_pred, /):
    return squared(y_true, y_pred)


@eqx.filter_jit
def squared_jitted(y_true, y_pred):
    return squared(y_true, y_pred)


@jaxtyped(typechecker=beartype)
def squared_typed(y_true: Float[Array, "n d"], y_pred: Float[Array, "n d"]) -> Float[Array, " n"]:
    return squared(y_true, y_pred)


class Squared:
    def __call__(self, y_true, y_pred):
        return squared(y_true, y_pred)

    def method(self, y_true, y_pred):
        return squared(y_true, y_pred)


def scaled_square(scale, y_true, y_pred):
    return scale * squared(y_true, y_pred)


@pytest.mark.parametrize(
    "fn, name",
    [
        (squared, "squared_loss"),
        (squared_positional, "squared_positional_loss"),
        (squared_jitted, "squared_jitted_loss"),
        (squared_typed, "squared_typed_loss"),
        (Squared(), "squared_loss"),
        (Squared().method, "method_loss"),
        (functools.partial(scaled_square, 1.0), "scaled_square_loss"),
        (lambda y_pred, y_true: squared(y_true, y_pred), "lambda_loss"),
        (tg.losses.mean_squared_error, "mean_squared_error_loss"),
    ],
)
def test_any_function_is_a_loss(fn: Callable[..., Any], name: str):
    y = np.zeros((N, 2), np.float32)
    module = eqx.nn.Linear(2, 2, key=jax.random.key(0))
    model = tg.Model(module, loss=fn, optimizer=optax.sgd(0.1))
    _, logs = model.train_on_batch(X, y)
    y_pred = X @ np.asarray(module.weight).T + np.asarray(module.bias)
    assert list(logs) == ["loss", name]
    assert logs["loss"] == pytest.approx(np.mean(y_pred**2), rel=1e-5)
