"""What can't be exported or loaded, and what is said about it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import treegy as tg
from export.exported_models import ROWS, Own, rows
from treegy._export import _load_exported
from treegy._export._standalone import load

pytestmark = pytest.mark.standard_promotion


class Pair(NamedTuple):
    a: Any
    b: Any


def refused(
    path: Path, module: Any, message: str, x: Any = ROWS, error: type[Exception] = ValueError, **arguments: Any
):
    with pytest.raises(error, match=message):
        tg.Model(module).export(path / "exported", x, **arguments)
    assert not (path / "exported").exists()


def added(a: Any, b: Any) -> Any:
    return a + b


def test_containers_of_other_classes(tmp_path):
    message = r"`x` is an instance of Pair, and the inputs .* are arrays in tuples, lists and dicts.*Pass a dict"
    refused(tmp_path, lambda pair: pair.a, message, Pair(ROWS, ROWS), tg.ContractError)
    message = r"`y_pred\['out'\]\[0\]` is an instance of Pair, .*`pred_step`, return a dict or a tuple"
    refused(tmp_path, lambda x: {"out": [Pair(x, x)]}, message, error=tg.ContractError)
    message = r"`y_pred` is an instance of Linear"
    refused(tmp_path, lambda x: eqx.nn.Linear(1, 1, key=jax.random.key(0)), message, error=tg.ContractError)
    message = r"`y_pred` is a dict with the keys \[1, 2\].*strings as keys"
    refused(tmp_path, lambda x: {1: x, 2: x}, message, error=tg.ContractError)


def test_inputs_that_are_none(tmp_path):
    refused(tmp_path, added, "there is no data", None, tg.DataError)
    refused(tmp_path, added, r"`x\[0\]` has 7, `x\[1\]` has 3", (ROWS, ROWS[:3]), tg.DataError)


def test_an_axis_that_can_not_vary(tmp_path):
    def whole(x: Float[Array, "batch d"]) -> Any:
        return jnp.reshape(x, int(x.shape[0]) * 8)

    refused(tmp_path, whole, r"axis 'batch' of `x` can't vary(.|\n)*constant(.|\n)*`varying=\(\)`")
    tg.Model(whole).export(tmp_path / "whole", ROWS, varying=())
    assert tg.load_exported(tmp_path / "whole")(ROWS).shape == (56,)

    def over_time(x: Float[Array, "time d"]) -> Any:
        return jnp.zeros([2] * x.shape[0])

    message = r"axis 'time' of `x` can't vary(.|\n)*`varying=\('batch',\)`"
    refused(tmp_path, over_time, message, np.ones((2, 3, 4), "f4"), varying=("batch", "time"))


def test_a_module_that_fails_anyway_fails_as_it_does(tmp_path):
    refused(tmp_path, rows()[0].module, "dot_general requires contracting dimensions", ROWS[:, :3], TypeError)


def test_a_model_that_can_not_predict(tmp_path):
    refused(tmp_path, None, "module", error=tg.MissingModule)
    refused(tmp_path, {"a": rows()[0].module}, "can't be called: override `pred_step`", error=tg.MissingMethod)


def test_a_module_that_has_to_run_eagerly(tmp_path):
    model = tg.Model(lambda x: x if x[0] > 0 else -x, run_eagerly=True)
    with pytest.raises(jax.errors.TracerBoolConversionError) as raised:
        model.export(tmp_path / "exported", ROWS)
    assert "run_eagerly=True" in "".join(raised.value.__notes__)


def printing(x: Any) -> Any:
    jax.debug.print("{}", x[0])
    return x


@pytest.mark.parametrize(
    "module", [printing, lambda x: eqx.error_if(x, jnp.any(x > 9), "large")], ids=["debug.print", "error_if"]
)
def test_a_module_that_calls_python(module: Any, tmp_path):
    refused(tmp_path, module, "calls Python while it runs(.|\n)*no Python to call(.|\n)*EQX_ON_ERROR")


def test_platforms(tmp_path):
    eigenvalues = lambda x: jnp.linalg.eig(jnp.outer(x, x))[0]  # noqa: E731
    refused(tmp_path, eigenvalues, r"can't be exported for cuda, tpu(.|\n)*eig(.|\n)*`platforms=\('cpu',\)`")
    tg.Model(eigenvalues).export(tmp_path / "eigenvalues", ROWS, platforms=["cpu"])
    module = rows()[0].module
    refused(tmp_path, module, "'gpu'; there are cpu, cuda, rocm, tpu. A GPU is", platforms=["gpu"])
    refused(tmp_path, module, "Did you mean `tpu`", platforms=["tpus"])
    refused(tmp_path, module, "`platforms` is empty", platforms=())
    refused(tmp_path, module, "`platforms` is 'cpu'; a tuple of names", error=TypeError, platforms="cpu")
    tg.Model(module).export(tmp_path / "tpu", ROWS, platforms=["tpu"])
    with pytest.raises(ValueError, match="exported for platforms '\\('tpu',\\)' but it is used on '\\('cpu',\\)'"):
        tg.load_exported(tmp_path / "tpu")(ROWS)


def test_names_of_axes(tmp_path):
    def over_time(x: Float[Array, "time d"]) -> Any:
        return jnp.sum(x)

    x = np.ones((2, 3, 4), "f4")
    message = r"names the axis 'tme', and those of `x` are called batch, d, time. Did you mean `time`"
    refused(tmp_path, over_time, message, x, varying=("batch", "tme"))
    refused(tmp_path, over_time, "`varying` is 'time'; a tuple of names", x, TypeError, varying="time")
    refused(tmp_path, over_time, "names of axes are expected", x, TypeError, varying=("batch", 1))
    refused(tmp_path, added, r"'time', and those of `x` are called batch\..*symbolic_shape", ROWS, varying=("time",))


def test_a_step_that_needs_a_batch_gets_one(tmp_path):
    with pytest.raises(tg.DataError, match="isn't initialized(.|\n)*model.init"):
        Own().export(tmp_path / "exported", jax.ShapeDtypeStruct((1, 8), "float32"))
    Own().init(ROWS).export(tmp_path / "exported", jax.ShapeDtypeStruct((1, 8), "float32"))
    scores = tg.load_exported(tmp_path / "exported")(ROWS)["scores"]
    np.testing.assert_allclose(scores, np.repeat(ROWS.sum(1, keepdims=True) / 2, 2, 1), rtol=1e-4, atol=1e-5)


def test_under_a_trace(tmp_path):
    model, x = rows()
    with pytest.raises(TypeError, match="`export` can't be traced"):
        jax.jit(lambda x: model.export(tmp_path / "exported", x))(x)


# Where it is written


def test_an_export_is_replaced_and_other_files_are_not(tmp_path):
    model, x = rows()
    model.export(tmp_path / "exported", x)
    before = tg.load_exported(tmp_path / "exported")
    tg.Model(added).export(tmp_path / "exported", (x, x))
    assert sorted(file.suffix for file in (tmp_path / "exported").iterdir()) == [".bin", ".json", ".py"]
    np.testing.assert_array_equal(tg.load_exported(tmp_path / "exported")((x, x)), x + x)
    np.testing.assert_allclose(before(x), model(x), rtol=1e-5, atol=1e-6)

    with pytest.raises(tg.CheckpointError, match="holds no saved model, but 'exported.json'"):
        model.save(tmp_path / "exported")
    with pytest.raises(tg.CheckpointError, match="no saved model in(.|\n)*`tg.load_exported` reads"):
        model.load(tmp_path / "exported")
    model.save(tmp_path / "saved")
    with pytest.raises(tg.CheckpointError, match="holds no exported model, but 'manifest.json'"):
        model.export(tmp_path / "saved", x)
    with pytest.raises(tg.CheckpointError, match="no exported model in(.|\n)*`model.load` reads"):
        tg.load_exported(tmp_path / "saved")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(tg.CheckpointError, match="must be a directory"):
        model.export(tmp_path / "file", x)
    with pytest.raises(tg.CheckpointError, match="is not empty and holds no exported model"):
        model.export(tmp_path, x)
    with pytest.raises(tg.CheckpointError, match="no exported model in(.|\n)*does not exist"):
        tg.load_exported(tmp_path / "nowhere")
    assert (tmp_path / "file").read_text() == "mine"


# What is loaded


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported")
    tg.Model(lambda a, b: a + b[0]).export(path, {"a": ROWS, "b": [ROWS]})
    return path


def test_inputs_that_do_not_fit(directory: Path):
    loaded = tg.load_exported(directory)
    good = {"a": ROWS, "b": [ROWS]}
    for x, message in [
        (ROWS, r"another structure(.|\n)*expected: \{'a': f32\[batch,8\], 'b': \[f32\[batch,8\]\]\}\n  x = f32\[7,8\]"),
        ({"a": ROWS}, r"another structure"),
        ({**good, "b": (ROWS,)}, r"another structure(.|\n)*x = \{'a': f32\[7,8\], 'b': \(f32\[7,8\],\)\}"),
        (
            {**good, "a": np.int32(ROWS)},
            r"> x\['a'\] : f32\[batch,8\] = i32\[7,8\](.|\n)*int32, and float32 is",
        ),
        ({**good, "a": ROWS[:, 0]}, r"`x\['a'\]` has 1 axis, and 2 are expected"),
        ({**good, "a": ROWS[:, :5]}, r"Axis 1 of `x\['a'\]` has the length 5, and 8 is expected"),
        ({**good, "a": ROWS[:5]}, r"axis `batch` has the length 7 in `x\['b'\]\[0\]`, and 5 in `x\['a'\]`"),
        (jax.tree.map(lambda a: a[:0], good), r"axis `batch` of `x\['a'\]` has the length 0, and at least 1"),
        ({**good, "a": jax.random.split(jax.random.key(0), 7)}, r"`jax.random.key_data\(\.\.\.\)` of `x\['a'\]`"),
    ]:
        with pytest.raises(tg.ContractError, match=message):
            loaded(x)
    np.testing.assert_array_equal(loaded(good), ROWS + ROWS)


def copied(directory: Path, path: Path) -> Path:
    path.mkdir()
    for file in directory.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


def flipped_bit(directory: Path, path: Path) -> Path:
    """A copy in which one bit of the data is another; the file of the data."""
    (data,) = copied(directory, path).glob("*.bin")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    return data


def test_damaged_files(directory: Path, tmp_path):
    data = flipped_bit(directory, tmp_path / "flipped")
    flipped = data.parent
    with pytest.raises(tg.CheckpointError, match="is damaged: the bytes of `program` are not those"):
        tg.load_exported(flipped)
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(tg.CheckpointError, match="is truncated"):
        tg.load_exported(flipped)
    data.unlink()
    with pytest.raises(tg.CheckpointError, match="is missing: 'exported.json'"):
        tg.load_exported(flipped)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_load_exported, "PROGRAM", "another")
        with pytest.raises(tg.CheckpointError, match="is damaged: it has no program"):
            tg.load_exported(directory)
    changed = copied(directory, tmp_path / "changed") / "exported.json"
    changed.write_text(changed.read_text().replace("uint8", "int8"))
    with pytest.raises(tg.CheckpointError, match="damaged: its content is not what was written"):
        tg.load_exported(changed.parent)


def test_damaged_files_that_are_loaded_without_treegy(directory: Path, tmp_path):
    with pytest.raises(ValueError, match="is damaged: the bytes of `program` are not those written"):
        load(flipped_bit(directory, tmp_path / "flipped").parent)
    changed = copied(directory, tmp_path / "changed") / "exported.json"
    changed.write_text(changed.read_text().replace("uint8", "int8"))
    with pytest.raises(ValueError, match="exported.json' is damaged"):
        load(changed.parent)
    manifest = {**json.loads((directory / "exported.json").read_text()), "byteorder": "middle"}
    del manifest["checksum"]
    checksum = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    changed.write_text(json.dumps({**manifest, "checksum": checksum}))
    with pytest.raises(ValueError, match="comes from a machine with another order of bytes"):
        load(changed.parent)


def test_programs_of_another_jax(directory: Path, monkeypatch: pytest.MonkeyPatch):
    version = json.loads((directory / "exported.json").read_text())["calling_convention_version"]
    monkeypatch.setattr(jax.export, "maximum_supported_calling_convention_version", version - 1)
    with pytest.raises(tg.CheckpointError, match=f"exported with JAX {jax.__version__}(.|\n)*Install a newer JAX"):
        tg.load_exported(directory)
    monkeypatch.setattr(jax.export, "maximum_supported_calling_convention_version", version + 2)
    monkeypatch.setattr(jax.export, "minimum_supported_calling_convention_version", version + 1)
    with pytest.raises(tg.CheckpointError, match="Export the model again, or load it with an older JAX"):
        tg.load_exported(directory)

    def unreadable(_: bytearray) -> None:
        raise ValueError("version 99")

    monkeypatch.setattr(jax.export, "deserialize", unreadable)
    with pytest.raises(tg.CheckpointError, match="can't read its program: ValueError: version 99"):
        tg.load_exported(directory)


def test_without_flatbuffers(directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(ImportError, match=r'`model.export` needs flatbuffers.*: pip install "treegy\[export\]"$'):
        rows()[0].export(tmp_path, ROWS)
    with pytest.raises(ImportError, match=r'`tg.load_exported` needs flatbuffers.*: pip install "treegy\[export\]"$'):
        tg.load_exported(directory)


def test_double_precision_stays_so(tmp_path):
    script = (
        "import sys, equinox as eqx, jax, jax.numpy as jnp, numpy as np, treegy as tg\n"
        "model = tg.Model(eqx.nn.Linear(8, 2, key=jax.random.key(0)))\n"
        "model.export(sys.argv[1], np.ones((2, 8)))\n"
        "found = tg.load_exported(sys.argv[1])(np.ones((3, 8)))\n"
        "assert found.dtype == 'float64' and np.allclose(found, model(np.ones((3, 8))), rtol=1e-14, atol=0)\n"
    )
    env = {**os.environ, "JAX_ENABLE_X64": "true"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=300, env=env)
    with pytest.raises(tg.CheckpointError, match="was exported as f64(.|\n)*`jax_enable_x64` is on"):
        tg.load_exported(tmp_path)
