"""An annotation that is there counts, in whatever form it is written, or a warning says that it doesn't."""

import importlib.util
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Array, Float, PyTree, config, jaxtyped

import treegy as tg
from helpers import numbers

THREE = numbers(6, 3)
FOUR = numbers(6, 4)

Import = Callable[..., ModuleType]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Imports a text as a module of a user's."""

    def run(text: str, name: str = "users_module") -> ModuleType:
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return run


# Everything that has annotations, each of them `HINT`, of a batch with three numbers each.
USERS = """
class Centre(eqx.Module):
    def __call__(self, x: HINT):
        return x - jnp.mean(x, axis=0, keepdims=True)

class Keyword(eqx.Module):
    def __call__(self, *, x: HINT):
        return x - jnp.mean(x, axis=0, keepdims=True)

class Several(eqx.Module):
    def __call__(self, *xs: HINT):
        return xs[0] - jnp.mean(xs[0], axis=0, keepdims=True)

def loss(y_pred: HINT):
    return jnp.sum(y_pred, axis=-1)

def returned(y_pred) -> HINT:
    return y_pred

class Loss(tg.Loss):
    def call(self, y_pred: HINT):
        return jnp.sum(y_pred, axis=-1)

class Metric(tg.Metric):
    def call(self, y_pred: HINT):
        return jnp.sum(y_pred, axis=-1)

class Stepped(tg.Model):
    def pred_step(self, x: HINT, states):
        return x, states
"""

IMPORTS = """
import typing as t
from typing import TYPE_CHECKING, Annotated, NewType, Optional, TypeAlias, TypeVar, Union
import equinox as eqx
import jax
import jax.numpy as jnp
import treegy as tg
"""
JAXTYPING = "from jaxtyping import Array, Float, PyTree\n"
FUTURE = "from __future__ import annotations\n"
HINT = 'Float[Array, "batch 3"]'
FOR_CHECKERS = f"if TYPE_CHECKING:\n    {JAXTYPING}\n"


def of(hint: str, before: str = JAXTYPING, *, future: bool = False, within: str | None = None) -> str:
    """The text of a module in which everything is annotated so."""
    body = USERS.replace("HINT", hint)
    if within is not None:
        names = "Centre, Keyword, Several, loss, returned, Loss, Metric, Stepped"
        inner = textwrap.indent(f"{within}\n{body}\nreturn {names}", "    ")
        body = f"def make():\n{inner}\n\n{names} = make()\n"
    return (FUTURE if future else "") + IMPORTS + before + body


