import math
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from treegy._loop._history import History


def history(epochs=3):
    h = History()
    for epoch in range(epochs):
        h.append(epoch, {"loss": 1 / (epoch + 1), "val_loss": 2 / (epoch + 1), "accuracy": 0.5 * epoch})
    return h


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_lists_grow_by_an_epoch():
    h = history(2)
    assert h.history == {"loss": [1.0, 0.5], "val_loss": [2.0, 1.0], "accuracy": [0.0, 0.5]}
    assert h["loss"] == [1.0, 0.5]
    assert h.epoch == [0, 1]
    assert h.stopped is None
    assert list(h) == ["loss", "val_loss", "accuracy"]
    assert "loss" in h and "nope" not in h
    assert len(h) == 3
    assert dict(h) == h.history


def test_figures_become_floats_and_numpy_arrays():
    h = History()
    h.append(0, {"a": jnp.asarray(0.5), "b": np.float32(2), "c": 3, "d": True, "e": jnp.ones((2, 2), jnp.int32)})
    assert [h[name][0] for name in "abcd"] == [0.5, 2.0, 3.0, 1.0]
    assert all(type(h[name][0]) is float for name in "abcd")
    assert type(h["e"][0]) is np.ndarray


def test_names_that_come_late_or_stay_away_are_padded():
    h = History()
    h.append(4, {"loss": 1.0})
    h.append(5, {"loss": 0.5, "val_loss": 2.0})
    h.append(6, {})
    np.testing.assert_array_equal(h["loss"], [1.0, 0.5, math.nan])
    np.testing.assert_array_equal(h["val_loss"], [math.nan, 2.0, math.nan])
    assert h.epoch == [4, 5, 6]


def test_a_figure_that_is_no_number_adds_nothing():
    h = history(2)
    with pytest.raises(ValueError):
        h.append(2, {"loss": 0.1, "new": "text"})
    assert h.epoch == [0, 1]
    assert len(h["loss"]) == 2
    assert "new" not in h


def test_a_missing_name_lists_those_there_are():
    with pytest.raises(
        KeyError, match=r"no metric value 'lost'; there are: loss, val_loss, accuracy\. Did you mean 'loss'\?"
    ):
        history()["lost"]
    with pytest.raises(KeyError, match=r"no metric value 'loss'; there are: none\."):
        History()["loss"]
    with pytest.raises(KeyError, match="Did you mean 'accuracy'"):
        history().plot("acuracy")


def test_repr_is_short():
    assert repr(History()) == "History(no epochs)"
    assert repr(history(1)) == "History(epoch 1, loss=1, val_loss=2, accuracy=0)"
    h = history(3)
    h.stopped = "early_stopping"
    text = "History(epochs 1 to 3, loss=0.3333, val_loss=0.6667, accuracy=1, stopped: early_stopping)"
    assert repr(h) == text
    h.append(3, {f"metric_{i}": 1.0 for i in range(100)} | {"matrix": np.ones((9, 9))})
    assert len(repr(h)) < 200 and "..." in repr(h)


def test_empty_is_false():
    assert not History()
    assert history(1)


def test_validation_shares_the_axes():
    figure = history().plot()
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    loss, accuracy = figure.axes
    assert lines(loss) == {"loss": ([1, 2, 3], [1.0, 1 / 2, 1 / 3]), "val_loss": ([1, 2, 3], [2.0, 1.0, 2 / 3])}
    assert list(lines(accuracy)) == ["accuracy"]
    assert loss.get_xlabel() == "epoch"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["loss", "val_loss"]


def test_names_choose_the_figures():
    assert [axes.get_title() for axes in history().plot("accuracy", "loss").axes] == ["accuracy", "loss"]
    (axes,) = history().plot("loss").axes
    assert list(lines(axes)) == ["loss", "val_loss"]
    (axes,) = history().plot("val_loss").axes
    assert list(lines(axes)) == ["val_loss"]


def test_a_validation_figure_alone():
    h = History()
    h.append(0, {"val_loss": 1.0})
    (axes,) = h.plot().axes
    assert (axes.get_title(), list(lines(axes))) == ("loss", ["val_loss"])
    assert axes.lines[0].get_marker() == "o"


def test_epochs_without_a_figure_do_not_break_its_line():
    h = History()
    for epoch in range(4):
        h.append(epoch, {"loss": 1.0} | ({"val_loss": 2.0} if epoch % 2 else {}))
    assert lines(h.plot().axes[0])["val_loss"] == ([2, 4], [2.0, 2.0])


def test_figures_that_are_no_scalars_are_left_out():
    h = History()
    h.append(0, {"loss": 1.0, "matrix": np.ones((2, 2))})
    assert [axes.get_title() for axes in h.plot().axes] == ["loss"]
    with pytest.raises(ValueError, match="`matrix` can't be plotted: its values are not scalars"):
        h.plot("matrix")


def test_many_figures_and_none():
    assert History().plot().axes == []
    h = History()
    h.append(0, {f"m{i}": 1.0 for i in range(7)})
    assert len(h.plot().axes) == 7


def test_figures_are_written_and_shown_in_notebooks(tmp_path):
    figure = history().plot()
    figure.savefig(tmp_path / "history.pdf")
    assert (tmp_path / "history.pdf").stat().st_size > 0
    assert figure._repr_png_().startswith(b"\x89PNG")
    History().plot().savefig(tmp_path / "empty.png")


def test_pyplot_and_the_backend_are_not_touched():
    code = """
import sys
from treegy._loop._history import History
assert "matplotlib" not in sys.modules
h = History()
h.append(0, {"loss": 1.0})
h.plot()._repr_png_()
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "treegy\[plot\]"$'):
        history().plot()
