"""What metrics of a model accumulate alike is accumulated once, and their values are those of each alone."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from treegy._terms import _objective
from treegy._terms._accumulator import Scaled, Total
from treegy._terms._logs import StepLogs
from treegy._terms._objective import evaluate
from treegy._terms._term import Context

pytestmark = pytest.mark.once

SCORES = [
    tg.metrics.ConfusionMatrix(),
    tg.metrics.MatthewsCorrelation(),
    tg.metrics.SparseCategoricalAccuracy(),
    tg.metrics.CohenKappa(weights="linear"),
    tg.metrics.Jaccard(average=None),
    tg.metrics.Classwise(tg.metrics.Jaccard(average=None), name="by_class", labels=list("abcd")),
    tg.metrics.Bootstrap(tg.metrics.BalancedAccuracy(), n=2, quantiles=()),
    tg.metrics.ByGroup(tg.metrics.BalancedAccuracy(), by="y_true", num_groups=4),
    tg.metrics.ByGroup(tg.metrics.Jaccard(average=None), by="y_true", num_groups=4),
]
LABELS = [
    tg.metrics.AUC(num_thresholds=9, from_logits=True),
    tg.metrics.AUC(curve="PR", num_thresholds=9, from_logits=True, name="area"),
    tg.metrics.AveragePrecision(num_thresholds=9, from_logits=True),
    tg.metrics.RocCurve(num_thresholds=9, from_logits=True),
    tg.metrics.LogAUC((0.2, 0.9), num_thresholds=9, from_logits=True),
    tg.metrics.Lift([0.2, 0.5], num_thresholds=9, from_logits=True),
    tg.metrics.Precision(average=None),
    tg.metrics.F1Score(threshold=0.5),
    tg.metrics.Classwise(tg.metrics.Recall(average=None), name="recalls"),
    tg.metrics.Classwise(tg.metrics.Precision(average=None), labels=list("abcd"), name="precisions"),
]


def make_model(kind: str, metrics: Any) -> Any:
    losses = {"labels": tg.losses.MeanSquaredError(), "classes": tg.losses.SparseCategoricalCrossentropy()}
    module = eqx.nn.Linear(3, 4, key=jax.random.key(0))
    return tg.Model(module, loss=losses[kind], metrics=metrics, optimizer=optax.sgd(0.1))


def make_data(kind: str, n: int = 20) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(n, 3)).astype("float32"), rng.choice([0.5, 1, 2], n).astype("float32")
    return x, rng.integers(0, 4, n) if kind == "classes" else rng.integers(0, 2, (n, 4)), weight


def carried(metrics: Any, y: Any, n: int = 4) -> int:
    """How many numbers are carried from batch to batch, besides what comes without metrics."""

    def size(metrics: Any) -> int:
        model = tg.Model(lambda x: x, metrics=metrics, trainable=False).init(jnp.ones((n, 4)), y)
        return sum(a.size for a in jax.tree.leaves(model.states.metrics_states))

    return size(metrics) - size(tg.metrics.Mean()) + size_of(tg.metrics.Mean()(jnp.ones(n)))


def size_of(accumulator: Any) -> int:
    return sum(a.size for a in jax.tree.leaves(accumulator))


def test_a_confusion_matrix_is_carried_once():
    y = jnp.zeros(4, jnp.int32)
    matrix = 2 * 4 * 4
    assert carried(SCORES[:2] + SCORES[3:6], y) == matrix
    # Other options are other matrices.
    assert carried([tg.metrics.ConfusionMatrix(), tg.metrics.Jaccard(ignore_class=0)], y) == 2 * matrix
    # However it is said that there are four classes.
    overlaps = [
        tg.metrics.MeanIoU(4, sparse_y_pred=False),
        tg.metrics.IoU(4, [1], sparse_y_pred=False, axis=1),
        tg.metrics.Jaccard(num_classes=4),
    ]
    assert carried([*SCORES[:2], *overlaps], y) == matrix
    assert (
        carried([*SCORES[:2], *overlaps[:2], tg.metrics.MeanIoU(4, sparse_y_pred=False, ignore_class=0)], y)
        == 2 * matrix
    )


def test_overlaps_share_the_matrix_that_they_would_make():
    key = jax.random.key(0)
    y, scores = jax.random.randint(key, (3, 5), 0, 4), jax.random.normal(key, (3, 5, 4))
    one_hot, classes = jax.nn.one_hot(y, 4), jnp.argmax(scores, axis=-1)
    for metrics, y_true, y_pred, n in [
        ([tg.metrics.ConfusionMatrix(), tg.metrics.OneHotMeanIoU(4), tg.metrics.OneHotIoU(4, [0])], one_hot, scores, 1),
        ([tg.metrics.ConfusionMatrix(4), tg.metrics.MeanIoU(4), tg.metrics.IoU(4, [0])], y, classes, 1),
        ([tg.metrics.ConfusionMatrix(4), tg.metrics.MeanIoU(5), tg.metrics.IoU(4, [0])], y, classes, 2),
    ]:
        _, logs = evaluate(None, metrics, Context({"y_true": y_true, "y_pred": y_pred}, 3))
        assert len(StepLogs.of(logs).parts) == n
        for metric, shared in zip(metrics, logs.values(), strict=True):
            np.testing.assert_array_equal(shared.compute(), metric(y_true, y_pred).compute())
    # Where classes are along another axis, the shapes don't say so.
    elsewhere = tg.metrics.MeanIoU(4, sparse_y_pred=False, axis=1)
    batch = Context({"y_true": y, "y_pred": jnp.moveaxis(scores, -1, 1)}, 3)
    _, logs = evaluate(None, [elsewhere, elsewhere], batch)
    assert len(StepLogs.of(logs).parts) == 1
    with pytest.raises(tg.ContractError, match="metric `confusion_matrix`"):
        evaluate(None, [elsewhere, tg.metrics.ConfusionMatrix()], batch)


def test_a_histogram_is_carried_once():
    y = jnp.zeros((4, 4), jnp.int32)
    histogram, counts = 2 * 2 * 10, 2 * 4 * 4
    assert carried(LABELS[:6], y) == histogram
    assert carried(LABELS[6:], y) == counts
    assert (
        carried([tg.metrics.AUC(num_thresholds=9), tg.metrics.RocCurve(num_thresholds=9, from_logits=True)], y)
        == 2 * histogram
    )
    many = [tg.metrics.AUC(num_thresholds=9, multi_label=True, curve=curve) for curve in ("ROC", "PR")]
    assert carried(many, y) == 4 * histogram


def test_what_is_accumulated_by_group_is_carried_once():
    y = jnp.zeros(4, jnp.int32)
    one = tg.metrics.ByGroup(tg.metrics.BalancedAccuracy(), by="y_true", num_groups=3)
    other = tg.metrics.ByGroup(tg.metrics.Jaccard(average=None), by="y_true", num_groups=3)
    assert carried([one, other, tg.metrics.Classwise(one), tg.metrics.Classwise(other)], y) == 3 * 2 * 4 * 4 + 1
    elsewhere = tg.metrics.ByGroup(tg.metrics.Jaccard(average=None), by="y_true", num_groups=2)
    assert carried([one, elsewhere], y) == (3 + 2) * 2 * 4 * 4 + 2


def test_counts_are_carried_once():
    y = jnp.zeros((4, 4), jnp.int32)
    metrics = [tg.metrics.TruePositives(), tg.metrics.Recall(), tg.metrics.Specificity(thresholds=0.5)]
    assert carried(metrics, y) == 2 * 4
    # Arrays can't be compared while tracing.
    assert carried([tg.metrics.Recall(thresholds=jnp.array(0.5)), *metrics], y) == 2 * 2 * 4


def test_what_is_read_elsewhere_is_not_shared():
    on = [tg.metrics.Jaccard(on=i) for i in (0, 1, 0)]
    model = tg.Model(lambda x: (x, -x), metrics=on, trainable=False)
    x, y = jnp.eye(4), jnp.arange(4)
    logs = model.evaluate(x, (y, y), verbose=0)
    assert list(logs.values()) == [1, 0, 1]


@pytest.mark.once
@pytest.mark.parametrize("kind, metrics", [pytest.param("classes", SCORES, marks=pytest.mark.slow), ("labels", LABELS)])
def test_figures_are_those_of_each_metric_alone(kind: str, metrics: Any, monkeypatch: pytest.MonkeyPatch):
    x, y, weight = make_data(kind)
    whole = {"sample_weight": weight, "batch_size": 8, "verbose": 0}
    model, together = make_model(kind, metrics).fit(x, y, validation_data=(x, y, weight), shuffle=False, **whole)
    for at in (slice(0, 8), slice(8, 16), slice(16, 20)):
        model, on_batches = model.test_on_batch(x[at], y[at], sample_weight=weight[at])
    assert [f"val_{name}" for name in on_batches] == [name for name in together if name.startswith("val_")]
    for name, figure in on_batches.items():
        if "bootstrap" not in name:  # whose draws are others
            np.testing.assert_allclose(figure, together[f"val_{name}"][0], rtol=1e-5, atol=1e-6)

    monkeypatch.setattr(_objective, "_accumulates", lambda term, context: None)
    # Nested otherwise, so that it isn't served by the programs above.
    _, apart = make_model(kind, [metrics]).fit(x, y, validation_data=(x, y, weight), shuffle=False, **whole)
    assert list(together) == list(apart)
    for name in together:
        np.testing.assert_array_equal(together[name], apart[name])


def test_the_call_of_a_subclass_is_its_own():
    class Flipped(tg.metrics.Recall):
        def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().call(y_true, 1 - y_pred, sample_weight)

    y_true, y_pred = jnp.array([1, 1, 0]), jnp.array([0.9, 0.8, 0.1])
    for metrics in ([tg.metrics.Recall(), Flipped()], [Flipped(), tg.metrics.Recall()]):
        logs = tg.Model(lambda x: x, metrics=metrics, trainable=False).evaluate(y_pred, y_true, verbose=0)
        assert logs == {"recall": 1, "flipped": 0}


def test_labels_of_a_shared_figure_are_checked():
    metrics = [tg.metrics.Jaccard(average=None), tg.metrics.Classwise(tg.metrics.Jaccard(average=None), labels=["a"])]
    with pytest.raises(tg.ContractError, match="`labels` has 1 names, and the metric value .* has 4 elements"):
        tg.Model(lambda x: x, metrics=metrics, trainable=False).evaluate(jnp.eye(4), jnp.arange(4), verbose=0)


# The form in which logs are carried


def test_equal_accumulators_are_kept_once(tree_allclose: Any):
    one, other = tg.Mean.of(jnp.array([1.0, 2.0])), tg.Mean.of(jnp.array([3.0]))
    logs = StepLogs.of({"total": Total([one, other]), "b": one, "a": Scaled(other, 2.0), "c": one})
    assert len(logs.parts) == 3 and list(logs.compute()) == ["total", "b", "a", "c"]
    merged = logs.merge(logs).compute()
    assert {name: float(figure) for name, figure in merged.items()} == {"total": 4.5, "b": 1.5, "a": 6, "c": 1.5}
    assert tree_allclose(logs.merge(logs.empty()), logs) and tree_allclose(logs.empty().merge(logs), logs)
    # Equal values aren't equal accumulators.
    assert len(StepLogs.of({"a": one, "b": tg.Mean.of(jnp.array([1.0, 2.0]))}).parts) == 2


def test_logs_that_share_more_or_less():
    one, other = tg.Mean.of(jnp.array([1.0])), tg.Mean.of(jnp.array([3.0]))
    more, less = StepLogs.of({"a": one, "b": one}), StepLogs.of({"a": one, "b": other})
    assert {name: float(figure) for name, figure in less.merge(more).compute().items()} == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="what is logged is made otherwise than before: a, b, and before a, b"):
        more.merge(less)
