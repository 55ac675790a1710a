"""What a traceback shows: the user's lines, and none of treegy's between them."""

import traceback
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg

pytestmark = pytest.mark.once

NAME = "jax_traceback_filtering"
HERE = str(Path(tg.__file__).parent)
X, Y = np.zeros((8, 4), np.float32), np.zeros(8, np.int32)


def model(**arguments: Any) -> tg.Model[eqx.nn.MLP]:
    given: dict[str, Any] = {
        "loss": tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        "optimizer": optax.sgd(1e-2),
    }
    return tg.Model(eqx.nn.MLP(4, 3, 8, 1, key=jax.random.key(0)), **{**given, **arguments})


def broken(y_true: Any, y_pred: Any) -> Any:
    raise RuntimeError("mine")


class Breaks(tg.callbacks.Callback):
    def __init__(self, error: BaseException):
        self.error = error

    def on_epoch_end(self, epoch: int, logs: tg.callbacks.Logs) -> None:
        raise self.error


class OwnStep(tg.Model):
    def test_step(self, x: Any, y_true: Any, states: Any) -> Any:
        return broken(y_true, x)


CALLS = {
    "fit": lambda: model(loss=broken).fit(X, Y, verbose=0),
    "evaluate": lambda: model(loss=broken).evaluate(X, Y, verbose=0),
    "train_on_batch": lambda: model(loss=broken).train_on_batch(X, Y),
    "a step": lambda: OwnStep(eqx.nn.Identity(), optimizer=optax.sgd(0.1)).fit(X, Y, verbose=0),
    "eagerly": lambda: model(loss=broken, run_eagerly=True).fit(X, Y, verbose=0),
    "a callback": lambda: model().fit(X, Y, verbose=0, callbacks=Breaks(RuntimeError("mine"))),
    "validation": lambda: model().fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=Breaks(RuntimeError("mine"))),
}


def frames_of(error: BaseException) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(error.__traceback__))


def ours(error: BaseException) -> list[traceback.FrameSummary]:
    return [frame for frame in frames_of(error) if frame.filename.startswith(HERE)]


@pytest.mark.parametrize("name", list(CALLS))
def test_what_a_user_raises(name: str):
    with pytest.raises(RuntimeError, match="mine") as found:
        CALLS[name]()
    assert not ours(found.value)
    assert frames_of(found.value)[-1].filename == __file__
    # The line that called treegy, and the one that failed.
    assert [frame.filename for frame in frames_of(found.value)].count(__file__) >= 3


def test_errors_of_treegy_end_at_the_line_that_called_it():
    with pytest.raises(tg.DataError) as found:
        model().fit(X, Y[:7], verbose=0)
    (frame,) = frames_of(found.value)
    assert frame.filename == __file__ and "Y[:7]" in str(frame.line)


def test_what_treegy_raises_and_others_too_shows_where():
    with pytest.raises(ValueError, match="`epochs` is -1") as found:
        model().fit(X, Y, epochs=-1, verbose=0)
    last = frames_of(found.value)[-1]
    assert ours(found.value) == [last] and "raise ValueError" in str(last.line)


def test_interruptions():
    with pytest.raises(KeyboardInterrupt) as found:
        model().fit(X, Y, verbose=0, callbacks=Breaks(KeyboardInterrupt()))
    assert not ours(found.value)


def test_errors_that_led_to_others_and_ones_that_lead_to_each_other():
    error = RuntimeError("mine")
    error.__cause__ = other = RuntimeError("first")
    other.__cause__ = error
    with pytest.raises(RuntimeError, match="mine") as found:
        model().fit(X, Y, verbose=0, callbacks=Breaks(error))
    assert not ours(found.value)


def test_all_frames_are_there_where_they_are_asked_for():
    before = getattr(jax.config, NAME)
    jax.config.update(NAME, "off")
    try:
        with pytest.raises(RuntimeError, match="mine") as found:
            CALLS["fit"]()
    finally:
        jax.config.update(NAME, before)
    assert len(ours(found.value)) > 5