ALIAS = f"Batch = {HINT}\n"
FORMS = {
    "plain": of(HINT),
    "a string": of(f"'{HINT}'"),
    "future": of(HINT, future=True),
    "for checkers": of(HINT, FOR_CHECKERS, future=True),
    "for checkers, by the typing module": of(HINT, f"if t.TYPE_CHECKING:\n    {JAXTYPING}\n", future=True),
    "for checkers, a module": of(
        'jt.Float[jax.Array, "batch 3"]', "if TYPE_CHECKING:\n    import jaxtyping as jt\n", future=True
    ),
    "for checkers, all names": of(HINT, "if TYPE_CHECKING:\n    from jaxtyping import *\n", future=True),
    "for checkers, an alias": of("Batch", FOR_CHECKERS + f"    {ALIAS}", future=True),
    "an alias": of("Batch", JAXTYPING + ALIAS),
    "an annotated alias": of("Batch", JAXTYPING + f"Batch: TypeAlias = {HINT}\n", future=True),
    "a local alias": of("'Batch'", within=ALIAS),
    "a local import": of(f"'{HINT}'", "", within=JAXTYPING),
    "an alias of a class": of("'Batch'", "", within="from jaxtyping import Array, Float")
    .replace("Module):\n", f"Module):\n        {ALIAS}")
    .replace("Model):\n", f"Model):\n        {ALIAS}")
    .replace("(tg.Loss):\n", f"(tg.Loss):\n        {ALIAS}")
    .replace("(tg.Metric):\n", f"(tg.Metric):\n        {ALIAS}")
    .replace("_pred: 'Batch'):\n        return jnp", f"_pred: '{HINT}'):\n        return jnp")
    .replace("-> 'Batch'", f"-> '{HINT}'"),
    "a bound": of("T", JAXTYPING + f"T = TypeVar('T', bound={HINT})\n"),
    "a bound that is a string": of("T", FOR_CHECKERS + f"T = TypeVar('T', bound='{HINT}')\n", future=True),
    "constraints": of("T", JAXTYPING + f"T = TypeVar('T', {HINT}, Float[Array, 'batch 3 3'])\n"),
    "a new type": of("Batch", JAXTYPING + f"Batch = NewType('Batch', {HINT})\n"),
    "annotated": of(f"Annotated[{HINT}, 'a note']"),
    "annotated, within a string": of(f"Annotated['{HINT}', 'a note']"),
    "optional": of(f"Optional[{HINT}]"),
    "optional, within a string": of(f"Optional['{HINT}']"),
    "a union": of(f"{HINT} | Float[Array, 'batch 3 3']", future=True),
    "a union with None": of(f"Union[None, '{HINT}']"),
    "a tree": of(f"PyTree[{HINT}]"),
    "a tree with a structure": of(f"PyTree[{HINT}, 'T']"),
    "a tree of an alias": of("PyTree[Batch]", JAXTYPING + f"Batch = NewType('Batch', {HINT})\n"),
}
if sys.version_info >= (3, 12):
    FORMS |= {
        "a type statement": of("Batch", JAXTYPING + f"type Batch = {HINT}\n"),
        "a type statement for checkers": of("Batch", FOR_CHECKERS + f"type Batch = {HINT}\n"),
        "a type statement under a condition": of("Batch", FOR_CHECKERS + f"    type Batch = {HINT}\n", future=True),
        "a type statement with a parameter": of(
            "Of[Array]", JAXTYPING + "type Of[A] = t.Annotated[Float[Array, 'batch 3'], A]\n"
        ),
        "a local type statement": of("'Batch'", within=f"type {ALIAS}"),
        "a parameter": of("T").replace("call(", f"call[T: {HINT}](").replace("call__(", f"call__[T: {HINT}](")
        .replace("def loss(", f"def loss[T: {HINT}](").replace("def returned(", f"def returned[T: {HINT}](")
        .replace("pred_step(", f"pred_step[T: {HINT}]("),
    }  # fmt: skip
if importlib.util.find_spec("typing_extensions") is not None:
    FORMS["a type statement of old"] = of(
        "Batch", JAXTYPING + f"from typing_extensions import TypeAliasType\nBatch = TypeAliasType('Batch', {HINT})\n"
    )
SAMPLE = ("for checkers", "a local alias", "a bound", "a new type", "a tree", "a type statement", "a parameter")


def forms() -> list[Any]:
    return [
        pytest.param(text, id=name, marks=[] if name in SAMPLE else pytest.mark.slow) for name, text in FORMS.items()
    ]


@pytest.mark.parametrize("text", forms())
def test_forms(text: str, imported: Import):
    users = imported(text)
    centred = THREE - THREE.mean(axis=0)
    runs: list[Any] = [
        (lambda x: tg.Model(users.Centre()).predict_on_batch(x), centred),
        (lambda x: tg.Model(users.Keyword()).predict_on_batch({"x": x}), centred),
        (lambda x: tg.Model(users.Several()).predict_on_batch((x, x)), centred),
        (lambda x: users.Stepped().predict_on_batch(x), THREE),
    ]
    total = THREE.sum(axis=1).mean()
    for loss in (users.loss, users.Loss()):
        runs.append((lambda x, it=loss: tg.Model(eqx.nn.Identity(), loss=it).test_on_batch(x)[1]["loss"], total))
    metric = tg.Model(eqx.nn.Identity(), metrics={"it": users.Metric()})
    runs.append((lambda x: float(metric.test_on_batch(x)[1]["it/metric"]), total))
    result = tg.Model(eqx.nn.Identity(), metrics=users.returned)
    runs.append((lambda x: float(result.test_on_batch(x)[1]["returned"]), THREE.mean()))
    for run, right in runs:
        np.testing.assert_allclose(run(THREE), right, rtol=1e-4, atol=1e-6)
        with pytest.raises(tg.ContractError, match=r"does not fit its annotation(.|\n)*f32\[6,4\]"):
            run(FOUR)


