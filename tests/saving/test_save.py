import hashlib
import json
import os
import re
import sys
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from treegy import CheckpointError, States
from treegy._saving import _manifest, _saved
from treegy._saving._manifest import save_tree
from treegy._saving._saved import load_tree
from treegy._saving._skeleton import UNKNOWN


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if not hasattr(x, "dtype"):
            assert x is y or x == y
            continue
        assert isinstance(y, type(x))
        assert x.dtype == y.dtype
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
        assert x.shape == y.shape


def shapes(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype) if eqx.is_array(x) else x, tree)


def tree():
    return {"w": jnp.arange(6, dtype=jnp.float32).reshape(2, 3), "b": [jnp.ones(5, jnp.int32), jnp.array(True)]}


def other():
    return jax.tree.map(lambda x: x + jnp.ones((), x.dtype), tree())


def data_file(directory):
    (file,) = directory.glob("data-*.bin")
    return file


def edit(directory, change, sign=True):
    """Changes the manifest, and makes its checksum right again."""
    file = directory / "manifest.json"
    content = json.loads(file.read_text())
    change(content)
    if sign:
        del content["checksum"]
        text = json.dumps(content, sort_keys=True)
        content["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(content))


# Round trips

DTYPES = [
    *("bool", "int2", "int4", "int8", "int16", "int32", "uint2", "uint4", "uint8", "uint16", "uint32"),
    *("float16", "bfloat16", "float32", "complex64"),
    *(name for name in dir(ml_dtypes) if name.startswith(("float4", "float8")) and hasattr(jnp, name)),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(tmp_path, dtype):
    values = np.array([0, 1, 1, 0, 1, 1])
    a = {"a": jnp.asarray(values).astype(dtype).reshape(2, 3), "scalar": jnp.asarray(1).astype(dtype)}
    save_tree(a, tmp_path)
    for like in (a, shapes(a), UNKNOWN):
        loaded = load_tree(like, tmp_path)
        assert_same(a, loaded)
        assert loaded["a"].dtype == jnp.dtype(dtype)


def test_special_values_come_back_to_the_bit(tmp_path):
    a = jnp.array([jnp.nan, -0.0, jnp.inf, -jnp.inf, 1e-45, 3.4e38])
    save_tree(a, tmp_path)
    assert_same(a, load_tree(a, tmp_path))
    b = jnp.array([-8, 7, -1], jnp.int4)
    save_tree(b, tmp_path)
    assert load_tree(b, tmp_path).astype(jnp.int32).tolist() == [-8, 7, -1]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1), (7,)])
def test_shapes_come_back(tmp_path, shape):
    a = (jnp.ones(shape), None, jnp.zeros(shape, bool))
    save_tree(a, tmp_path)
    assert_same(a, load_tree(a, tmp_path))
    assert_same(a, load_tree(UNKNOWN, tmp_path))


@pytest.mark.parametrize("nothing", [None, {}, (), [], {"f": jnp.tanh, "n": 3}])
def test_a_tree_without_arrays(tmp_path, nothing):
    save_tree(nothing, tmp_path)
    assert load_tree(nothing, tmp_path) == nothing


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_come_back(tmp_path, impl):
    key = jax.random.key(3, impl=impl)
    a = {"one": key, "many": jax.random.split(key, (2, 3)), "none": jax.random.split(key, 0)}
    save_tree(a, tmp_path)
    for like in (a, shapes(a), UNKNOWN):
        loaded = load_tree(like, tmp_path)
        assert_same(a, loaded)
        assert jax.random.key_impl(loaded["one"]) == impl
        assert jax.random.bits(loaded["one"]) == jax.random.bits(key)


def test_an_old_style_key_is_an_array(tmp_path):
    key = jax.random.PRNGKey(0)
    save_tree(key, tmp_path)
    assert_same(key, load_tree(key, tmp_path))


def test_numpy_arrays_stay_numpy_arrays(tmp_path):
    a = {
        "f64": np.arange(3.0),
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.float32(2.5),
        "strided": np.arange(12.0, dtype=np.float32).reshape(3, 4)[:, ::2],
    }
    save_tree(a, tmp_path)
    loaded = load_tree(a, tmp_path)
    assert type(loaded["scalar"]) is np.float32
    loaded["f64"][0] = 1  # writable
    for name in ("big", "scalar", "strided"):
        np.testing.assert_array_equal(a[name], loaded[name])
    assert loaded["big"].dtype == np.int32


