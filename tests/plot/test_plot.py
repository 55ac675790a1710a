"""What pictures show, against scikit-learn, and what they refuse."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, roc_auc_score

import treegy as tg

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype("float32")
LABELS = RNG.integers(0, 3, 60)


class Same(eqx.Module):
    """Predicts what it is given."""

    def __call__(self, x: Any) -> Any:
        return x


CLASSIFIER = tg.Model(Same(), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True))
BINARY = tg.Model(Same(), loss=tg.losses.BinaryCrossentropy(from_logits=True))
CHOSEN = (X[:, 0] + RNG.normal(size=60) > 0).astype("int32")


def test_confusion_matrix():
    expected = confusion_matrix(LABELS, X.argmax(1))
    for figure in (
        tg.plot.confusion_matrix(CLASSIFIER, X, LABELS),
        tg.plot.confusion_matrix(CLASSIFIER, X, np.eye(3, dtype="float32")[LABELS]),
        tg.plot.confusion_matrix(expected, classes=["a", "b", "c"]),
    ):
        axes = figure.axes[0]
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        assert [text.get_text() for text in axes.texts] == [str(n) for n in expected.ravel()]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    shares = tg.plot.confusion_matrix(expected, shares=True).axes[0].images[0].get_array()
    np.testing.assert_allclose(shares, expected / expected.sum(1, keepdims=True))


def test_roc():
    curve = tg.metrics.RocCurve(num_thresholds=400)(jnp.asarray(CHOSEN), jax.nn.sigmoid(X[:, 0])).compute()
    area = roc_auc_score(CHOSEN, X[:, 0])
    for figure, name in (
        (tg.plot.roc(BINARY, X[:, 0], CHOSEN), ""),
        (tg.plot.roc(curve), ""),
        (tg.plot.roc({"mine": curve}), "mine: "),
    ):
        line = figure.axes[0].lines[1]
        assert abs(np.trapezoid(line.get_ydata(), line.get_xdata()) - area) < 0.01
        assert line.get_label().startswith(f"{name}area 0.")


def test_reliability():
    probabilities = 1 / (1 + np.exp(-X[:, 0]))
    figure = tg.plot.reliability(BINARY, X[:, 0], CHOSEN, num_bins=5)
    right, confidence = calibration_curve(CHOSEN, probabilities, n_bins=5)
    line = figure.axes[0].lines[1]
    np.testing.assert_allclose(line.get_xdata(), confidence, rtol=1e-5)
    np.testing.assert_allclose(line.get_ydata(), right, rtol=1e-5)
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_array_equal(heights, np.histogram(probabilities, np.linspace(0, 1, 6))[0])


def test_predictions_of_images():
    class Sums(eqx.Module):
        def __call__(self, image: Any) -> Any:
            return jnp.sum(image) * jnp.array([1.0, -1.0])

    for shape in ((10, 4, 4), (10, 1, 4, 4), (10, 4, 4, 1)):
        x = RNG.normal(size=shape).astype("float32")
        y = (x.reshape(10, -1).sum(1) < 0).astype("int32")
        y[3] = 1 - y[3]
        figure = tg.plot.predictions(tg.Model(Sums()), x, y, n=6, classes=["up", "down"])
        titles = [axes.title for axes in figure.axes]
        assert [title.get_color() for title in titles] == ["black"] * 3 + ["red"] + ["black"] * 2
        assert titles[3].get_text() in ("up (down)", "down (up)")
        np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), x.reshape(10, 4, 4)[2])


def test_predictions_of_numbers():
    figure = tg.plot.predictions(tg.Model(Same()), X, 2 * X)
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, np.stack([2 * X.ravel(), X.ravel()], axis=1))


def test_notebooks_show_them():
    png = tg.plot.confusion_matrix(np.eye(2))._repr_png_()
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "draw, error, said",
    [
        (lambda: tg.plot.confusion_matrix([[1]]), TypeError, "a model or a confusion matrix"),
        (lambda: tg.plot.confusion_matrix(np.eye(2), classes=["a"]), ValueError, "`classes` has 1 names"),
        (lambda: tg.plot.roc(np.eye(2)), TypeError, r"a curve \(3, thresholds\)"),
        (lambda: tg.plot.predictions(tg.Model(Same()), X), TypeError, "`x` holds no images"),
        (lambda: tg.plot.predictions(tg.Model(Same()), np.ones((2, 3, 3))), TypeError, "scores .* are expected"),
        (lambda: tg.plot.reliability(tg.Model(lambda x: (x, x)), X, LABELS), TypeError, "one array can be drawn"),
    ],
)
def test_what_cannot_be_drawn(draw: Any, error: Any, said: str):
    with pytest.raises(error, match=said):
        draw()
