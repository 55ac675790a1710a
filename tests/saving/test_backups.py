"""Which run a backup belongs to, and that resuming changes neither rates nor the order of names."""

import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import optax
import pytest

import treegy as tg
from helpers import FailingIn, X, Y, fit, make_model, same
from treegy._saving._read_checkpoints import steps_in

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]


# Rates


def test_a_run_that_began_with_another_rate(tmp_path):
    def run(rate: float, *use: Any, **arguments: Any) -> list[float]:
        rates = tg.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2)
        model = make_model(tg.Optimizer(optax.adam, rate))
        return fit(*use, rates, tg.callbacks.BackupAndRestore(tmp_path), model=model, **arguments)[1]["lr"]

    with pytest.raises(ZeroDivisionError):
        run(0.5, FailingIn(1))
    with pytest.raises(ZeroDivisionError):
        run(0.5, FailingIn(2))
    told = r"the run of the backup in '.*' began with `lr` 0\.5, and now 0\.25: it resumes with what the backup holds"
    with pytest.warns(UserWarning, match=told) as found:
        assert run(0.25) == [0.25, 0.125, 0.0625]
    assert len(found) == 1


# Whose backup it is


def test_a_second_run_of_the_same_process(tmp_path):
    backup = tg.callbacks.BackupAndRestore(tmp_path)
    model = make_model()
    first, _ = fit(backup, model=model)
    again, _ = fit(backup, model=model)  # the cell of a notebook
    assert same(first.states, again.states)
    told = r"a run of this process has ended in '.*', and this one begins at step 0, too, with another model"
    with pytest.raises(tg.CheckpointError, match=told):
        fit(backup)
    with pytest.raises(tg.CheckpointError, match=told):
        fit(tg.callbacks.BackupAndRestore(str(tmp_path) + os.sep, delete_checkpoint=False))
    found, _ = fit(tg.callbacks.BackupAndRestore(tmp_path, overwrite=True))
    assert same(found.states, first.states)


def test_a_finished_backup_is_not_another_run_s(tmp_path):
    """The second of a loop over models would else be the first, untrained."""
    keeping = tg.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(keeping)
    with pytest.raises(tg.CheckpointError, match="Give each run a directory of its own, or pass `overwrite=True`"):
        fit(keeping, model=make_model(optax.adam(0.5)))
    replacing = tg.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False, overwrite=True)
    found, _ = fit(replacing, model=make_model(optax.adam(0.5)), epochs=2)
    assert same(found.states, fit(model=make_model(optax.adam(0.5)), epochs=2)[0].states)
    assert steps_in(tmp_path) == [4, 8]


def test_the_backup_of_a_run_that_began_elsewhere_can_be_replaced(tmp_path):
    model, _ = fit()
    with pytest.raises(ZeroDivisionError):
        fit(FailingIn(2), tg.callbacks.BackupAndRestore(tmp_path), model=model)
    with pytest.raises(tg.CheckpointError, match="is of another run: that began at step 12"):
        fit(tg.callbacks.BackupAndRestore(tmp_path))
    found, _ = fit(tg.callbacks.BackupAndRestore(tmp_path, overwrite=True))
    assert same(found.states, model.states)


# Names keep their places


def test_resuming_changes_no_name_s_place(tmp_path):
    def metrics(y_true: Any, y_pred: Any) -> Any:
        return {"zebra": jnp.mean(jnp.abs(y_true - y_pred), -1), "ape": jnp.mean(y_pred, -1)}

    def run(path: Path, *use: Any) -> tuple[tg.History, str]:
        model = make_model().replace(metrics=metrics)
        logger = tg.callbacks.CSVLogger(path / "log.csv")
        backup = tg.callbacks.BackupAndRestore(path / "backup", save_freq=3)
        often: dict[str, Any] = {"validation_data": (X, Y), "validation_freq": tg.Every(steps=2)}
        _, history = fit(logger, *use, backup, model=model, **often)
        return history, (path / "log.csv").read_text()

    (tmp_path / "broken").mkdir()
    (tmp_path / "whole").mkdir()
    expected, rows = run(tmp_path / "whole")
    assert list(expected) == ["loss", "mean_squared_error_loss", "metrics/zebra", "metrics/ape"] + [
        f"val_{name}" for name in ("loss", "mean_squared_error_loss", "metrics/zebra", "metrics/ape")
    ]
    for fails_in in (1, 2):
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "broken", FailingIn(fails_in))
    history, found = run(tmp_path / "broken")
    assert list(history.history.items()) == list(expected.history.items()) and found == rows
    assert [(s, list(v.items())) for s, v in history.validations] == [
        (s, list(v.items())) for s, v in expected.validations
    ]
