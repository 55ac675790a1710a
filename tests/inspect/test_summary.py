"""`Model.summary`: layers, outputs, counts, and what is read, all of it from shapes."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float, Int, Key

import treegy as tg
from treegy._inspect._reads import Injection
from treegy._inspect._summary import Summary
from treegy._inspect._summary_tables import Entry

GetKey = Callable[[], jax.Array]
_shape = jax.ShapeDtypeStruct


def _f32(*shape: int) -> jax.ShapeDtypeStruct:
    return _shape(shape, jnp.float32)


def _i32(*shape: int) -> jax.ShapeDtypeStruct:
    return _shape(shape, jnp.int32)


def _made(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module of shapes, for which nothing is computed."""
    return eqx.filter_eval_shape(lambda: cls(*args, key=jax.random.key(0), **kwargs))


def _row(summary: Summary, path: str) -> Entry:
    (row,) = [row for row in summary.rows if row.path == path]
    return row


def _paths(summary: Summary) -> list[str]:
    return [row.path for row in summary.rows]


def _outputs(summary: Summary) -> dict[str, str]:
    return {row.path: row.output for row in summary.rows}


def _classifier(module: Any, **fields: Any) -> Any:
    return tg.Model(
        module,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(),
        **fields,
    )


@pytest.fixture
def compiled() -> Any:
    """The programs that were compiled since the test began."""
    found: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: Any) -> None:
        if "backend_compile" in event:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    # There is no public way to take one listener away again: it stops listening instead.
    yield found
    found.clear()


def test_mlp():
    model = _classifier(_made(eqx.nn.MLP, 64, 10, 128, 2))
    summary = model.summary(_f32(32, 64), _i32(32))
    hidden, middle, last = 64 * 128 + 128, 128 * 128 + 128, 128 * 10 + 10
    assert summary.rows == (
        Entry("", "MLP", "f32[32,10]", hidden + middle + last, 4 * (hidden + middle + last), 0, 0),
        Entry(".layers[0]", "Linear", "f32[32,128]", hidden, 4 * hidden, 0, 0),
        Entry(".layers[1]", "Linear", "f32[32,128]", middle, 4 * middle, 0, 0),
        Entry(".layers[2]", "Linear", "f32[32,10]", last, 4 * last, 0, 0),
    )
    assert (summary.trainable, summary.trainable_bytes) == (26_122, 104_488)
    assert (summary.other, summary.other_bytes, summary.optimizer) == (0, 0, 0)
    assert summary.notes == ()
    assert summary.injections == (
        Injection("module", "MLP", {"x": "f32[32,64]", "key": ""}),
        Injection("loss", "sparse_categorical_crossentropy_loss", {"y_true": "i32[32]", "y_pred": "f32[32,10]"}),
        Injection("metric", "sparse_categorical_accuracy", {"y_true": "i32[32]", "y_pred": "f32[32,10]"}),
    )


def test_printed_mlp_fits_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    model = _classifier(_made(eqx.nn.MLP, 64, 10, 128, 2), optimizer=optax.adam(1e-3))
    summary = model.summary(_f32(32, 64), _i32(32))
    assert str(summary) == repr(summary)
    assert str(summary) == (
        """
Layer       Type    Output       Trainable      Size
----------------------------------------------------
(module)    MLP     f32[32,10]      26,122  102.0 KB
.layers[0]  Linear  f32[32,128]      8,320   32.5 KB
.layers[1]  Linear  f32[32,128]     16,512   64.5 KB
.layers[2]  Linear  f32[32,10]       1,290    5.0 KB

Total       Count      Size
---------------------------
Trainable  26,122  102.0 KB
Other           0       0 B
All        26,122  102.0 KB
Optimizer  52,245  204.1 KB

Kind    Name                                  Reads
-------------------------------------------------------------------------------
module  MLP                                   x f32[32,64], key
loss    sparse_categorical_crossentropy_loss  y_true i32[32], y_pred f32[32,10]
metric  sparse_categorical_accuracy           y_true i32[32], y_pred f32[32,10]
"""
    ).strip("\n")