def test_names_of_a_module_that_has_them_for_checkers_too(imported: Import):
    imported(FUTURE + IMPORTS + FOR_CHECKERS + f"    {ALIAS}", "users_types")
    users = imported(of("Batch", "if TYPE_CHECKING:\n    from users_types import Batch\n", future=True))
    np.testing.assert_allclose(tg.Model(users.Centre()).predict(THREE), THREE - THREE.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    "hint, before, why",
    [
        ("Batch", "if TYPE_CHECKING:\n    from not_imported import Batch\n", "name 'Batch' is not defined"),
        ("others.Batch", "if TYPE_CHECKING:\n    import not_imported as others\n", "name 'others' is not defined"),
        ("Batch", "if TYPE_CHECKING:\n    Batch = unknown()\n", "name 'Batch' is not defined"),
        (HINT, "", "name 'Float' is not defined"),
        ("Float[Array]", JAXTYPING, r"\w*Error"),
        ("Optional['Nothing']", JAXTYPING, "name 'Nothing' is not defined"),
    ],
)
def test_what_cannot_be_evaluated_is_told_once(hint: str, before: str, why: str, imported: Import):
    users = imported(of(hint, before, future=True))
    told = rf"has an annotation that can't be evaluated, so it counts for nothing: `\w+: .*` \(.*{why}"
    examples = [
        ("Centre.__call__", lambda: tg.Model(users.Centre()).predict(THREE)),
        ("loss", lambda: tg.Model(eqx.nn.Identity(), loss=users.loss).evaluate(THREE, verbose=0)),
        ("Metric.call", lambda: tg.Model(eqx.nn.Identity(), metrics=users.Metric()).evaluate(THREE, verbose=0)),
        ("Stepped.pred_step", lambda: users.Stepped().predict(THREE)),
    ]
    for name, run in examples:
        with pytest.warns(UserWarning, match=f"`{name}` {told}") as caught:
            run()
        [warned] = [w for w in caught if f"`{name}`" in str(w.message)]
        assert len(str(warned.message)) < 2000 and warned.filename == __file__
        run()  # no second warning