def test_modules_optimizers_and_states_come_back(tmp_path):
    def make(seed):
        key, *keys = jax.random.split(jax.random.key(seed), 3)

        class Net(eqx.Module):
            mlp: eqx.nn.MLP
            norm: eqx.nn.BatchNorm
            name: str = "net"

        net, state = eqx.nn.make_with_state(
            lambda: Net(eqx.nn.MLP(3, 2, 4, 1, key=keys[0]), eqx.nn.BatchNorm(2, "batch", mode="batch"))
        )()
        assert net.norm.batch_state_index is not None
        state = state.set(net.norm.batch_state_index, (jnp.full(2, seed, jnp.float32), jnp.ones(2)))
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
        params = eqx.filter(net, eqx.is_inexact_array)
        return States(net_params=net, state=state, optimizer_states=optimizer.init(params), rng=key, step=jnp.array(3))

    a = make(5)
    save_tree(a, tmp_path / "deep" / "er")
    like = jax.tree.map(lambda x: jnp.zeros_like(x) if eqx.is_inexact_array(x) else x, a)
    loaded = load_tree(like, tmp_path / "deep" / "er")
    assert_same(a, loaded)
    assert loaded.net_params.mlp.activation is a.net_params.mlp.activation
    assert loaded.net_params.norm.inference is False
    manifest = (tmp_path / "deep" / "er" / "manifest.json").read_text()
    assert ".net_params.mlp.layers[0].weight" in manifest


def test_what_is_not_an_array_is_taken_from_like(tmp_path):
    save_tree({"f": jnp.tanh, "s": "saved", "n": 3, "a": jnp.ones(2)}, tmp_path)
    loaded = load_tree({"f": jnp.sin, "s": "here", "n": 4, "a": jnp.zeros(2)}, tmp_path)
    assert (loaded["f"], loaded["s"], loaded["n"]) == (jnp.sin, "here", 4)
    assert loaded["a"].tolist() == [1, 1]


def test_two_children_of_the_same_key(tmp_path):
    @jax.tree_util.register_pytree_with_keys_class
    class Pair:
        def __init__(self, *both):
            self.both = both

        def tree_flatten_with_keys(self):
            return [(jax.tree_util.GetAttrKey("same"), child) for child in self.both], None

        @classmethod
        def tree_unflatten(cls, aux, children):
            return cls(*children)

    save_tree(Pair(jnp.ones(1), jnp.zeros(2)), tmp_path)
    loaded = load_tree(Pair(jnp.zeros(1), jnp.ones(2)), tmp_path)
    assert [child.tolist() for child in loaded.both] == [[1], [0, 0]]


def test_weak_types_come_back(tmp_path):
    a = {
        "w": jnp.full((2, 3), 0.5),
        "n": jnp.asarray(3),
        "e": jnp.full(0, 1j),
        "s": jnp.ones(2),
        "b": jnp.asarray(True),
    }
    save_tree(a, tmp_path)
    for like in (a, UNKNOWN):
        loaded = load_tree(like, tmp_path)
        assert_same(a, loaded)
        weak = {name: jax.typeof(x).weak_type for name, x in loaded.items()}
        assert weak == {"w": True, "n": True, "e": True, "s": False, "b": False}


def test_sixty_four_bits(tmp_path):
    with jax.enable_x64(True):
        a = {"a": jnp.arange(3.0), "i": jnp.arange(3)}
        assert a["a"].dtype == jnp.float64
        save_tree(a, tmp_path)
        assert_same(a, load_tree(UNKNOWN, tmp_path))
        like = shapes(a)
    with pytest.raises(CheckpointError, match=r"`\['a'\]` was saved as f64\[3\].*jax_enable_x64"):
        load_tree(like, tmp_path)


