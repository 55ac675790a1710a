"""Whatever happens to the files of a model: the right one is loaded, or a `CheckpointError` says what is wrong."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import treegy as tg
from helpers import numbers, run_script
from treegy._saving import _read_checkpoints
from treegy._saving._documents import check_is_numbers
from treegy._saving._read_checkpoints import steps_in

pytestmark = pytest.mark.once

X, Y = numbers(8, 3), numbers(8, 2, seed=1)
SGD = optax.sgd(1e-2, momentum=0.9)


class Net(eqx.Module):
    """A linear map beside arrays of the kinds that are stored in other ways."""

    linear: eqx.nn.Linear
    half: jax.Array
    empty: jax.Array
    key: jax.Array

    def __init__(self):
        self.linear = eqx.nn.Linear(3, 2, key=jax.random.key(0))
        self.half = jnp.ones(2, jnp.bfloat16)
        self.empty = jnp.zeros((0, 3))
        self.key = jax.random.key(5)

    def __call__(self, x):
        return self.linear(x) * self.half.astype(jnp.float32)


def make_model() -> tg.Model[Any]:
    return tg.Model(Net(), loss=tg.losses.MeanSquaredError(), optimizer=SGD)


def fit(*use: Any, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    arguments = {"batch_size": 4, "epochs": 2, "verbose": 0, **arguments}
    return make_model().fit(X, Y, callbacks=list(use), **arguments)


def same(a: Any, b: Any) -> bool:
    def bits(leaf: Any) -> Any:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes()

    pairs = zip(jax.tree.leaves(a.states), jax.tree.leaves(b.states), strict=True)
    return all(bits(x) == bits(y) for x, y in pairs if eqx.is_array(x))


FORMS = ["saved", "checkpoints", "backups"]


class Interrupting(tg.callbacks.Callback):
    def __init__(self, step: int):
        self.step = step

    def heartbeat(self, step):
        if step == self.step:
            self.stop("for today", interrupt=True)


def written(form: str, directory: Path) -> None:
    if form == "saved":
        fit()[0].save(directory)
    elif form == "checkpoints":
        fit(tg.callbacks.ModelCheckpoint(directory))
    else:
        backup = tg.callbacks.BackupAndRestore(directory, save_freq=1)
        fit(Interrupting(3), backup, steps_per_execution=1)


class Whole:
    """What was written in one form, and whether a directory with some damage keeps the law."""

    def __init__(self, form: str, directory: Path):
        self.form, self.directory = form, directory
        written(form, directory)
        steps = steps_in(directory)
        load = [lambda s=s: make_model().load(directory, step=s) for s in reversed(steps)]
        self.models = [one() for one in load] or [make_model().load(directory)]
        self.files = sorted(p for p in directory.rglob("*") if p.is_file() and p.name != ".lock")
        assert len(self.files) == {"saved": 2, "checkpoints": 4, "backups": 4}[form]

    def keeps_the_law(self, directory: Path) -> bool:
        """Whether the right model is loaded, a passed over one told; `False` if it is refused."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                found = make_model().load(directory)
            except tg.CheckpointError as error:
                assert len(str(error)) < 2000
                return False
        texts = [str(w.message) for w in told]
        if not same(found, self.models[0]):
            assert same(found, self.models[1]), "other numbers"
            newest = str(directory / str(int(self.models[0].states.step)))
            assert any(newest in text and "is loaded instead" in text for text in texts), texts
        return True


