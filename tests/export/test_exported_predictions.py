"""What an exported model predicts is what the model predicts, and needs nothing of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float

import treegy as tg
from export.exported_models import (
    MODELS,
    ROWS,
    TARGETS,
    TOKENS,
    attention,
    half_parameters,
    noisy,
    odd,
    recurrent,
    rows,
)

pytestmark = pytest.mark.standard_promotion


def exported(path: Path, model: Any, x: Any, **arguments: Any) -> tg.ExportedModel:
    model.export(path / "exported", x, **arguments)
    return tg.load_exported(path / "exported")


def agree(found: Any, expected: Any, tolerance: float = 1e-5) -> bool:
    """Whether two PyTrees have one structure, the same dtypes, and values as near as single precision is."""
    if jax.tree.structure(found) != jax.tree.structure(expected):
        return False
    return all(
        a.dtype == b.dtype and np.allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    )


_EVERYWHERE = ("convolutional", "attention", "own")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _EVERYWHERE else pytest.mark.once) for name in MODELS]
)
def test_one_program_predicts_what_the_model_does_for_batches_of_any_size(name: str, tmp_path):
    model, x = MODELS[name]()
    loaded = exported(tmp_path, model, jax.tree.map(lambda a: a[:2], x))
    tolerance = 2e-2 if "half" in name else 1e-5
    for n in (1, 3):
        batch = jax.tree.map(lambda a, n=n: a[:n], x)
        assert agree(loaded(batch), model.predict_on_batch(batch), tolerance)
    # As one batch: what is random in a prediction has another key in each batch.
    assert agree(loaded(x), model.predict(x, batch_size=7), tolerance)


def test_predictions_are_those_of_numpy(tmp_path):
    model, x = rows()
    first, last = (np.float64(layer.weight) for layer in model.module.layers)
    hidden = np.maximum(x @ first.T + np.float64(model.module.layers[0].bias), 0)
    expected = hidden @ last.T + np.float64(model.module.layers[1].bias)
    np.testing.assert_allclose(exported(tmp_path, model, x)(x), expected, rtol=1e-5, atol=1e-6)


def test_other_axes_vary_by_the_names_of_annotations(tmp_path):
    model, x = attention()
    loaded = exported(tmp_path, model, x, varying=("batch", "time"))
    assert str(loaded.x.shape) == "(batch, time)" and str(loaded.y_pred.shape) == "(batch, time, 8)"
    for time in (1, 4, 6):
        assert agree(loaded(x[:5, :time]), model(x[:5, :time]))


def test_annotations_in_containers_and_of_whole_batches_name_axes(tmp_path):
    def joined(
        parts: dict[str, Float[Array, "batch n d"]], weights: tuple[Float[Array, "batch n"], Float[Array, "batch 1"]]
    ) -> Float[Array, "batch d"]:
        values = parts["a"] + parts["b"]
        return jnp.sum(values * weights[0][:, :, None], axis=1) * weights[1]

    model = tg.Model(joined)

    def inputs(batch: int, n: int) -> Any:
        part = np.ones((batch, n, 4), "f4")
        return {"parts": {"a": part, "b": part}, "weights": (ROWS[:batch, :n], ROWS[:batch, :1])}

    loaded = exported(tmp_path, model, inputs(2, 3), varying=("batch", "n"))
    assert str(loaded.x["parts"]["b"].shape) == "(batch, n, 4)" and str(loaded.x["weights"][0].shape) == "(batch, n)"
    expected = np.full((1, 4), 2 * ROWS[0, :5].sum() * ROWS[0, 0])
    np.testing.assert_allclose(loaded(inputs(1, 5)), expected, rtol=1e-5)


def test_annotations_of_an_own_step_name_axes(tmp_path):
    class Sums(tg.Model[Any]):
        def pred_step(self, x: Float[Array, "batch time d"], states: Any):
            return jnp.sum(x, axis=(1, 2)), states

    loaded = exported(tmp_path, Sums(), np.ones((2, 3, 4), "f4"), varying=("batch", "time"))
    np.testing.assert_allclose(loaded(np.ones((1, 5, 4), "f4")), [20.0])

    class Doubled(tg.Model[Any]):
        def pred_step(self, **kw: Any):
            y_pred, states = super().pred_step(**kw)
            return y_pred * 2, states

    def total(x: Float[Array, "time d"]) -> Float[Array, ""]:
        return jnp.sum(x)

    loaded = exported(tmp_path, Doubled(total), np.ones((2, 3, 4), "f4"), varying=("batch", "time"))
    np.testing.assert_allclose(loaded(np.ones((1, 5, 4), "f4")), [40.0])


def test_no_axis_varies(tmp_path):
    model, x = rows()
    loaded = exported(tmp_path, model, x[:3], varying=())
    assert loaded.x.shape == (3, 8) and agree(loaded(x[:3]), model(x[:3]))


def test_shapes_are_enough_also_with_symbols(tmp_path):
    model, x = attention()
    loaded = exported(tmp_path, model, jax.ShapeDtypeStruct((1, 6), "int32"))
    assert str(loaded.x.shape) == "(batch, 6)" and agree(loaded(x), model(x))
    symbols = jax.export.symbolic_shape("n, t", constraints=["t <= 6"])
    loaded = exported(tmp_path, model, jax.ShapeDtypeStruct(symbols, "int32"))
    assert str(loaded.x.shape) == "(n, t)" and agree(loaded(x[:, :4]), model(x[:, :4]))


def test_keys_are_key_data(tmp_path):
    model, x = noisy()
    keys = jax.random.split(jax.random.key(5), 7)
    loaded = exported(tmp_path, model, {"x": x, "key": keys})
    given = {"x": x[:3], "key": keys[:3]}
    assert agree(loaded({"x": x[:3], "key": jax.random.key_data(keys[:3])}), model(given))
    split = tg.Model(lambda x: jax.random.split(jax.random.key(0), 2))
    found = exported(tmp_path, split, x)(x)
    np.testing.assert_array_equal(found[4], jax.random.key_data(jax.random.split(jax.random.key(0), 2)))


def test_a_model_on_several_devices_is_exported_for_one(tmp_path):
    model, x = rows()
    loaded = exported(tmp_path, model.distributed(tg.parallel.FSDP()), x)
    assert loaded.program.nr_devices == 1 and agree(loaded(x), model(x))


def test_the_averaged_model_is_exported(tmp_path):
    model = tg.Model(
        eqx.nn.Linear(8, 2, key=jax.random.key(0)),
        loss=tg.losses.MeanSquaredError(),
        optimizer=tg.with_ema(optax.sgd(0.5), 0.9),
    )
    model, _ = model.fit(ROWS, TARGETS, batch_size=2, verbose=0)
    assert agree(exported(tmp_path, model.averaged(), ROWS)(ROWS), model.averaged().predict(ROWS))
    assert not agree(exported(tmp_path, model, ROWS)(ROWS), model.averaged().predict(ROWS))


def test_parameters_are_beside_the_program_and_nothing_else_is(tmp_path):
    class ReadsStates(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x: Any, states: Any) -> Any:
            return self.linear(x) * states.step

    model = tg.Model(
        ReadsStates(eqx.nn.Linear(512, 512, key=jax.random.key(0))),
        loss=tg.losses.MeanSquaredError(),
        optimizer=optax.adam(1e-3),
    )
    x = np.ones((2, 512), "f4")
    model, _ = model.train_on_batch(x, x)
    loaded = exported(tmp_path, model, x)
    # Neither are a million bytes of weights constants of the program, nor are Adam's two million beside it.
    names = {".module.linear.weight": (512, 512), ".module.linear.bias": (512,)}
    step = (set(loaded.parameters) - set(names)).pop()
    assert {n: a.shape for n, a in loaded.parameters.items()} == {**names, step: ()} and "step" in step
    size = sum(file.stat().st_size for file in (tmp_path / "exported").iterdir())
    assert size < 512 * 513 * 4 + 40_000
    assert agree(loaded(x), model(x))


def test_what_is_loaded_says_what_it_takes(tmp_path):
    model, x = recurrent()
    loaded = exported(tmp_path, model, x, platforms=("cpu", "tpu"))
    assert loaded.platforms == ("cpu", "tpu")
    assert repr(loaded) == (
        "ExportedModel({'image': f32[batch,1,8,8], 'row': f32[batch,8]} -> "
        "{'all': (f32[batch,8,4], [f32[batch,8]]), 'last': f32[batch,4]}, cpu/tpu)"
    )
    about = json.loads((tmp_path / "exported" / "exported.json").read_text())
    assert about["x"] == "{'image': f32[batch,1,8,8], 'row': f32[batch,8]}" and about["platforms"] == ["cpu", "tpu"]
    assert "stablehlo.dot_general" in loaded.program.mlir_module()


def test_what_is_loaded_can_be_traced(tmp_path):
    model, x = rows()
    loaded = exported(tmp_path, model, x)
    assert agree(jax.jit(lambda x: loaded(x) + 1)(x), model(x) + 1)


_ALONE = """
import sys