def test_nothing_is_imported_to_evaluate_an_annotation(imported: Import, tmp_path: Path, monkeypatch: Any):
    (tmp_path / "with_effects.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    users = imported(of("Batch", "if TYPE_CHECKING:\n    from with_effects import Batch\n", future=True))
    with pytest.warns(UserWarning, match="can't be evaluated"):
        tg.Model(users.Centre()).predict(THREE)


def test_a_class_that_only_a_function_has_had(imported: Import):
    text = of(HINT, within="class Options: pass", future=True).replace(
        "def loss(", "def loss(options: Options | None = None, *, "
    )
    users = imported(text)
    with pytest.raises(tg.ContractError, match=r"f32\[6,4\]"):
        tg.Model(eqx.nn.Identity(), loss=users.loss).evaluate(FOUR, verbose=0)


def test_a_step_that_is_compiled_by_itself():
    class Own(tg.Model):
        @eqx.filter_jit
        def pred_step(self, states: tg.States, x: Float[Array, "batch 3"]) -> tuple[Array, tg.States]:
            return 2 * x, states

    np.testing.assert_array_equal(Own().predict(THREE), 2 * THREE)
    with pytest.raises(tg.ContractError, match=r"f32\[6,4\]"):
        Own().predict(FOUR)


def test_no_type_check_is_heeded(imported: Import):
    users = imported(of("Nothing", future=True).replace("    def call", "    @t.no_type_check\n    def call"))
    tg.Model(eqx.nn.Identity(), loss=users.Loss()).evaluate(THREE, verbose=0)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` statements are there from Python 3.12 on")
def test_an_alias_within_itself(imported: Import):
    users = imported(of("Tree", JAXTYPING + f"type Tree = {HINT} | list[Tree]\n"))
    model = tg.Model(eqx.nn.Identity(), metrics=lambda y_pred: jnp.zeros(()), loss=users.Loss())
    assert np.isfinite(model.evaluate(THREE, verbose=0)["loss"])
    with pytest.raises(tg.ContractError, match=r"f32\[6,4\]"):
        model.evaluate(FOUR, verbose=0)
    nested = {"n": users.Loss(on={"y_pred": "n"})}
    with pytest.raises(tg.ContractError, match="does not fit"):
        tg.Model(lambda x: {"n": [x, [x]]}, loss=nested, batched=True).evaluate(FOUR, verbose=0)


# What stands in braces


class Sized(eqx.Module):
    weight: Array
    size: int = eqx.field(static=True)

    @jaxtyped(typechecker=beartype)
    def __call__(self, x: Float[Array, "{self.size}"]) -> Float[Array, "out"]:
        return x @ self.weight


class SizedBatch(Sized):
    def __call__(self, x: Float[Array, "batch {self.size}"]) -> Float[Array, "batch {self.weight.shape[1]}"]:
        return x @ self.weight


class SizedLoss(tg.Loss):
    size: int = eqx.field(static=True, kw_only=True)

    def call(self, y_pred: Float[Array, "batch {self.size}"]) -> Float[Array, "batch"]:
        return jnp.sum(y_pred, axis=-1)


class SizedMetric(tg.Metric):
    size: int = eqx.field(static=True, kw_only=True)

    def call(self, y_pred: Float[Array, "batch {self.size}+1"]) -> Float[Array, "batch"]:
        return jnp.sum(y_pred, axis=-1)


class SizedModel(tg.Model):
    size: int = eqx.field(static=True, kw_only=True)

    def pred_step(self, x: Float[Array, "batch {self.size}"], states: tg.States) -> tuple[Array, tg.States]:
        return x, states


def of_default(y_pred: Float[Array, "batch {k}"], k: int = 3) -> Float[Array, "batch"]:
    return jnp.sum(y_pred, axis=-1)


def of_partial(k: int) -> Any:
    return eqx.Partial(of_default, k=k)


@pytest.mark.parametrize(
    "made",
    [
        lambda n: tg.Model(Sized(jnp.ones((n, 2)), n)),
        lambda n: tg.Model(SizedBatch(jnp.ones((n, 2)), n)),
        lambda n: SizedModel(size=n),
        lambda n: tg.Model(eqx.nn.Identity(), loss=SizedLoss(size=n)),
        lambda n: tg.Model(eqx.nn.Identity(), metrics=SizedMetric(size=n - 1)),
        lambda n: tg.Model(eqx.nn.Identity(), loss=of_partial(n)),
    ],
)
def test_braces_read_the_arguments(made: Callable[[int], tg.Model[Any]]):
    def run(model: tg.Model[Any]) -> Any:
        return model.evaluate(THREE, verbose=0) if model.loss or model.metrics else model.predict(THREE)

    run(made(3))
    with pytest.raises(tg.ContractError, match=r"axes expected are `.*\{.*\}.*`"):
        run(made(4))


def test_what_braces_say_is_in_the_message():
    with pytest.raises(tg.ContractError, match=r"expected are `batch \{self.size\}`. `\{self.size\}` is 4\."):
        tg.Model(eqx.nn.Identity(), loss=SizedLoss(size=4)).evaluate(THREE, verbose=0)
    with pytest.raises(tg.ContractError, match=r"expected are `batch \{k\}`. `\{k\}` is 3\."):
        tg.Model(eqx.nn.Identity(), loss=of_default).evaluate(FOUR, verbose=0)


def test_braces_that_fail_say_where():
    def wrong(y_pred: Float[Array, "batch {y_pred.nothing}"]) -> Float[Array, "batch"]:
        return jnp.sum(y_pred, axis=-1)

    with pytest.raises(AttributeError, match="nothing") as error:
        tg.Model(eqx.nn.Identity(), loss=wrong).evaluate(THREE, verbose=0)
    assert "annotation of `y_pred` of loss `wrong" in error.value.__notes__[0]


# Contracts that are switched off


def test_contracts_can_be_switched_off(monkeypatch: pytest.MonkeyPatch):
    model = tg.Model(eqx.nn.Identity(), loss=SizedLoss(size=4))
    monkeypatch.setattr(config, "jaxtyping_disable", True)
    model.check(THREE)
    monkeypatch.setattr(config, "jaxtyping_disable", False)
    with pytest.raises(tg.ContractError):
        model.check(THREE)


def test_contracts_are_switched_off_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "script.py").write_text(
        IMPORTS + JAXTYPING + USERS.replace("HINT", HINT) + "\ntg.Model(lambda x: x, loss=loss).check(jnp.ones((6, 4)))"
    )
    monkeypatch.setenv("JAXTYPING_DISABLE", "1")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# What the batch is called