def test_the_manifest_says_what_wrote_it_and_what_is_in_it(tmp_path):
    save_tree({"a": jnp.ones((2, 3), jnp.bfloat16), "key": jax.random.key(0)}, tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["version"] == 1
    assert content["written_with"]["jax"] == jax.__version__
    a, key = content["leaves"]
    assert (a["path"], a["shape"], a["dtype"], a["offset"], a["length"]) == ("['a']", [2, 3], "bfloat16", 0, 12)
    assert a["sha256"] == hashlib.sha256(data_file(tmp_path).read_bytes()[:12]).hexdigest()
    assert (key["dtype"], key["shape"], key["key_impl"], key["key_shape"]) == ("key<fry>", [], "threefry2x32", [2])


# What can't be saved


@pytest.mark.parametrize("value", [np.array([object()]), np.array(["text"]), np.zeros(2, "datetime64[s]")])
def test_arrays_that_are_no_numbers(tmp_path, value):
    with pytest.raises(CheckpointError, match=r"`\['bad'\]` can't be saved: JAX has no arrays of dtype"):
        save_tree({"bad": value}, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_shapes_are_no_numbers(tmp_path):
    with pytest.raises(CheckpointError, match=r"`\['a'\]` can't be saved.*holds no numbers"):
        save_tree({"a": jax.ShapeDtypeStruct((2,), jnp.float32)}, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CheckpointError, match="must be a directory, and there is a file"):
            save_tree(tree(), path)
        with pytest.raises(CheckpointError, match="There is no saved model in"):
            load_tree(tree(), path)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["thesis.tex", "data-1.bin", "manifest.json.bak"])
def test_a_directory_of_other_files_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(CheckpointError, match=rf"is not empty and holds no saved model, but '{re.escape(name)}'"):
        save_tree(tree(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("text", ['{"name": "my web app"}', "[]", "3", '"format"', "not json", ""])
def test_a_foreign_manifest_is_left_alone(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match="is not a manifest of treegy's, or damaged, and is not replaced"):
        save_tree(tree(), tmp_path)
    with pytest.raises(CheckpointError, match="manifest.json' (was not written by treegy|is damaged)"):
        load_tree(tree(), tmp_path)
    assert (tmp_path / "manifest.json").read_text() == text


def test_other_files_beside_a_save_stay(tmp_path):
    save_tree(tree(), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    save_tree(other(), str(tmp_path))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3
    assert_same(other(), load_tree(tree(), str(tmp_path)))


# Atomicity


class Crash(BaseException):
    pass


def raising(*args, **kwargs):
    raise Crash


def crash_in(monkeypatch, where):
    if where == "replace":
        monkeypatch.setattr(os, "replace", raising)
    elif where == "first fsync":
        monkeypatch.setattr(os, "fsync", raising)
    elif where == "second fsync":
        calls, real = [], os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: raising() if calls else calls.append(real(fd)))
    elif where == "data":
        monkeypatch.setattr(_manifest, "write_leaves", raising)
    elif where == "manifest":
        monkeypatch.setattr(json, "dumps", raising)


PLACES = ["replace", "first fsync", "second fsync", "data", "manifest"]


@pytest.mark.parametrize("where", PLACES)
def test_a_failure_leaves_the_old_one(tmp_path, monkeypatch, where):
    save_tree(tree(), tmp_path)
    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        crash_in(patch, where)
        with pytest.raises(Crash):
            save_tree(other(), tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert_same(tree(), load_tree(tree(), tmp_path))
    save_tree(other(), tmp_path)
    assert_same(other(), load_tree(tree(), tmp_path))


@pytest.mark.parametrize("where", PLACES)
def test_a_power_failure_leaves_the_old_one(tmp_path, monkeypatch, where):
    # As above, but nothing is cleaned up either.
    save_tree(tree(), tmp_path)
    with monkeypatch.context() as patch:
        crash_in(patch, where)
        patch.setattr(type(tmp_path), "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(Crash):
            save_tree(other(), tmp_path)
    assert_same(tree(), load_tree(tree(), tmp_path))
    save_tree(other(), tmp_path)
    assert_same(other(), load_tree(tree(), tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_power_failure_in_the_first_save_can_be_saved_over(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        crash_in(patch, "replace")
        patch.setattr(type(tmp_path), "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(Crash):
            save_tree(tree(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(CheckpointError, match="There is no saved model in"):
        load_tree(tree(), tmp_path)
    save_tree(tree(), tmp_path)
    assert_same(tree(), load_tree(tree(), tmp_path))


def test_a_failure_after_the_new_one_is_in_place_leaves_the_new_one(tmp_path, monkeypatch):
    save_tree(tree(), tmp_path)
    real = os.replace

    def replace(*args):
        real(*args)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(Crash):
            save_tree(other(), tmp_path)
    assert_same(other(), load_tree(tree(), tmp_path))


def test_a_load_during_a_save_gets_one_of_the_two(tmp_path, monkeypatch):
    save_tree(tree(), tmp_path)
    real, calls = _saved.read_manifest, []

    def read(*arguments):
        manifest = real(*arguments)
        if not calls:
            calls.append(save_tree(other(), tmp_path))
        return manifest

    monkeypatch.setattr(_saved, "read_manifest", read)
    assert_same(other(), load_tree(tree(), tmp_path))


# Damage


def test_every_altered_byte_is_noticed(tmp_path):
    save_tree({"a": jnp.arange(50.0), "key": jax.random.key(0)}, tmp_path)
    like = {"a": jnp.zeros(50), "key": jax.random.key(1)}
    file = data_file(tmp_path)
    content = file.read_bytes()
    assert len(content) == 208
    for i in [*range(0, 208, 7), 207]:
        file.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        name = "'a'" if i < 200 else "'key'"
        with pytest.raises(CheckpointError, match=rf"{file.name}' is damaged: the bytes of `\[{name}\]`"):
            load_tree(like, tmp_path)
    file.write_bytes(content)
    load_tree(like, tmp_path)


@pytest.mark.parametrize("length", [0, 1, 20, 44])
def test_a_truncated_file(tmp_path, length):
    save_tree(tree(), tmp_path)
    file = data_file(tmp_path)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=rf"{file.name}' is truncated: it has {length} bytes where 45 were"):
        load_tree(tree(), tmp_path)


def test_a_file_that_grew(tmp_path):
    save_tree(tree(), tmp_path)
    file = data_file(tmp_path)
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match=rf"{file.name}' is damaged: it has 46 bytes"):
        load_tree(tree(), tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"There is no saved model in .*nowhere.*manifest\.json' does not exist"):
        load_tree(tree(), tmp_path / "nowhere")
    save_tree(tree(), tmp_path)
    file = data_file(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match=rf"{file.name}' is missing"):
        load_tree(tree(), tmp_path)


def test_a_manifest_that_is_cut_anywhere(tmp_path):
    save_tree(tree(), tmp_path)
    file = tmp_path / "manifest.json"
    content = file.read_bytes()
    for length in range(0, len(content), 13):
        file.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"manifest\.json' is damaged: it can't be read as JSON"):
            load_tree(tree(), tmp_path)


def test_a_manifest_with_an_altered_byte(tmp_path):
    save_tree(tree(), tmp_path)
    file = tmp_path / "manifest.json"
    content = file.read_bytes()
    for i in range(0, len(content), 5):
        if content[i : i + 1].isspace():
            continue
        file.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(CheckpointError, match=r"manifest\.json'"):
            load_tree(tree(), tmp_path)


def test_a_manifest_that_nests_too_deep(tmp_path):
    save_tree(tree(), tmp_path)
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(CheckpointError, match=r"manifest\.json' is damaged"):
        load_tree(tree(), tmp_path)


def test_a_newer_format(tmp_path):
    save_tree(tree(), tmp_path)
    edit(tmp_path, lambda content: content.update(version=2, news=[]), sign=False)
    with pytest.raises(CheckpointError, match=r"manifest\.json' has version 2 .*reads up to 1. Install a newer one"):
        load_tree(tree(), tmp_path)


def test_another_order_of_bytes(tmp_path):
    save_tree(tree(), tmp_path)
    order = {"little": "big", "big": "little"}[sys.byteorder]
    edit(tmp_path, lambda content: content.update(byteorder=order))
    with pytest.raises(CheckpointError, match=rf"another order of bytes \({order}\)"):
        load_tree(tree(), tmp_path)


FORGED = {
    "data elsewhere": lambda c: c["data"].update(file="../../secret"),
    "data absent": lambda c: c.pop("data"),
    "no leaves": lambda c: c.pop("leaves"),
    "leaves of another kind": lambda c: c.update(leaves=[1]),
    "unknown field": lambda c: c["leaves"][0].update(more=1),
    "missing field": lambda c: c["leaves"][0].pop("sha256"),
    "objects": lambda c: c["leaves"][0].update(dtype="object"),
    "void": lambda c: c["leaves"][0].update(dtype="V4"),
    "no dtype": lambda c: c["leaves"][0].update(dtype="float99"),
    "negative offset": lambda c: c["leaves"][0].update(offset=-4),
    "past the end": lambda c: c["leaves"][2].update(offset=44),
    "negative shape": lambda c: c["leaves"][0].update(shape=[-5, -1]),
    "shape too large": lambda c: c["leaves"][0].update(shape=[1 << 40]),
    "shape of text": lambda c: c["leaves"][0].update(shape="5"),
}


@pytest.mark.parametrize("change", FORGED)
def test_a_forged_manifest(tmp_path, change):
    directory = tmp_path / "a" / "b"
    save_tree(tree(), directory)
    (tmp_path / "secret").write_bytes(bytes(45))
    edit(directory, FORGED[change])
    for like in (tree(), UNKNOWN):
        with pytest.raises(CheckpointError, match=r"manifest\.json' is not a manifest that treegy writes"):
            load_tree(like, directory)


def test_a_key_of_an_implementation_that_is_not_there(tmp_path):
    save_tree({"k": jax.random.key(0)}, tmp_path)
    edit(tmp_path, lambda content: content["leaves"][0].update(key_impl="mine"))
    with pytest.raises(CheckpointError, match=r"The key `\['k'\]` can't be rebuilt"):
        load_tree({"k": jax.random.key(0)}, tmp_path)


def test_nothing_is_executed(tmp_path, monkeypatch):
    import pickle

    for name in ("load", "loads", "Unpickler", "dump", "dumps", "Pickler"):
        monkeypatch.setattr(pickle, name, raising)
    monkeypatch.setattr(np, "load", raising)
    monkeypatch.setattr(np, "save", raising)
    a = {"a": jnp.ones(3), "k": jax.random.key(0)}
    save_tree(a, tmp_path)
    assert_same(a, load_tree(UNKNOWN, tmp_path))
    source = "".join(path.read_text() for path in Path(str(_manifest.__file__)).parent.glob("*.py"))
    assert not re.search(r"\b(pickle|eval|exec|np\.load|__import__|import_module|getattr)\b", source)


# Other architectures


def mlp(width, depth=1, seed=0):
    return States(net_params=eqx.nn.MLP(32, 10, width, depth, key=jax.random.key(seed)))


def test_the_paths_that_differ_are_listed(tmp_path):
    save_tree(mlp(64), tmp_path)
    with pytest.raises(CheckpointError, match="belongs to another architecture") as info:
        load_tree(mlp(16), tmp_path)
    lines = str(info.value).splitlines()
    assert lines[1] == "  .net_params.layers[0].weight: f32[16,32] here, f32[64,32] in the file"
    assert lines[2] == "  .net_params.layers[0].bias: f32[16] here, f32[64] in the file"
    assert len(lines) == 5


def test_arrays_on_one_side_only(tmp_path):
    save_tree({"a": jnp.ones(1), "b": {"c": jnp.ones((2, 3))}}, tmp_path)
    with pytest.raises(CheckpointError) as info:
        load_tree({"a": jnp.ones(1), "d": jnp.ones((), jnp.int32)}, tmp_path)
    assert "\n  only here: ['d']: i32[]\n  only in the file: ['b']['c']: f32[2,3]\n" in str(info.value)


def test_at_most_ten_lines(tmp_path):
    save_tree([jnp.ones(1)] * 30, tmp_path)
    with pytest.raises(CheckpointError, match=r"\.\.\. and 20 more") as info:
        load_tree([jnp.ones(2)] * 30, tmp_path)
    assert len(str(info.value).splitlines()) == 13


@pytest.mark.parametrize(
    ("saved", "like", "line"),
    [
        (jnp.ones(2), jnp.ones(2, jnp.bfloat16), r"bf16\[2\] here, f32\[2\] in the file"),
        (jnp.ones(2, jnp.int32), jnp.ones(2, bool), r"bool\[2\] here, i32\[2\] in the file"),
        (jax.random.key(0), jax.random.key_data(jax.random.key(0)), r"u32\[2\] here, key<fry>\[\] in the file"),
        (jax.random.key(0), jax.random.key(0, impl="rbg"), r"key<rbg>\[\] here, key<fry>\[\] in the file"),
        (jnp.ones(2), 1.0, r"only in the file: \['a'\]: f32\[2\]"),
        (1.0, jnp.ones(2), r"only here: \['a'\]: f32\[2\]"),
        (None, UNKNOWN, None),
    ],
)
def test_each_mismatch(tmp_path, saved, like, line):
    save_tree({"a": saved}, tmp_path)
    if line is None:
        assert load_tree({"a": like}, tmp_path) == {"a": None}
        return
    with pytest.raises(CheckpointError, match=line):
        load_tree({"a": like}, tmp_path)


# Structures that aren't known


def test_unknown_subtrees_are_rebuilt(tmp_path):
    w = {"layers": [(jnp.ones(2), None), (jnp.zeros(3), {"k": jax.random.key(0)})], "empty": {}, "none": [], "t": ()}
    save_tree(States(net_params=w, step=jnp.array(3), extra=jnp.ones(1)), tmp_path)
    like = States(net_params=UNKNOWN, step=jnp.array(0), extra=UNKNOWN)
    loaded = load_tree(like, tmp_path)
    assert_same(w, loaded.net_params)
    assert (loaded.step, loaded.extra) == (3, jnp.ones(1))
    assert repr(UNKNOWN) == "UNKNOWN"


def test_names_that_need_care_are_rebuilt(tmp_path):
    w = {"it's": [jnp.ones(1)], 'a"b': jnp.ones(2), "ü\n": {"": jnp.ones(3)}, "dict": {"node": jnp.ones(4)}}
    save_tree({"x": w}, tmp_path)
    assert_same(w, load_tree({"x": UNKNOWN}, tmp_path)["x"])
    for key, value in w.items():
        assert_same(value, load_tree({"x": {**w, key: UNKNOWN}}, tmp_path)["x"][key])


class Named(NamedTuple):
    a: jax.Array


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Named(jnp.ones(1)), "Named"),
        (OrderedDict(a=jnp.ones(1)), "OrderedDict"),
        ({1: jnp.ones(1)}, "dict"),
        (eqx.nn.Linear(1, 1, key=jax.random.key(0)), "Linear"),
        (3.0, "float"),
    ],
)
def test_other_containers_cannot_be_rebuilt(tmp_path, value, kind):
    save_tree({"x": {"y": [value]}}, tmp_path)
    message = rf"`\['x'\]\['y'\]\[0\]` of the saved model holds an instance of {kind}.*`model.init\(x, y\)` before"
    with pytest.raises(CheckpointError, match=message):
        load_tree({"x": UNKNOWN}, tmp_path)
    # Below or beside them one can still be unknown.
    assert_same({"x": {"y": [value]}}, load_tree({"x": {"y": [value]}}, tmp_path))


def test_an_unknown_subtree_below_a_module(tmp_path):
    class Holder(eqx.Module):
        inner: object
        rest: jax.Array

    save_tree([Holder({"a": jnp.ones(2)}, jnp.ones(1))], tmp_path)
    loaded = load_tree([Holder(UNKNOWN, jnp.zeros(1))], tmp_path)
    assert loaded[0].inner["a"].tolist() == [1, 1]
    assert loaded[0].rest == 1


def test_an_unknown_subtree_that_was_not_saved(tmp_path):
    save_tree({"a": jnp.ones(1)}, tmp_path)
    with pytest.raises(CheckpointError, match=r"only here: \['b'\]$|only here: \['b'\]\n"):
        load_tree({"a": jnp.ones(1), "b": UNKNOWN}, tmp_path)
