"""Losses and metrics of representations and generation against their formulas in float64, and how they are used."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.formulas_of_representations import FIGURES, VALUES, crossentropies, frechet_distance, unit

pytestmark = pytest.mark.once

RNG = np.random.default_rng(1)
N, D = 12, 4
ONE, OTHER = (RNG.normal(size=(N, D)).astype("float32") for _ in range(2))
VARIANCES = RNG.uniform(0.1, 2, (N, D)).astype("float32")
LABELS = RNG.integers(0, 4, N).astype("int32")
COSINES = RNG.uniform(-1, 1, (N, D)).astype("float32")
COSINES[np.arange(3), LABELS[:3]] = -0.99, -0.9, 0.95  # beyond π, near to it, and nearly right
WEIGHT = np.array([1, 0, 2] * 4, "float32")

losses, metrics = tg.losses, tg.metrics

# What is compared with its formula: the loss or metric, labels and predictions.
CASES: list[tuple[Any, Any, Any]] = [
    (losses.InfoNCE(), None, (ONE, OTHER)),
    (losses.InfoNCE(temperature=0.5, symmetric=False), None, (ONE, OTHER)),
    (losses.SigLIP(), None, (ONE, OTHER)),
    (losses.SigLIP(temperature=0.5, bias=-1.0), None, (ONE, OTHER)),
    (losses.SupervisedContrastive(), LABELS, ONE),
    (losses.VICReg(), None, (ONE, OTHER)),
    (losses.VICReg(), None, (0.1 * ONE, OTHER)),
    (losses.BarlowTwins(), None, (ONE, OTHER)),
    (losses.BYOL(), None, (ONE, OTHER)),
    (losses.DINO(), None, (ONE, OTHER)),
    (losses.Distillation(), ONE, OTHER),
    (losses.ArcFace(), LABELS, COSINES),
    (losses.CosFace(), LABELS, COSINES),
    (losses.ProxyNCA(), LABELS, COSINES),
    (losses.GaussianKL(), None, (ONE, VARIANCES)),
    (losses.MMD(), ONE, OTHER),
    (losses.MMD(bandwidths=(0.5, 1.0, 4.0)), ONE, OTHER),
    *[(losses.GANDiscriminator(kind=k), None, (ONE, OTHER)) for k in ("minimax", "hinge", "wasserstein")],
    (losses.GANDiscriminator(kind="least_squares"), None, (ONE, OTHER)),
    *[(losses.GANGenerator(kind=k), None, ONE) for k in ("non_saturating", "minimax", "hinge", "least_squares")],
    (metrics.Alignment(), None, (ONE, OTHER)),
    (metrics.FrechetDistance(), ONE, OTHER),
    (metrics.KernelDistance(capacity=16), ONE, OTHER),
    (metrics.CKA(), ONE, OTHER),
    (metrics.EffectiveRank(), None, ONE),
    (metrics.Uniformity(capacity=16), None, ONE),
    *[(metrics.EmbeddingRecallAtK(k=k, capacity=16), LABELS, ONE) for k in (1, 3)],
    (metrics.EmbeddingMeanAveragePrecision(capacity=16), LABELS, ONE),
]


def value(it: Any, y: Any, p: Any, weight: Any = None) -> Any:
    given = {"y_pred": p} if y is None else {"y_true": y, "y_pred": p}
    made = it(**given, sample_weight=weight)
    return made if isinstance(it, tg.Loss) else made.compute()


def halves(it: Any, y: Any, p: Any) -> Any:
    """The metric value of two batches, merged."""
    parts = [jax.tree.map(lambda a, s=s: a[s], (y, p)) for s in (slice(0, 5), slice(5, N))]
    one, other = (it(**({"y_pred": p} if y is None else {"y_true": y, "y_pred": p})) for y, p in parts)
    return one.merge(other).compute()


def wanted(it: Any, y: Any, p: Any) -> Any:
    y, p = jax.tree.map(lambda a: a.astype("float64") if a.dtype == np.float32 else a, (y, p))
    name = type(it).__name__
    return FIGURES[name](it, y, p) if name in FIGURES else np.mean(VALUES[name](it, y, p))


def test_all_equal_their_formulas():
    given = [(y, p) for _, y, p in CASES]

    def all_of_them(given: Any, weight: Any) -> Any:
        return (
            [value(it, one[0], one[1]) for (it, *_), one in zip(CASES, given, strict=True)],
            # Of weights, what has weight 0 is left out, and the rest counts alike.
            [value(it, one[0], one[1], weight) for (it, *_), one in zip(CASES, given, strict=True)],
            [
                halves(it, one[0], one[1])
                for (it, *_), one in zip(CASES, given, strict=True)
                if isinstance(it, tg.Metric)
            ],
        )

    present = WEIGHT > 0
    whole, weighted, merged = jax.jit(all_of_them)(given, present.astype("float32"))
    for (it, y, p), got, some in zip(CASES, whole, weighted, strict=True):
        np.testing.assert_allclose(got, wanted(it, y, p), rtol=2e-5, err_msg=repr(it))
        left = wanted(it, *jax.tree.map(lambda a: a[present], (y, p)))
        if isinstance(it, tg.Loss) and it.exempt_from.get("batching") is None:
            left = left * present.mean()
        elif isinstance(it, losses.SupervisedContrastive):
            labels = LABELS[present]
            left = left * 1.0 if all((labels == one).sum() > 1 for one in labels) else None
        elif isinstance(it, tg.Loss):
            left = left * present.mean()
        if left is not None:
            np.testing.assert_allclose(some, left, rtol=2e-5, err_msg=f"weighted {it!r}")
    of_metrics = [got for (it, *_), got in zip(CASES, whole, strict=True) if isinstance(it, tg.Metric)]
    np.testing.assert_allclose(merged, of_metrics, rtol=1e-5)


def test_distances_of_features_count_weights_as_copies():
    one, other = (np.repeat(a, WEIGHT.astype(int), axis=0) for a in (ONE, OTHER))
    both = metrics.FrechetDistance(), metrics.KernelDistance(capacity=16)
    found = jax.jit(lambda y, p, w: [value(metric, y, p, w) for metric in both])
    np.testing.assert_allclose(found(ONE, OTHER, WEIGHT), found(one, other, np.ones(N, "float32")), rtol=1e-5)


def test_frechet_distance_of_means_far_from_0():
    """Of sums of squares, float32 would leave nothing."""
    one, other = ((a + 1000).astype("float32") for a in (ONE, OTHER + 0.5))
    want = frechet_distance(None, one.astype("float64"), other.astype("float64"))
    np.testing.assert_allclose(halves(metrics.FrechetDistance(), one, other), want, rtol=1e-4)


def test_features_are_made_by_a_function():
    def features(images: Any) -> Any:
        return images.reshape(len(images), -1)

    images = [a.reshape(N, 2, 2) for a in (ONE, OTHER)]
    metric = metrics.FrechetDistance(features=features)
    want = frechet_distance(None, ONE.astype("float64"), OTHER.astype("float64"))
    np.testing.assert_allclose(jax.jit(lambda y, p: value(metric, y, p))(*images), want, rtol=1e-5)


def test_of_one_example_or_none():
    nothing = np.zeros(N, "float32")
    one = np.eye(N, dtype="float32")[0]
    cases: list[tuple[Any, Any, Any, float]] = [
        (metrics.FrechetDistance(), ONE, OTHER, float(((ONE[0] - OTHER[0]) ** 2).sum())),
        (metrics.KernelDistance(capacity=16), ONE, OTHER, 0.0),
        (metrics.CKA(), ONE, OTHER, 0.0),
        (metrics.EffectiveRank(), None, ONE, 1.0),
        (metrics.Uniformity(capacity=16), None, ONE, 0.0),
        (metrics.EmbeddingRecallAtK(capacity=16), LABELS, ONE, 0.0),
        (metrics.EmbeddingMeanAveragePrecision(capacity=16), LABELS, ONE, 0.0),
        (losses.BarlowTwins(reduction="weighted_mean"), None, (ONE, OTHER), D),
        (losses.InfoNCE(reduction="weighted_mean"), None, (ONE, OTHER), 0.0),
    ]
    found = jax.jit(lambda w: [value(it, y, p, w) for it, y, p, _ in cases])
    for (it, *_, want), got, of_nothing in zip(cases, found(one), found(nothing), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=repr(it))
        assert of_nothing == 0, it


def test_collapsed_embeddings():
    same = np.full((N, D), 0.1, "float32")
    cases: list[tuple[Any, Any, Any, float]] = [
        (metrics.Uniformity(capacity=16), None, same, 0.0),
        (metrics.EffectiveRank(), None, same, 1.0),
        (metrics.CKA(), ONE, same, 0.0),
        (metrics.FrechetDistance(), ONE, ONE, 0.0),
        (losses.BarlowTwins(), None, (same, same), D),
        (losses.VICReg(), None, (same, same), 25 * (1 - 0.01)),
    ]
    found = jax.jit(lambda given: [value(it, y, p) for (it, *_), (y, p) in zip(cases, given, strict=True)])
    for (it, *_, want), got in zip(cases, found([(y, p) for _, y, p, _ in cases]), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5, err_msg=repr(it))


def test_no_room_is_said_loudly():
    metric = metrics.EmbeddingRecallAtK(capacity=16)
    part = metric(LABELS, ONE)
    assert np.isnan(float(part.merge(part)))
    with pytest.raises(tg.ContractError, match="12 examples are more than there is room for: pass `capacity=`"):
        metrics.Uniformity(capacity=8)(ONE)


def test_embeddings_that_are_nan_show():
    bad = ONE.copy()
    bad[0, 0] = np.nan
    assert np.isnan(value(metrics.EmbeddingRecallAtK(capacity=16), LABELS, bad))


class Two(eqx.Module):
    one: eqx.nn.Linear
    other: eqx.nn.Linear
    log_scale: jax.Array

    def __call__(self, x: Any) -> Any:
        return self.one(x), self.other(x)


def test_a_temperature_is_learned():
    keys = jax.random.split(jax.random.key(0))
    network = Two(eqx.nn.Linear(D, 3, key=keys[0]), eqx.nn.Linear(D, 3, key=keys[1]), jnp.zeros(()))
    loss = losses.InfoNCE(temperature=lambda module: jnp.exp(-module.log_scale))
    model = tg.Model(network, loss=loss, optimizer=optax.sgd(0.05))
    model, history = model.fit(ONE, batch_size=N, epochs=10, verbose=0)
    assert history["loss"][-1] < history["loss"][0]
    assert model.module.log_scale != 0


def test_no_gradient_flows_into_targets_and_teachers():
    for loss in (losses.BYOL(), losses.DINO()):
        _, of_target = jax.grad(loss)((ONE, OTHER))
        assert not np.any(of_target)
    assert not np.any(jax.grad(lambda y: losses.distillation(y, jnp.asarray(OTHER)).sum())(jnp.asarray(ONE)))


def test_dino_has_a_center():
    center = np.arange(D, dtype="float32")
    shifted = losses.DINO(center=lambda module: module["center"])((ONE, OTHER + center), module={"center": center})
    np.testing.assert_allclose(shifted, losses.DINO()((ONE, OTHER)), rtol=1e-4)


def test_margins_are_of_the_right_class():
    """Of no margin, both are a crossentropy; half precision gives the same."""
    want = crossentropies(4.0 * COSINES.astype("float64"), LABELS).mean()
    for loss in (losses.ArcFace(scale=4.0, margin=0.0), losses.CosFace(scale=4.0, margin=0.0)):
        np.testing.assert_allclose(loss(LABELS, COSINES), want, rtol=1e-5)
        np.testing.assert_allclose(loss(LABELS, COSINES.astype("float16")), want, rtol=1e-2)
        assert np.isnan(loss(LABELS - 1, COSINES))


def test_a_gradient_penalty_reaches_the_critic():
    def score(module: Any, x: Any) -> Any:
        return x @ module

    def penalty(weight: Any) -> Any:
        return losses.GradientPenalty(score, target=0.0)(ONE, module=weight)

    weight = jnp.array([1.0, 2.0, 0.0, -1.0])
    np.testing.assert_allclose(penalty(weight), 6, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(penalty)(weight), 2 * weight, rtol=1e-6)
    assert np.all(np.isfinite(jax.grad(penalty)(jnp.zeros(D))))


def test_alignment_of_another_exponent():
    want = np.linalg.norm(unit(ONE) - unit(OTHER), axis=-1).mean()
    np.testing.assert_allclose(value(metrics.Alignment(alpha=1.0), None, (ONE, OTHER)), want, rtol=1e-5)


def test_mistakes():
    with pytest.raises(tg.ContractError, match=r"is a tuple of 2 arrays|a tuple of 2 arrays is expected"):
        losses.InfoNCE()(ONE)
    with pytest.raises(tg.ContractError, match="embeddings are expected: shapes like"):
        losses.VICReg()((LABELS, LABELS))
    with pytest.raises(ValueError, match="`temperature` is a positive number, or a function of the module, and got 0"):
        losses.SigLIP(temperature=0)
    with pytest.raises(tg.InjectionError, match="`temperature` is a function of the module, and there is none"):
        losses.InfoNCE(temperature=lambda module: module.tau)((ONE, OTHER))
    with pytest.raises(
        ValueError, match="`kind` is one of 'minimax', 'hinge', 'wasserstein' and 'least_squares', and got 'mean'"
    ):
        losses.GANDiscriminator(kind="mean")
    with pytest.raises(ValueError, match="`kind` is one of 'non_saturating'"):
        losses.gan_generator(jnp.zeros(3), kind="bce")
    with pytest.raises(TypeError, match="`critic` is a function of the module and a point"):
        losses.GradientPenalty(1)
    with pytest.raises(tg.ContractError, match="`center` is f32"):
        losses.DINO(center=np.zeros(2, "float32"))((ONE, OTHER))
    with pytest.raises(TypeError, match="`features` is a function of a batch"):
        metrics.FrechetDistance(features=3)
    with pytest.raises(tg.ContractError, match="vectors are expected: shapes like"):
        metrics.FrechetDistance()(LABELS, LABELS)
    with pytest.raises(tg.ContractError, match="vectors are expected"):
        losses.MMD()(ONE[0], OTHER[0])
    with pytest.raises(tg.ContractError, match="vectors are expected"):
        losses.BYOL()((ONE[0], OTHER[0]))
    with pytest.raises(ValueError, match="`k` is how many neighbours are looked at, at least 1, and got 0"):
        metrics.EmbeddingRecallAtK(k=0)