@pytest.mark.parametrize(
    "hint",
    [
        Float[Array, "#batch d"],
        Float[Array, "batch=6 d"],
        Float[Array, "_batch d"],
        PyTree[Float[Array, "batch d"]],
        PyTree[Float[Array, "?batch d"], "T"],
        PyTree[Float[Array, "#batch d"]],
        list[Float[Array, "batch=6 d"]],
    ],
)
def test_other_spellings_of_the_batch(hint: Any):
    class Centre(eqx.Module):
        def __call__(self, x):
            return jax.tree.map(lambda a: a - jnp.mean(a, axis=0, keepdims=True), x)

    Centre.__call__.__annotations__["x"] = hint
    x = [THREE] if "list" in str(hint) else THREE
    found = jax.tree.leaves(tg.Model(Centre()).predict(x))
    np.testing.assert_allclose(found[0], THREE - THREE.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    "hint", [Float[Array, "b d"], PyTree[Float[Array, "b d"]], Float[Array, "n 3"], Float[Array, "6 3"]]
)
def test_another_name_of_the_batch_gets_the_mend_that_fits(hint: Any):
    class Centre(eqx.Module):
        def __call__(self, x):
            return x - jnp.mean(x, axis=0, keepdims=True)

    Centre.__call__.__annotations__["x"] = hint
    with pytest.raises(tg.ContractError, match="name the first axis `batch`, or pass `batched=True`"):
        tg.Model(Centre()).predict(THREE)
    found = tg.Model(Centre(), batched=True).predict(THREE)
    np.testing.assert_allclose(found, THREE - THREE.mean(axis=0), atol=1e-6)
    with pytest.raises(tg.ContractError) as error:  # what fits neither way isn't about the batch
        tg.Model(Centre()).predict(THREE[:, 0])
    assert "batched=True" not in str(error.value)


# Axes of the module and of a loss


class Net(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x: Float[Array, "d"]) -> Float[Array, "k"]:
        return self.linear(x)


NET = Net(eqx.nn.Linear(4, 2, key=jax.random.key(0)))