class Blocks(eqx.Module):
    """Layers in lists, plain functions among them, and blocks in blocks."""

    blocks: list[Any]
    a_rather_long_name_of_a_head_that_needs_room: dict[str, Any]

    def __init__(self, key: Any):
        keys = jax.random.split(key, 4)
        conv = eqx.nn.Sequential([eqx.nn.Conv2d(1, 4, 3, key=keys[0]), eqx.nn.Lambda(jax.nn.relu)])
        self.blocks = [conv, eqx.nn.MaxPool2d(2, 2), jnp.ravel]
        self.a_rather_long_name_of_a_head_that_needs_room = {
            "logits": eqx.nn.MLP(4 * 13 * 13, 10, 2000, 1, key=keys[1])
        }

    def __call__(self, image: Float[Array, "1 28 28"]) -> dict[str, Any]:
        x: Any = image
        for block in self.blocks:
            x = block(x)
        return {"logits": self.a_rather_long_name_of_a_head_that_needs_room["logits"](x), "features": x}


def test_cnn():
    model = tg.Model(_made(Blocks))
    summary = model.summary(_f32(16, 1, 28, 28), depth=4)
    head = ".a_rather_long_name_of_a_head_that_needs_room['logits']"
    assert _outputs(summary) == {
        "": "{'features': f32[16,676], 'logits': f32[16,10]}",
        ".blocks[0]": "f32[16,4,26,26]",
        ".blocks[0].layers[0]": "f32[16,4,26,26]",
        ".blocks[0].layers[1]": "f32[16,4,26,26]",
        ".blocks[1]": "f32[16,4,13,13]",
        ".blocks[2]": "f32[16,676]",
        head: "f32[16,10]",
        f"{head}.layers[0]": "f32[16,2000]",
        f"{head}.layers[1]": "f32[16,10]",
    }
    types = [row.type for row in summary.rows]
    assert types == ["Blocks", "Sequential", "Conv2d", "Lambda", "MaxPool2d", "ravel", "MLP", "Linear", "Linear"]
    assert _row(summary, ".blocks[0]").trainable == 4 * 9 + 4
    assert _row(summary, ".blocks[2]").trainable == 0
    assert summary.trainable == 40 + 676 * 2000 + 2000 + 2000 * 10 + 10


def test_depth():
    model = tg.Model(_made(Blocks))
    one = model.summary(_f32(16, 1, 28, 28), depth=1)
    head = ".a_rather_long_name_of_a_head_that_needs_room['logits']"
    assert _paths(one) == ["", ".blocks[0]", ".blocks[1]", ".blocks[2]", head]
    two = model.summary(_f32(16, 1, 28, 28))
    assert len(two.rows) == 9
    assert one.trainable == two.trainable
    with pytest.raises(ValueError, match="depth"):
        model.summary(depth=0)


@pytest.mark.parametrize("width", [80, 100, 60])
def test_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, width: int):
    monkeypatch.setenv("COLUMNS", str(width))
    summary = tg.Model(_made(Blocks)).summary(_f32(16, 1, 28, 28))
    text = str(summary)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text and "..." not in text
    for row in summary.rows:
        if row.trainable:
            assert f" {row.trainable:,} " in text
    # A path that goes on in the next line is there in full.
    column = text.splitlines()[0].index("Type")
    firsts = "".join(line[:column].strip() for line in text.split("\n\n")[0].splitlines()[2:])
    assert firsts == "".join(row.path or "(module)" for row in summary.rows)


