"""`History.report`: a page that opens by itself."""

import html.parser
import json
import math
import re
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from matplotlib.figure import Figure

import treegy as tg

pytestmark = pytest.mark.once

_ALONE = {"meta", "img", "line", "circle", "polyline"}


class Page(html.parser.HTMLParser):
    """What a page has: its texts, its scripts with data, and what its tags refer to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.data, self.refers, self.rows = [], [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.refers += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag not in _ALONE:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag, attrs):
        assert tag in _ALONE

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            if data.startswith("{"):
                self.data.append(json.loads(data))
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)
            if self.open[-1] in ("td", "th"):
                self.rows[-1].append(data)


def page(path):
    return Page(path.read_text(encoding="utf-8"))


def history_of(**values):
    history = tg.History()
    for epoch in range(len(next(iter(values.values())))):
        history.append(epoch, {name: value[epoch] for name, value in values.items()}, seconds=1.5)
    return history


def test_a_run_as_a_page(tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int32")
    model = tg.Model(
        eqx.nn.MLP(8, 2, 16, 1, key=jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(),
        optimizer=tg.Optimizer(optax.sgd, 0.1),
    )
    model, history = model.fit(x, y, epochs=3, validation_split=0.25, verbose=0)
    assert len(history.seconds) == 3 and all(0 < seconds < 600 for seconds in history.seconds)
    path = history.report(
        str(tmp_path / "in" / "run.html"),
        model=model,
        x=x,
        y=y,
        title="A <run> & more",
        hyperparameters={"width": 16, "schedule": optax.constant_schedule, "sizes": [1, 2], "at": object()},
        figures={"A picture": Figure()},
    )
    assert path == tmp_path / "in" / "run.html"
    assert [file.name for file in path.parent.iterdir()] == ["run.html"]
    found = page(path)
    text = "\n".join(found.texts)
    assert text.count("A <run> & more") == 2  # the title of the window, too
    # Nothing that it would have to fetch.
    assert found.refers and all(each.startswith("data:image/png;base64,") for each in found.refers)
    assert not re.search(r"https?://|@import|url\(", path.read_text())
    # The curves hold what the history holds; the only loss isn't drawn besides the total, which is the same.
    drawn = {name: points for each in found.data for name, points in each.items()}
    wanted = {name for name in history if "crossentropy" not in name}
    assert set(drawn) == wanted
    for name, points in drawn.items():
        assert [point[2] for point in points] == [1, 2, 3]
        np.testing.assert_allclose([float(point[3]) for point in points], history[name], rtol=1e-5)
    (row,) = [row for row in found.rows if row and row[0] == "val_loss"]
    np.testing.assert_allclose(float(row[1]), history["val_loss"][-1], rtol=1e-5)
    for name in wanted:
        assert any(row and row[0] == name for row in found.rows)
    for part in (
        "3 epochs · written on",
        "16",
        "constant_schedule",
        "[1, 2]",
        ".layers[0]",
        "SparseCategoricalAccuracy",
        "Model(\n",
        "The first, which compiles",
        jax.__version__,
        "CPU",
    ):
        assert part in text, part
    assert " at 0x" not in text


@pytest.mark.parametrize(
    ("lines", "low", "high"),
    [([1.0, 1.0, 1.0], 1, 1), ([5.0], 5, 5), ([1e-30, 3e-30], 0, 1), ([-1e20, 1e20], -1, 1), ([0.0, 0.0], 0, 0)],
)
def test_points_are_within_the_chart(tmp_path, lines, low, high):
    found = page(history_of(loss=lines).report(tmp_path / "run.html"))
    ((_, points),) = found.data[0].items()
    assert len(points) == len(lines)
    assert all(58 <= x <= 406 and 30 <= y <= 216 for x, y, _, _ in points)
    heights = [y for _, y, _, _ in points]
    assert all((a > b) == (v < w) for a, b, v, w in zip(heights, heights[1:], lines, lines[1:], strict=False))


def test_what_is_not_finite_and_what_is_no_scalar(tmp_path):
    history = history_of(
        loss=[1.0, math.nan, math.inf, 2.0],
        val_loss=[math.nan] * 4,
        **{"ma<trix": [np.zeros((2, 2))] * 4},
        empty=[math.inf] * 4,
    )
    history.stopped = "it <diverged>"
    found = page(history.report(tmp_path / "run.html"))
    text = "\n".join(found.texts)
    assert [point[2] for point in found.data[0]["loss"]] == [1, 4] and found.data[0]["val_loss"] == []
    assert "no finite values" in text and "stopped: it <diverged>" in text
    assert "Not drawn, as they aren't scalars: ma<trix." in text
    assert any(row[:2] == ["2", "nan"] for row in found.rows) and any(row[:2] == ["3", "inf"] for row in found.rows)
    assert "f32[2,2]" in text or "f64[2,2]" in text


@pytest.mark.parametrize("name", ["hyperparameters", "figures"])
def test_what_is_shown_has_names(tmp_path, name):
    given: dict[str, Any] = {name: [Figure()]}
    with pytest.raises(
        TypeError, match=rf"`{name}` is \[an instance of Figure\]; a dict is expected, in which each has the name"
    ):
        history_of(loss=[1.0]).report(tmp_path / "run.html", **given)
    assert not list(tmp_path.iterdir())


def test_no_epochs_at_all(tmp_path):
    assert "There are no epochs." in "\n".join(page(tg.History().report(tmp_path / "run.html")).texts)


def test_a_page_is_replaced_as_a_whole(tmp_path):
    path = history_of(loss=[1.0]).report(tmp_path / "run.html", title="the old one")
    history_of(loss=[1.0]).report(path, title="second")
    assert "the old one" not in path.read_text() and "second" in path.read_text()
    (tmp_path / "a folder").mkdir()
    with pytest.raises(OSError):
        history_of(loss=[1.0]).report(tmp_path / "a folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a folder", "run.html"]
