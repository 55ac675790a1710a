"""What `fit` returns, and the warning about a model that nobody keeps."""

import warnings
from pathlib import Path

import equinox as eqx
import jax
import pytest

import treegy as tg
from helpers.small_runs import X, Y, fit, make_model


def test_what_fit_returns_can_be_read_by_name():
    fitted = fit(make_model())
    model, history = fitted
    assert fitted.model is model and fitted.history is history
    assert fitted.history["loss"] == history["loss"]


@pytest.mark.parametrize("name", ["evaluate", "predict", "fit", "module", "epoch", "plot", "nonsense"])
def test_what_it_returns_is_neither_a_model_nor_a_history(name):
    with pytest.raises(AttributeError, match=rf"no `{name}`.* Write `model, history = model.fit\(...\)`"):
        getattr(fit(make_model(), epochs=1), name)


def told(text: str, tmp_path: Path) -> list[str]:
    """What is warned of in a script of these lines."""
    # Each of a name of its own: lines are told once.
    file = tmp_path / f"script_{len(list(tmp_path.iterdir()))}.py"
    file.write_text(text)
    names = {"model": make_model(), "tg": tg, "x": X, "y": Y, "eqx": eqx, "path": str(tmp_path / "model")}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        exec(compile(text, str(file), "exec"), names)
    assert all(w.filename == str(file) for w in found)
    return [str(w.message) for w in found]


DISCARDED = {
    "fit": "model.fit(x, y, verbose=0)",
    "replace": "model.replace(seed=1)",
    "train_on_batch": "model.train_on_batch(x, y)",
    "init": "model.init(x, y)",
    "reset_metrics": "model.reset_metrics()",
    "load": "model.load(path)",
}


@pytest.mark.parametrize("method", DISCARDED)
def test_a_result_that_nobody_keeps_is_told_once_for_each_line(method, tmp_path):
    line = DISCARDED[method]
    prepared = "model = model.init(x, y)\nmodel.save(path)\n"
    found = told(f"{prepared}for _ in range(3):\n    {line}\n", tmp_path)
    assert len(found) == 1 and f"`model.{method}(" in found[0] and f"= model.{method}(" in found[0]
    assert len(told(f"{prepared}{line}\n{line}\n", tmp_path)) == 2


@pytest.mark.parametrize("method", DISCARDED)
@pytest.mark.parametrize("kept", ["_ = {}", "print({})", "[{}]", "(lambda: {})()", "assert {} is not None", "{}; 1"])
def test_a_result_that_is_used_is_not(method, kept, tmp_path):
    if kept in ("(lambda: {})()", "{}; 1"):
        kept = "def f():\n    return {}\n_ = f()"
    line = kept.format(DISCARDED[method])
    assert told(f"model = model.init(x, y)\nmodel.save(path)\n{line}\n", tmp_path) == []


@pytest.mark.parametrize(
    "callback",
    [
        "tg.callbacks.ModelCheckpoint(path)",
        "tg.callbacks.BackupAndRestore(path)",
        "tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)",
        "Own()",
    ],
)
def test_nor_where_a_callback_may_keep_the_model(callback, tmp_path):
    own = "class Own(tg.callbacks.Callback): ...\n"
    assert told(f"{own}model.fit(x, y, verbose=0, callbacks=[{callback}])\n", tmp_path) == []
    assert len(told("model.fit(x, y, verbose=0, callbacks=[tg.callbacks.EarlyStopping('loss')])\n", tmp_path)) == 1


def test_nor_under_a_trace(tmp_path):
    text = """
model = model.init(x, y)
@eqx.filter_jit
def steps(model, x, y):
    model.train_on_batch(x, y)
    return model
_ = steps(model, x, y)
"""
    assert told(text, tmp_path) == []


def test_it_is_told_before_the_first_step(tmp_path):
    """In time to stop a run that would be in vain."""
    text = "import warnings\nwarnings.simplefilter('error')\nmodel.fit(x, y, verbose=0)\n"
    with pytest.raises(UserWarning, match="throws the result away") as info:
        told(text, tmp_path)
    assert not hasattr(info.value, "__notes__")


COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration_secs, **kwargs: (
        COMPILED.append(event) if event.endswith("backend_compile_duration") else None
    )
)