def squared(y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
    return jnp.mean((y_true - y_pred) ** 2, axis=-1)


def own_names(y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
    return squared(y_true, y_pred)


setattr(own_names, "local_axes", True)  # noqa: B010


class OwnNames(tg.Loss):
    local_axes = True

    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
        return squared(y_true, y_pred)


def test_an_axis_of_a_loss_with_the_name_of_another_one_of_the_module():
    for kind in ("loss", "metrics"):
        with pytest.raises(tg.ContractError, match=r"Axis `d` of `y_true` is 2, and 4 from x\. .*`local_axes = True`"):
            model: tg.Model[Any] = tg.Model(NET).replace(**{kind: squared})
            model.evaluate(FOUR, FOUR[:, :2], verbose=0)
    for loss in (own_names, eqx.Partial(own_names), jax.jit(own_names), OwnNames()):
        logs = tg.Model(NET, loss=loss).evaluate(FOUR, FOUR[:, :2], verbose=0)
        right = np.mean((np.asarray(jax.vmap(NET)(jnp.asarray(FOUR))) - FOUR[:, :2]) ** 2)
        assert np.isclose(logs["loss"], right, rtol=1e-5)


# Type checkers over users' classes

STEPS = """
from typing import Any
import jax.numpy as jnp
import treegy as tg
CHECKER

DECORATOR
class Own(tg.Model):
    def pred_step(self, states: tg.States, x: Any, training: bool) -> tuple[Any, tg.States]:
        return 2 * x, states

    def test_step(self, x: Any, y_true: Any, states: tg.States) -> tuple[Any, dict[str, Any], tg.States]:
        y_pred, states = self.pred_step(x=x, states=states, training=False)
        loss = jnp.mean((y_true - y_pred) ** 2)
        return loss, {"loss": loss}, states

DECORATOR
class Inherits(Own):
    def pred_step(self, **kw: Any) -> tuple[Any, tg.States]:
        y_pred, states = super().pred_step(**kw)
        return y_pred + 1, states
"""
CHECKERS = {
    "beartype": ("from beartype import beartype", "@beartype"),
    "jaxtyped": ("from beartype import beartype\nfrom jaxtyping import jaxtyped", "@jaxtyped(typechecker=beartype)"),
}
if importlib.util.find_spec("typeguard") is not None:
    CHECKERS["typeguard"] = ("from typeguard import typechecked", "@typechecked")


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize("checker", CHECKERS)
def test_classes_that_are_checked(checker: str, future: bool, imported: Import):
    line, decorator = CHECKERS[checker]
    text = STEPS.replace("CHECKER", line).replace("DECORATOR", decorator)
    users = imported((FUTURE if future else "") + text)
    np.testing.assert_array_equal(users.Own().predict(THREE), 2 * THREE)
    np.testing.assert_allclose(users.Inherits().predict(THREE), 2 * THREE + 1, rtol=1e-6)
    assert users.Own().evaluate(THREE, 2 * THREE, verbose=0)["loss"] == 0
    # Called by position, in the order of the table, and not in the user's.
    y_pred, states = users.Own().pred_step(jnp.asarray(THREE), users.Own().states)
    assert isinstance(states, tg.States) and y_pred.shape == (6, 3)


def test_a_checker_sees_what_the_user_wrote(imported: Import):
    text = STEPS.replace("CHECKER", CHECKERS["beartype"][0]).replace("DECORATOR", "@beartype")
    users = imported(text.replace("training: bool)", "training: str)"))
    with pytest.raises(Exception, match="training"):
        users.Own().predict(THREE)


@pytest.mark.parametrize("name", ["treegy", "users_package"])
def test_under_the_claw_of_beartype(name: str, tmp_path: Path):
    package = tmp_path / "users_package"
    package.mkdir()
    text = FUTURE + STEPS.replace("CHECKER", "").replace("DECORATOR", "")
    (package / "__init__.py").write_text(text)
    (tmp_path / "script.py").write_text(
        f"""
from beartype.claw import beartype_package
beartype_package({name!r})
import equinox as eqx, jax, numpy as np, optax, treegy as tg
from users_package import Inherits, Own
x = np.ones((8, 3), "float32")
assert np.allclose(Inherits().predict(x), 3) and Own().evaluate(x, 2 * x, verbose=0)["loss"] == 0
net, mse = eqx.nn.Linear(3, 1, key=jax.random.key(0)), tg.losses.MeanSquaredError()
model = tg.Model(net, loss=mse, optimizer=optax.adam(0.1))
model, history = model.fit(x, x[:, :1], epochs=2, verbose=0)
model.evaluate(x, x[:, :1], verbose=0), model.predict(x), print(model.summary(x, x[:, :1]))
"""
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_model_that_was_unpickled_has_its_steps(imported: Import):
    import pickle

    users = imported(STEPS.replace("CHECKER", "").replace("DECORATOR", ""))
    text = pickle.dumps(users.Own())
    users = imported(STEPS.replace("CHECKER", "").replace("DECORATOR", ""))  # another class, of which nothing was made
    np.testing.assert_array_equal(pickle.loads(text).predict(THREE), 2 * THREE)


@pytest.mark.parametrize("source", [None, "def unfinished(:\n"], ids=["without", "unfinished"])
def test_a_name_of_a_function_whose_source_cannot_be_read(source, tmp_path):
    file = tmp_path / "code.py"
    if source is not None:
        file.write_text(source)
    names: dict[str, Any] = {"__name__": "code", "tg": tg}
    exec(compile("def loss(y_pred: 'Unknown'): return y_pred", str(file), "exec"), names)
    with pytest.warns(UserWarning, match="has an annotation that can't be evaluated, .*name 'Unknown' is not defined"):
        tg.Model(lambda x: x, metrics=names["loss"]).evaluate(numbers(4, 2), verbose=0)