@pytest.fixture(scope="module", params=FORMS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(request.param, tmp_path_factory.mktemp("whole") / request.param)


@pytest.fixture(scope="module")
def copied(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A function that makes a directory what was written, again and again."""
    directory = tmp_path_factory.mktemp("damaged") / "directory"

    def copy() -> Path:
        shutil.rmtree(directory, ignore_errors=True)
        return Path(shutil.copytree(whole.directory, directory))

    return copy


def flipped(file: Path, place: int, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << bit
    file.write_bytes(content)


HYPOTHESIS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@HYPOTHESIS
@given(st.integers(0, 10), st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit(whole, copied, file, place, bit):
    directory = copied()
    flipped(directory / whole.files[file % len(whole.files)].relative_to(whole.directory), place, bit)
    assert whole.keeps_the_law(directory) or whole.form == "saved"


@HYPOTHESIS
@given(st.integers(0, 10), st.integers(0, 10**6))
def test_a_truncated_file(whole, copied, file, length):
    directory = copied()
    damaged = directory / whole.files[file % len(whole.files)].relative_to(whole.directory)
    content = damaged.read_bytes()
    damaged.write_bytes(content[: length % len(content)])
    assert whole.keeps_the_law(directory) == (whole.form != "saved")


@pytest.mark.slow
def test_every_bit_of_every_file(whole, copied):
    directory = copied()
    for file in whole.files[-2:]:  # those before them aren't read
        damaged = directory / file.relative_to(whole.directory)
        content = file.read_bytes()
        for place in range(len(content)):
            for bit in range(8):
                changed = bytearray(content)
                changed[place] ^= 1 << bit
                damaged.write_bytes(changed)
                whole.keeps_the_law(directory)
        damaged.write_bytes(content)
    assert whole.keeps_the_law(directory)


def as_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def as_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def as_link_to_nothing(file: Path) -> None:
    file.unlink()
    file.symlink_to("nothing")


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "removed": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "longer": longer,
    "a directory": as_directory,
    "a link loop": as_loop,
    "a link to nothing": as_link_to_nothing,
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "a list": lambda file: file.write_text("[1, 2]"),
    "a number": lambda file: file.write_text("3"),
    "null": lambda file: file.write_text("null"),
    "a text": lambda file: file.write_text('"treegy"'),
    "an empty dict": lambda file: file.write_text("{}"),
    "nested too deep": lambda file: file.write_text("[" * 200_000),
    "a number too long": lambda file: file.write_text("1" * 10_000),
    "no text": lambda file: file.write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_else_may_become_of_a_file(whole, copied, damage):
    for file in whole.files:
        directory = copied()
        damage(directory / file.relative_to(whole.directory))
        assert whole.keeps_the_law(directory) == (whole.form != "saved")


def test_files_that_are_swapped(whole, copied):
    for i, a in enumerate(whole.files):
        for b in whole.files[i + 1 :]:
            directory = copied()
            first, second = (directory / file.relative_to(whole.directory) for file in (a, b))
            content = first.read_bytes()
            first.write_bytes(second.read_bytes())
            second.write_bytes(content)
            whole.keeps_the_law(directory)


def test_files_copied_over_others(whole, copied):
    for a in whole.files:
        for b in whole.files:
            directory = copied()
            shutil.copy(a, directory / b.relative_to(whole.directory))
            whole.keeps_the_law(directory)


@pytest.mark.parametrize("form", FORMS[1:])
def test_directories_that_change_their_names(form, tmp_path):
    """The number is a part of what was written: a checkpoint under another one is not that of this step."""
    written(form, tmp_path / "d")
    first, last = (tmp_path / "d" / str(step) for step in steps_in(tmp_path / "d"))
    first.rename(tmp_path / "other")
    last.rename(first)
    (tmp_path / "other").rename(last)
    with pytest.raises(tg.CheckpointError, match=r"is damaged: ValueError: it was written as that of step \d+"):
        make_model().load(tmp_path / "d")


@pytest.mark.parametrize("form", FORMS[1:])
def test_an_explicit_step_is_never_another(form, tmp_path):
    written(form, tmp_path)
    first, last = steps_in(tmp_path)
    for file in (tmp_path / str(last)).iterdir():
        flipped(file, 50, 3)
    with pytest.raises(tg.CheckpointError, match=rf"The checkpoint '.*{last}' is damaged"):
        make_model().load(tmp_path, step=last)
    told = rf"The checkpoint '.*{last}' is damaged: .*\. The one of step {first} is loaded instead"
    with pytest.warns(UserWarning, match=told):
        assert int(make_model().load(tmp_path).states.step) == first
    for file in (tmp_path / str(first)).iterdir():
        file.write_bytes(b"")
    with pytest.raises(tg.CheckpointError, match=r"is damaged: .*There are none besides that could be read"):
        make_model().load(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_files_that_may_not_be_read(whole, copied):
    for file in whole.files:
        directory = copied()
        (directory / file.relative_to(whole.directory)).chmod(0)
        with pytest.raises(tg.CheckpointError, match="can't be read"):
            make_model().load(directory)


# What is well formed, and not what treegy writes


def signed(form: str, file: Path, change: Callable[[Any], Any]) -> None:
    """Change a document and make its checksum right again."""
    content = json.loads(file.read_text())
    content.pop("checksum")
    change(content)
    text = json.dumps(content, sort_keys=form == "saved")
    file.write_text(json.dumps({**content, "checksum": hashlib.sha256(text.encode()).hexdigest()}))


VALUES: list[Any] = [None, True, "1", [1], False, "", -1, 0, 1.5, 10**30, float("nan"), [], {}, [None], {"a": [1]}]


def below(content: Any, depth: int = 2) -> list[tuple[Any, Any]]:
    """The places of a document as `(container, key)`, the first of each list."""
    if isinstance(content, dict):
        keys: list[Any] = list(content)
    else:
        keys = list(range(min(1, len(content)))) if isinstance(content, list) else []
    return [(content, k) for k in keys] + [p for k in keys if depth for p in below(content[k], depth - 1)]


@pytest.mark.parametrize(
    "value", [pytest.param(v, marks=[] if i < 1 else pytest.mark.slow) for i, v in enumerate(VALUES)]
)
def test_values_of_the_wrong_type(whole, copied, value):
    """In each place of each document: an error of ours, or what makes no difference."""
    for file in whole.files:
        if file.suffix != ".json":
            continue
        for place in range(len(below({k: v for k, v in json.loads(file.read_text()).items() if k != "checksum"}))):
            directory = copied()

            def change(content: Any, place: int = place) -> None:
                container, key = below(content)[place]
                container[key] = value

            signed(whole.form, directory / file.relative_to(whole.directory), change)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    make_model().load(directory)
                except tg.CheckpointError as error:
                    assert len(str(error)) < 2000


# Backups


@pytest.fixture(scope="module")
def unbroken() -> dict[str, Any]:
    return fit(steps_per_execution=1)[1].history


def changed_backup(directory: Path, change: Callable[[Any], Any]) -> tg.callbacks.Callback:
    fit(tg.callbacks.BackupAndRestore(directory, delete_checkpoint=False), epochs=1)
    for file in directory.glob("*/treegy.json"):
        signed("backups", file, change)
    return tg.callbacks.BackupAndRestore(directory)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda content: content.update(version=99), "it has version 99, of a newer treegy: install that"),
        (lambda content: content["document"].pop("epochs"), "is not what treegy writes: 'epochs' is missing or wrong"),
        (lambda content: content["document"]["position"].pop("done"), "is not what treegy writes: 'position' is wrong"),
    ],
    ids=["of a newer treegy", "something is missing", "without a position"],
)
def test_a_backup_that_says_something_else(tmp_path, change, match):
    backup = changed_backup(tmp_path, change)
    with pytest.raises(tg.CheckpointError, match=match):
        fit(backup)


def test_a_backup_with_a_metric_value_that_is_none(tmp_path):
    backup = changed_backup(tmp_path, lambda content: content.update(value="a"))
    # It is passed over, and it is another run's as well.
    with (
        pytest.warns(UserWarning, match="its metric value is none. There is none before it"),
        pytest.raises(tg.CheckpointError, match="a run of this process has ended in"),
    ):
        fit(backup)


def test_checkpoints_that_are_gone(tmp_path, monkeypatch):
    with pytest.raises(tg.CheckpointError, match="There is no checkpoint of step 3 in"):
        _read_checkpoints.read_checkpoint(tmp_path, 3)
    # Some of them are removed while they are read, again and again.
    monkeypatch.setattr(_read_checkpoints, "_ranked", lambda place: [1])
    with pytest.raises(tg.CheckpointError, match="There is no checkpoint in .* that stays while it is read"):
        _read_checkpoints.newest_whole(tmp_path)
    monkeypatch.setattr(_read_checkpoints, "_ranked", lambda place: [])
    with pytest.raises(tg.CheckpointError, match="There is no checkpoint in .* that stays while it is read"):
        _read_checkpoints.newest_whole(tmp_path)


def test_what_a_checkpoint_can_not_hold():
    with pytest.raises(tg.CheckpointError, match="`names` is an array of dtype <U1, which can't be written"):
        check_is_numbers("names", np.array(["a"]))


@pytest.mark.parametrize("file", ["treegy.json", "treegy.bin"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_damaged_backup_is_passed_over(tmp_path, unbroken, file, share):
    written("backups", tmp_path)
    damaged = tmp_path / str(steps_in(tmp_path)[-1]) / file
    flipped(damaged, int(share * damaged.stat().st_size), 6)
    with pytest.warns(UserWarning, match="is damaged.*Resuming from the backup before it"):
        _, history = fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq=1), steps_per_execution=1)
    assert history.history == unbroken


@pytest.mark.slow
def test_every_byte_of_a_backup(tmp_path, unbroken):
    written("backups", tmp_path / "whole")
    newest = steps_in(tmp_path / "whole")[-1]
    for name in ("treegy.json", "treegy.bin"):
        for place in range(0, (tmp_path / "whole" / str(newest) / name).stat().st_size, 7):
            # One directory for each: a second run of one process that begins in the same one is refused.
            damaged = shutil.copytree(tmp_path / "whole", tmp_path / f"{name}-{place}")
            flipped(damaged / str(newest) / name, place, place % 8)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                use = tg.callbacks.BackupAndRestore(damaged, save_freq=1)
                assert fit(use, steps_per_execution=1)[1].history == unbroken
            shutil.rmtree(damaged)


SHARDED = """
import sys, pathlib, shutil
sys.path.insert(0, sys.argv[1])
import equinox as eqx, jax, numpy as np, test_damaged_files as t, treegy as tg
from jax.sharding import Mesh, NamedSharding, PartitionSpec

mesh = Mesh(jax.devices(), ("rows",))
whole, damaged = pathlib.Path(sys.argv[2], "whole"), pathlib.Path(sys.argv[2], "damaged")

def make():
    net = eqx.nn.Linear(3, 16, key=jax.random.key(0))
    rows = NamedSharding(mesh, PartitionSpec("rows"))
    net = jax.tree.map(lambda a: jax.device_put(a, rows) if eqx.is_array(a) else a, net)
    return tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=t.SGD)

y = np.zeros((8, 16), np.float32)
use = tg.callbacks.ModelCheckpoint(whole)
model, _ = make().fit(t.X, y, batch_size=4, verbose=0, callbacks=[use])
file = whole / "2" / "treegy.json"
shards = __import__("json").loads(file.read_text())["arrays"].values()
assert max(map(len, shards)) == 8, "one digest for each shard"
found = make().load(whole)
assert t.same(found, model) and found.module.weight.sharding == make().module.weight.sharding
for file in ("treegy.bin", "treegy.json"):
    for i in range(40):
        shutil.copytree(whole, damaged)
        size = (whole / "2" / file).stat().st_size
        t.flipped(damaged / "2" / file, int((i + 0.5) / 40 * size), i % 8)
        try:
            assert t.same(make().load(damaged), model), "other numbers"
        except tg.CheckpointError:
            pass
        else:
            assert file == "treegy.json"
        shutil.rmtree(damaged)
print("DONE")
"""


def test_arrays_on_several_devices(tmp_path):
    done = run_script(SHARDED, str(Path(__file__).parent), str(tmp_path), devices=8)
    assert "DONE" in done.stdout, done.stdout + done.stderr