class Normed(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout

    def __init__(self, key: Any):
        self.linear = eqx.nn.Linear(8, 3, key=key)
        self.norm = eqx.nn.BatchNorm(3, "batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.5)

    def __call__(self, x: Any, state: eqx.nn.State, key: Any) -> tuple[Any, eqx.nn.State]:
        x, state = self.norm(self.linear(x), state)
        return self.dropout(x, key=key), state


def test_state(getkey: GetKey):
    module, state = eqx.nn.make_with_state(Normed)(getkey())
    model = _classifier(module, state=state)
    summary = model.summary(_f32(5, 8), _i32(5))
    entries = sum(leaf.size for leaf in jax.tree.leaves(state))
    assert _row(summary, ".norm") == Entry(
        ".norm", "BatchNorm", "f32[5,3]", 6, 24, entries, sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    )
    assert _row(summary, ".linear") == Entry(".linear", "Linear", "f32[5,3]", 27, 108, 0, 0)
    assert _row(summary, ".dropout").output == "f32[5,3]"
    assert summary.rows[0] == Entry("", "Normed", "f32[5,3]", 33, 132, entries, summary.other_bytes)
    assert (summary.trainable, summary.other) == (33, entries)
    assert summary.injections[0].reads == {"x": "f32[5,8]", "key": "", "state": ""}
    # The state is as usable as before.
    assert model.predict(np.zeros((5, 8), np.float32)).shape == (5, 3)


def test_frozen_layer():
    module = _made(eqx.nn.MLP, 8, 2, 4, 1)
    trainable = jax.tree.map(lambda leaf: hasattr(leaf, "shape"), module)
    trainable = eqx.tree_at(lambda m: m.layers[0].weight, trainable, False)
    summary = tg.Model(module, trainable=trainable).summary(_f32(3, 8))
    assert _row(summary, ".layers[0]")[2:] == ("f32[3,4]", 4, 16, 32, 128)
    assert _row(summary, ".layers[1]")[2:] == ("f32[3,2]", 10, 40, 0, 0)
    assert (summary.trainable, summary.other) == (14, 32)
    assert (summary.trainable_bytes, summary.other_bytes) == (56, 128)


def test_dtypes_and_leaves_that_are_not_trained():
    class Mixed(eqx.Module):
        table: Any
        half: Any
        host: Any
        scale: float = 2.0

        def __call__(self, x: Any) -> Any:
            return x.astype(jnp.bfloat16) * self.half

    module = Mixed(jnp.arange(5, dtype=jnp.int32), jnp.ones(3, jnp.bfloat16), np.ones(2, np.float64))
    summary = tg.Model(module).summary(_f32(4, 3))
    # A float64 of NumPy is a float32 of jax, and trained as that.
    assert summary.rows == (Entry("", "Mixed", "bf16[4,3]", 3 + 2, 6 + 8, 5, 20),)


def test_dict_of_networks():
    module = {"generator": _made(eqx.nn.MLP, 2, 3, 4, 1), "discriminator": _made(eqx.nn.Linear, 3, 1)}

    class GAN(tg.Model):
        def pred_step(self, x: Any, states: Any) -> Any:
            return jax.vmap(self.module["generator"])(x), states

    expected = ["", "['discriminator']", "['generator']", "['generator'].layers[0]", "['generator'].layers[1]"]
    for summary in (tg.Model(module).summary(_f32(6, 2)), GAN(module).summary()):
        assert _paths(summary) == expected
        assert set(_outputs(summary).values()) == {""}
        assert _row(summary, "['discriminator']").trainable == 4
        assert _row(summary, "").type == "dict"
        assert summary.trainable == 4 + 12 + 15
    summary = GAN(module).summary(_f32(6, 2))
    assert _outputs(summary) == {
        "": "",
        "['discriminator']": "",
        "['generator']": "f32[6,3]",
        "['generator'].layers[0]": "f32[6,4]",
        "['generator'].layers[1]": "f32[6,3]",
    }


@pytest.mark.parametrize("by_annotation", [True, False])
def test_batched_module(by_annotation: bool):
    class Plain(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            return jax.vmap(self.linear)(x)

    class Annotated_(Plain):
        def __call__(self, x: Float[Array, "batch 4"]) -> Float[Array, "batch 2"]:
            return jax.vmap(self.linear)(x)

    linear = _made(eqx.nn.Linear, 4, 2)
    model = tg.Model(Annotated_(linear)) if by_annotation else tg.Model(Plain(linear), batched=True)
    assert _outputs(model.summary(_f32(7, 4))) == {"": "f32[7,2]", ".linear": "f32[7,2]"}


def test_vmap_scan_jit_and_grad_inside():
    class Inside(eqx.Module):
        token: eqx.nn.Linear
        cell: eqx.nn.GRUCell
        jitted: eqx.nn.Linear
        energy: eqx.nn.MLP
        remat: eqx.nn.Linear
        unused: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            tokens = jax.vmap(self.token)(x)
            hidden, _ = jax.lax.scan(lambda h, t: (self.cell(t, h), None), jnp.zeros(6), tokens)
            out = eqx.filter_jit(lambda f, h: f(h))(self.jitted, hidden)
            return jax.grad(lambda v: self.energy(v))(eqx.filter_checkpoint(self.remat)(out))

    module = Inside(
        _made(eqx.nn.Linear, 3, 5),
        _made(eqx.nn.GRUCell, 5, 6),
        _made(eqx.nn.Linear, 6, 7),
        _made(eqx.nn.MLP, 8, "scalar", 4, 1, activation=jnp.tanh),
        _made(eqx.nn.Linear, 7, 8),
        _made(eqx.nn.Linear, 1, 1),
    )
    summary = tg.Model(module).summary(_f32(9, 11, 3), depth=1)
    assert _outputs(summary) == {
        "": "f32[9,8]",
        ".token": "f32[9,11,5]",
        ".cell": "f32[9,6]",
        ".jitted": "f32[9,7]",
        ".energy": "f32[9]",
        ".remat": "f32[9,8]",
        ".unused": "",
    }
    assert summary.notes == ()


def test_observing_changes_nothing_that_a_module_can_see():
    made: list[str] = []

    class Base(eqx.Module):
        weight: Any

        def __init_subclass__(cls, **kwargs: Any) -> None:
            made.append(cls.__name__)
            super().__init_subclass__(**kwargs)

        def __check_init__(self):
            made.append("check")

        def __call__(self, x: Any, training: bool = False) -> Any:
            return x * self.weight

    class Child(Base):
        inner: Base

        def __call__(self, x: Float[Array, "n"], training: bool = False) -> Float[Array, "n"]:
            assert type(self).__name__ == "Child" and isinstance(self, Child) and isinstance(self.inner, Base)
            assert not training
            rebuilt = eqx.tree_at(lambda m: m.weight, self.inner, self.inner.weight + 1)
            return rebuilt(super().__call__(x))

    module = Child(jnp.ones(()), Base(jnp.ones(())))
    before = list(made)
    first = tg.Model(module).summary(_f32(2, 3))
    assert _outputs(first) == {"": "f32[2,3]", ".inner": "f32[2,3]"}
    assert first.injections[0].reads == {"x": "f32[2,3]", "training": ""}
    assert made == before
    assert first == tg.Model(module).summary(_f32(2, 3))


def test_layer_called_with_different_shapes():
    class Twice(eqx.Module):
        scale: eqx.nn.Lambda

        def __call__(self, x: Any) -> Any:
            return self.scale(x)[:2] + self.scale(x[:2]) + self.scale(x[:2])

    summary = tg.Model(Twice(eqx.nn.Lambda(jnp.tanh))).summary(_f32(4, 5))
    assert _row(summary, ".scale").output == "f32[4,5] | f32[4,2]"


def test_shared_layer_is_counted_once(getkey: GetKey):
    class Tied(eqx.Module):
        a: eqx.nn.Linear
        b: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            return self.b(self.a(x))

    linear = eqx.nn.Linear(3, 3, key=getkey())
    model = tg.Model(Tied(linear, linear), optimizer=optax.sgd(0.1))
    for summary in (model.summary(_f32(2, 3)), model.init().summary(_f32(2, 3)), model.summary()):
        assert summary.trainable == summary.rows[0].trainable == 12
        assert _row(summary, ".a").trainable == _row(summary, ".b").trainable == 12
        (note,) = summary.notes
        assert "`.b.weight` is `.a.weight`, `.b.bias` is `.a.bias`: each the same array, counted once" in note
        assert "eqx.nn.Shared" in str(summary)


def test_shared_module_of_equinox():
    class Language(eqx.Module):
        shared: eqx.nn.Shared

        def __init__(self, key: Any):
            keys = jax.random.split(key)
            pair = (eqx.nn.Embedding(7, 4, key=keys[0]), eqx.nn.Linear(4, 7, key=keys[1]))
            self.shared = eqx.nn.Shared(pair, lambda p: p[1].weight, lambda p: p[0].weight)

        def __call__(self, token: Any) -> Any:
            embedding, linear = self.shared()
            return linear(embedding(token))

    summary = tg.Model(_made(Language)).summary(_i32(5))
    assert summary.trainable == 28 + 7
    assert summary.notes == ()
    assert _row(summary, ".shared").output == ""
    assert _row(summary, ".shared.pytree[0]").output == "f32[5,4]"
    assert _row(summary, ".shared.pytree[1]")[2:4] == ("f32[5,7]", 7)


def test_dict_of_inputs():
    class Two(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, image: Any, key: Any, training: bool = False) -> Any:
            return self.linear(image) + key

    x = {"image": _f32(4, 3), "key": _f32(4, 2), "more": _f32(4, 1)}
    summary = tg.Model(Two(_made(eqx.nn.Linear, 3, 2))).summary(x)
    assert summary.injections[0].reads == {
        "image": "f32[4,3]",
        "key": "f32[4,2] (from `x`, not the injected one)",
        "training": "",
    }
    assert summary.notes == ("the module doesn't ask for x['more'].",)
    assert _row(summary, ".linear").output == "f32[4,2]"


def test_tuple_and_many_inputs():
    class Add(eqx.Module):
        def __call__(self, a: Any, b: Any) -> Any:
            return a + b

    summary = tg.Model(Add()).summary((_f32(4, 3), _f32(4, 3)))
    assert summary.injections[0].reads == {"a": "f32[4,3]", "b": "f32[4,3]"}
    wrong = tg.Model(Add()).summary(_f32(4, 3))
    assert wrong.injections[0].reads == {"a": "f32[4,3]"}
    assert re.search(r"InjectionError: .* asks for `b`", wrong.notes[0])
    three = tg.Model(Add()).summary((_f32(4, 3),) * 3)
    assert "takes 2 inputs, and `x` is a tuple of 3" in three.injections[0].error


def test_function_as_module():
    summary = tg.Model(jnp.tanh).summary(_f32(4, 3))
    assert summary.rows == (Entry("", "tanh", "f32[4,3]", 0, 0, 0, 0),)
    assert (summary.trainable, summary.other) == (0, 0)


class LinearClassifier(tg.Model):
    def test_step(self, x: Any, y_true: Any, states: Any, initializing: bool) -> Any:
        if initializing:
            w, b = jnp.zeros((x.shape[1], 10)), jnp.zeros((1,))
        else:
            w, b = states.net_params
        loss = jnp.mean((x @ w + jnp.broadcast_to(b, (x.shape[0], 10))) ** 2) + 0.0 * jnp.mean(y_true)
        return loss, {"loss": loss}, states.update(net_params=(w, b))


@pytest.mark.standard_promotion
def test_model_without_module():
    model = LinearClassifier(optimizer=optax.adam(1e-3))
    x, y = np.zeros((32, 64), np.float32), np.zeros(32, np.int32)
    expected = (
        Entry("net_params", "tuple", "", 650 - 9, 4 * (650 - 9), 0, 0),
        Entry("net_params[0]", "f32[64,10]", "", 640, 2560, 0, 0),
        Entry("net_params[1]", "f32[1]", "", 1, 4, 0, 0),
    )
    assert model.summary().rows == ()
    # Before `init` they are what `init` would make.
    new, old = model.summary(x, y), model.init(x, y).summary()
    assert new.rows == old.rows == expected
    assert new.trainable == old.trainable == 641
    assert new.optimizer == old.optimizer == 2 * 641 + 1
    assert new.notes == ()
    assert "net_params[0]" in str(new)


def test_model_of_nothing():
    summary = tg.Model().summary()
    assert (summary.rows, summary.injections, summary.trainable) == ((), (), 0)
    assert "Trainable" in str(summary)


def test_init_that_fails_is_said():
    summary = LinearClassifier().summary(_f32(32), _i32(32))
    assert "before `init`, which raises IndexError" in summary.notes[0]


def test_optimizer_states(getkey: GetKey):
    model = tg.Model(eqx.nn.Linear(3, 2, key=getkey()), optimizer=optax.adam(1e-3))
    assert model.summary().optimizer == 0
    summary = model.init().summary()
    assert (summary.optimizer, summary.optimizer_bytes) == (2 * 8 + 1, 4 * 17)


def test_overridden_pred_step():
    class Flat(tg.Model):
        def pred_step(self, x: Any, states: Any, initializing: bool) -> Any:
            if initializing:
                states = states.update(calls=jnp.zeros((), jnp.int32))
            x = jnp.reshape(x, (x.shape[0], -1))
            return jax.vmap(self.module)(x), states.update(calls=states.calls + 1)

    model = Flat(_made(eqx.nn.MLP, 6, 2, 4, 1), loss=lambda y_true, y_pred: (y_true - y_pred) ** 2)
    summary = model.summary(_f32(5, 2, 3), _f32(5, 2))
    assert _outputs(summary) == {"": "f32[5,2]", ".layers[0]": "f32[5,4]", ".layers[1]": "f32[5,2]"}
    assert summary.injections == (Injection("loss", "lambda_loss", {"y_true": "f32[5,2]", "y_pred": "f32[5,2]"}),)
    assert summary.notes == ()


def test_overridden_summary_step():
    class Mine(tg.Model):
        def summary_step(self, **kw: Any) -> Any:
            rows = super().summary_step(**kw)
            return [*rows, Entry("extra", "Thing", "any", 1_234_567, 4)]

    summary = Mine(_made(eqx.nn.Linear, 3, 2)).summary(_f32(4, 3))
    assert summary.rows == (Entry("", "Linear", "f32[4,2]", 8, 32), Entry("extra", "Thing", "any", 1_234_567, 4))
    assert summary.trainable == 8
    assert "1,234,567" in str(summary)

    class Short(tg.Model):
        def summary_step(self, x: Any, states: Any) -> Any:
            return [("here", x.shape, str(sorted(states))[:8])]

    summary = Short(_made(eqx.nn.Linear, 3, 2)).summary(_f32(4, 3))
    assert summary.rows[0][:3] == ("here", (4, 3), "['metric")

    class Wrong(tg.Model):
        def summary_step(self, x: Any) -> Any:
            return x if x is not None else [3]

    with pytest.raises(TypeError, match=r"`summary_step` .* must return a list of entries, and returned f32\[4,3\]"):
        Wrong().summary(_f32(4, 3))
    with pytest.raises(TypeError, match="its item 0 is 3"):
        Wrong().summary()


class Margin(tg.Loss):
    def call(self, y_pred: Annotated[Float[Array, "batch classes"], tg.At("b")], key: Key[Array, ""]) -> Any:
        return jnp.max(y_pred, axis=-1)


def test_injection_table():
    class Heads(eqx.Module):
        a: eqx.nn.Linear
        b: eqx.nn.Linear

        def __call__(self, x: Any) -> Any:
            return {"a": [self.a(x)], "b": self.b(x)}

    model = tg.Model(
        Heads(_made(eqx.nn.Linear, 3, 2), _made(eqx.nn.Linear, 3, 5)),
        loss=[
            tg.losses.MeanSquaredError(on=("a", 0)),
            tg.losses.SparseCategoricalCrossentropy(on={"y_pred": "b", "y_true": "b"}, name="crossentropy"),
            Margin(),
            tg.regularizers.GlobalL2(0.1),
        ],
        metrics={"head": tg.metrics.MeanSquaredError(on="c"), "weighted": lambda x, sample_weight=None: x[:, 0]},
    )
    summary = model.summary(_f32(4, 3), {"a": [_f32(4, 2)], "b": _i32(4)})
    module, *terms = summary.injections
    assert module.name == "Heads"
    assert terms[:4] == [
        Injection("loss", "mean_squared_error_loss", {"y_true['a'][0]": "f32[4,2]", "y_pred['a'][0]": "f32[4,2]"}),
        Injection("loss", "crossentropy_loss", {"y_true['b']": "i32[4]", "y_pred['b']": "f32[4,5]"}),
        Injection("loss", "margin_loss", {"y_pred['b']": "f32[4,5]", "key": ""}),
        Injection("loss", "global_l2_loss", {"parameters": ""}),
    ]
    assert (terms[4].kind, terms[4].name, terms[4].reads) == ("metric", "head/mean_squared_error", {})
    assert "there is no 'c' in `y_true`" in terms[4].error and "\n" not in terms[4].error
    assert terms[5].reads == {"x": "f32[4,3]", "sample_weight": "None"}
    # Without data it is the names.
    names = [injection.reads for injection in model.summary().injections]
    assert names[0] == {"y_true['a'][0]": "", "y_pred['a'][0]": ""}
    assert model.summary().injections[0].kind == "loss"
    # Without labels the losses say that they lack them.
    assert model.summary(_f32(4, 3)).injections[1].error == "y_true: no `y` was given"


def test_prediction_that_fails_is_said():
    model = _classifier(_made(eqx.nn.MLP, 64, 10, 8, 1))
    summary = model.summary(_f32(32, 63), _i32(32))
    assert set(_outputs(summary).values()) == {""}
    assert summary.trainable == 64 * 8 + 8 + 8 * 10 + 10
    assert re.search(r"nothing is predicted: `pred_step` raises TypeError: .*\(64,\) and \(63,\)", summary.notes[0])
    assert "asks for `y_pred`" in summary.injections[1].error
    assert "nothing is predicted" in str(summary)


def test_nothing_is_compiled(getkey: GetKey, compiled: list[str]):
    module, state = eqx.nn.make_with_state(Normed)(getkey())
    models: list[Any] = [
        _classifier(module, state=state, optimizer=optax.adam(1e-3)),
        _classifier(module, state=state, optimizer=optax.adam(1e-3)).init(),
        LinearClassifier(optimizer=optax.sgd(1e-3)),
    ]
    x, y = np.zeros((123, 8)), np.zeros(123, np.int64)
    with jax.numpy_dtype_promotion("standard"):
        compiled.clear()
        for model in models:
            model.summary()
            assert str(model.summary(x, y))
        assert compiled == []
        jax.jit(lambda v: v + 123)(1)
        assert compiled  # the listener does hear of programs


def test_shapes_that_no_memory_holds():
    module = eqx.filter_eval_shape(lambda: eqx.nn.MLP(10**6, 10, 10**6, 1, key=jax.random.key(0)))
    n = 10**12 + 10**6
    m = 10**7 + 10
    summary = _classifier(module).summary(_f32(10**9, 10**6), _i32(10**9))
    assert _outputs(summary)[".layers[0]"] == "f32[1000000000,1000000]"
    assert (summary.trainable, summary.trainable_bytes, summary.other) == (n + m, 4 * (n + m), 0)
    assert "3.6 TB" in str(summary)
    assert summary.injections[1].reads["y_pred"] == "f32[1000000000,10]"


def test_data_of_any_kind():
    model = tg.Model(_made(eqx.nn.Linear, 2, 1))
    # 64-bit data is what jax makes of it; lists of numbers are arrays.
    assert model.summary(np.zeros((3, 2), np.float64)).injections[0].reads["x"] == "f32[3,2]"
    assert model.summary(jnp.zeros((3, 2))).rows[0].output == "f32[3,1]"
    with pytest.raises(tg.DataError, match="`x` is the string"):
        model.summary("data")

    class Add(eqx.Module):
        def __call__(self, a: Any, b: Any) -> Any:
            return a + b

    mixed = tg.Model(Add()).summary({"a": np.zeros((3, 2), np.float32), "b": _f32(3, 2)})
    assert mixed.rows[0].output == "f32[3,2]"


@pytest.mark.parametrize(
    ("n", "size"),
    [(1, "4 B"), (255, "1020 B"), (256, "1.0 KB"), (2304, "9.0 KB"), (2**18 - 1, "1.0 MB"), (2**40, "4.0 TB")],
)
def test_sizes(n: int, size: str):
    assert re.search(rf" {n:,} +{size}\n", str(tg.Model({"a": _f32(n)}).summary()))


def test_html():
    model = tg.Model({"<b>": _made(eqx.nn.Linear, 3, 2)}, metrics=lambda y_pred: y_pred)
    page: str = model.summary(_f32(4, 3))._repr_html_()
    assert page.count("<table>") == page.count("</table>") == 3
    assert "[&#x27;&lt;b&gt;&#x27;]" in page and "<b>" not in page


def test_frozen():
    summary = tg.Model(_made(eqx.nn.Linear, 3, 2)).summary()
    with pytest.raises(AttributeError):
        summary.trainable = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_after_training_and_with_ints(getkey: GetKey):
    class Lookup(eqx.Module):
        embedding: eqx.nn.Embedding

        def __call__(self, token: Int[Array, ""]) -> Float[Array, "d"]:
            return self.embedding(token)

    model = _classifier(Lookup(eqx.nn.Embedding(5, 3, key=getkey())), optimizer=optax.sgd(0.1))
    x = y = np.array([0, 1, 2])
    before = model.summary(x, y)
    trained, _ = model.train_on_batch(x, y)
    assert trained.summary(x, y).rows == before.rows
    assert trained.predict_on_batch(x).shape == (3, 3)