class Refused:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("treegy", "equinox", "optax", "jaxtyping", "beartype", "rich"):
            raise ModuleNotFoundError(f"{name} is not to be imported")


sys.meta_path.insert(0, Refused())
sys.path.insert(0, sys.argv[1])
from pathlib import Path

import numpy as np
from load import load

predict = load()
x = np.load(sys.argv[2])
np.savez(sys.argv[3], *[np.asarray(predict(x[:n])).astype("float32") for n in (1, 3, 7)])
assert not {"treegy", "equinox"} & set(sys.modules)

(data,) = Path(sys.argv[1]).glob("*.bin")
content = bytearray(data.read_bytes())
content[len(content) // 2] ^= 1
data.write_bytes(content)
try:
    load()
except ValueError as error:
    assert "is damaged: the bytes of `program` are not those written" in str(error)
else:
    raise AssertionError("damaged, and loaded")
"""


def test_where_there_is_no_treegy_its_own_load_loads_it(tmp_path):
    model, _ = half_parameters()
    # The parameters are in bfloat16; NumPy's own files have no inputs of that kind.
    model = tg.Model(
        eqx.nn.Sequential(
            [eqx.nn.Lambda(odd()[0].module), eqx.nn.Lambda(lambda x: x.astype(jnp.bfloat16)), model.module]
        )
    )
    model.export(tmp_path / "exported", ROWS)
    np.save(tmp_path / "x.npy", ROWS)
    files = [str(tmp_path / "exported"), str(tmp_path / "x.npy"), str(tmp_path / "y.npz")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _ALONE, *files], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "y.npz") as found:
        for n, y_pred in zip((1, 3, 7), found.values(), strict=True):
            np.testing.assert_allclose(y_pred, np.float32(model(ROWS[:n])), rtol=2e-2, atol=1e-5)


def test_its_own_load_is_short():
    text = Path(tg.__file__).with_name("_export").joinpath("_standalone.py").read_text()
    assert len([line for line in text.split("def load")[1].splitlines() if line.strip()]) <= 22


def test_tokens_are_integers_of_32_bits(tmp_path):
    model, x = attention()
    loaded = exported(tmp_path, model, x)
    assert agree(loaded(TOKENS.astype("int64")), model(TOKENS))
    with pytest.raises(tg.DataError, match="doesn't fit into int32"):
        loaded(np.full((1, 6), 2**40))
