"""The samples that pyright checks in strict mode also run, with every annotation of theirs checked by beartype."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

import treegy as tg
from helpers import TESTS

SAMPLES = sorted((TESTS / "types").glob("*.py"))


@pytest.mark.parametrize("name", [path.stem for path in SAMPLES])
def test_samples_run_with_their_annotations_checked(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(SAMPLES[0].parent)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        with install_import_hook(name, "beartype.beartype"):
            sample = importlib.import_module(name)
        try:
            sample.main()
        finally:
            del sys.modules[name]


def test_samples_hold_no_ignores():
    assert SAMPLES
    for path in SAMPLES:
        assert "ignore" not in path.read_text()


@pytest.mark.slow
@pytest.mark.once
def test_samples_are_typed_for_mypy_as_well(tmp_path: Path):
    """Of what they import, Optax alone has no types. Pyright checks them with the rest of the project."""
    if shutil.which("mypy", path=Path(sys.executable).parent) is None:
        pytest.skip("mypy isn't installed")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\n[mypy-optax.*]\nignore_missing_imports = True\n")
    package = str(Path(tg.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini"), *map(str, SAMPLES)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        # mypy finds what is installed by itself, and refuses to be told.
        env={**os.environ, "MYPYPATH": "" if package.endswith("site-packages") else package},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.once
def test_a_script_runs_with_treegy_and_itself_under_the_import_hook(tmp_path: Path):
    (tmp_path / "script.py").write_text(
        """
import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import treegy as tg
from jaxtyping import Array, Float

class MSE(tg.Loss):
    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)

class Doubled(tg.Model):
    def pred_step(self, x: Float[Array, "batch d"], states: tg.States, training: bool) -> tuple[Array, tg.States]:
        y_pred, states = super().pred_step(x, states, training=training)
        return 2 * y_pred, states

x = jnp.ones((8, 3))
model = Doubled(eqx.nn.Linear(3, 1, key=jax.random.key(0)), loss=MSE(), optimizer=optax.sgd(1e-2))
model, history = model.fit(x, x[:, :1], epochs=2, batch_size=4, validation_data=(x, x[:, :1]), verbose=0)
assert model.evaluate(x, x[:, :1], verbose=0)["loss"] < history.history["loss"][0]
assert model.predict(x).shape == (8, 1)
print(model.summary(x, x[:, :1]))
"""
    )
    (tmp_path / "main.py").write_text(
        """
from jaxtyping import install_import_hook

with install_import_hook(["treegy", "script"], "beartype.beartype"):
    import script
"""
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "main.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Linear" in done.stdout
