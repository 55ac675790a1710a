"""`ModelCheckpoint(save_best_only=True)`: the best models stay, in whatever order they come."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import treegy as tg
from helpers import FailingIn, Faked, fit, make_model
from treegy._saving._read_checkpoints import steps_in

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("keep", [1, 2, 3, 5])
def test_the_best_are_kept(tmp_path, mode, keep):
    """Whatever their order, with NaN among them: against sorting."""
    rng = np.random.default_rng(keep)
    for i in range(4):
        values = [float(v) for v in rng.permutation(8)]
        values[int(rng.integers(8))] = math.nan
        path = tmp_path / str(i) / "d"
        best = tg.callbacks.ModelCheckpoint(path, "score", mode, save_best_only=True, keep=keep)
        fit(Faked(*values, name="score"), best, epochs=8)
        sign = 1 if mode == "min" else -1
        ranked = sorted((e for e in range(8) if not math.isnan(values[e])), key=lambda e: sign * values[e])
        assert steps_in(path) == sorted(4 * (e + 1) for e in ranked[:keep])
        assert int(make_model().load(path).states.step) == 4 * (ranked[0] + 1)


def test_the_next_best_is_loaded_if_the_best_is_damaged(tmp_path):
    fit(Faked(3.0, 1.0, 2.0), tg.callbacks.ModelCheckpoint(tmp_path, "score_loss", save_best_only=True, keep=3))
    for name, step in (("treegy.bin", 12), ("treegy.json", 12)):
        (tmp_path / "8" / name).write_bytes(b"")
        with pytest.warns(UserWarning, match=rf"8' is damaged: .* The one of step {step} is loaded instead"):
            assert int(make_model().load(tmp_path).states.step) == step


def test_the_best_of_a_run_that_was_interrupted(tmp_path):
    """Also where the best at the time of the backup has been replaced since: as if nothing had been."""
    values = (0.5, 0.3, 0.35, 0.2, 0.4, 0.25)
    for fails_in in range(2, 6):
        path = tmp_path / str(fails_in)

        def run(path: Path, *use: Any) -> None:
            best = tg.callbacks.ModelCheckpoint(path / "best", "score_loss", save_best_only=True, keep=2)
            fit(Faked(*values), best, *use, tg.callbacks.BackupAndRestore(path / "backup", save_freq=7), epochs=6)

        with pytest.raises(ZeroDivisionError):
            run(path, FailingIn(fails_in))
        run(path)
        assert steps_in(path / "best") == [16, 24]


def test_a_threshold(tmp_path):
    use = tg.callbacks.ModelCheckpoint(tmp_path, "score_loss", save_best_only=True, keep=2, initial_value_threshold=1.5)
    fit(Faked(3.0, 1.0, 2.0), use)
    assert steps_in(tmp_path) == [8]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"monitor": "val_loss"},
            r"`monitor` is 'val_loss', and every model is kept, however good it is: with `save_be",
        ),
        ({"mode": "max"}, r"`mode` is 'max', and every model is kept"),
        ({"initial_value_threshold": 0.5}, r"`initial_value_threshold` is 0.5, and every model is kept"),
        ({"mode": "smallest"}, '`mode` is \'smallest\'; "auto", "min" or "max" is expected'),
        ({"mode": "smallest", "save_best_only": True}, '`mode` is \'smallest\'; "auto", "min" or "max" is expected'),
        ({"monitor": "score_of_mine_x", "mode": "auto", "save_best_only": True, "keep": 0}, "`keep` is 0"),
    ],
)
def test_arguments_that_would_be_ignored(tmp_path, arguments, match):
    with pytest.raises(ValueError, match=match):
        tg.callbacks.ModelCheckpoint(tmp_path, **arguments)


def test_a_default_that_is_passed(tmp_path):
    tg.callbacks.ModelCheckpoint(tmp_path, mode="auto")
    tg.callbacks.ModelCheckpoint(tmp_path, monitor="val_loss", save_best_only=True)
