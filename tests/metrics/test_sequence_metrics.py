"""Metrics and losses of sequences of ids against plain Python, cell by cell and n-gram by n-gram.

| class | reference | tolerance |
|---|---|---|
| `EditDistance`, `TokenErrorRate`, `MatchErrorRate` | Levenshtein's recurrence | exact, 1e-6 |
| `BLEU`, `ChrF` | counters of n-grams, summed over sequences | 1e-6 |
| `SequenceAccuracy` | equality of lists | exact |
| `SpanF1`, `SpanPrecision`, `SpanRecall` | sets of spans | 1e-6 |
| `RNNT` | the sum over all alignments | 1e-5 |
| `Unlikelihood`, `ZLoss` | their sums in float64 | 1e-5 |
"""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.formulas_of_sequences import FIGURES, VALUES

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
TAGS = ["O", "B-place", "I-place", "B-name", "I-name"]


def sequences(n: int, length: int, ids: int, empty: int) -> Any:
    found = RNG.integers(0, ids, (n, length))
    found[np.arange(length)[None] >= RNG.integers(1, length + 1, n)[:, None]] = -1
    found[:empty] = -1
    return found.astype("int32")


# Few ids, so that much is in common; two of each are empty, one of both.
Y, P = sequences(24, 7, 3, 2), np.roll(sequences(24, 9, 3, 2), 1, axis=0)
TRUE, FOUND = sequences(24, 8, 5, 2), RNG.integers(0, 5, (24, 8)).astype("int32")
TRUE[RNG.random(TRUE.shape) < 0.1] = -100
OF_IDS: dict[str, tg.Metric] = {
    "EditDistance": tg.metrics.EditDistance(),
    "EditDistance, normalized": tg.metrics.EditDistance(normalize=True),
    "TokenErrorRate": tg.metrics.TokenErrorRate(),
    "MatchErrorRate": tg.metrics.MatchErrorRate(),
    "SequenceAccuracy": tg.metrics.SequenceAccuracy(),
    "BLEU": tg.metrics.BLEU(),
    "BLEU, smoothed": tg.metrics.BLEU(n=6, smoothing="exponential"),
    "BLEU, with 1 added": tg.metrics.BLEU(n=6, smoothing="add-one"),
    "ChrF": tg.metrics.ChrF(n=8, beta=1.5),
}
OF_TAGS: dict[str, tg.Metric] = {
    name: getattr(tg.metrics, name)(tags=TAGS) for name in ("SpanF1", "SpanPrecision", "SpanRecall")
}


def reference(metric: tg.Metric, y: Any, p: Any) -> float:
    name = type(metric).__name__
    return float(FIGURES[name](metric, y, p) if name in FIGURES else np.mean(VALUES[name](metric, y, p)))


@jax.jit
def figures(y: Any, p: Any, true: Any, found: Any, weight: Any) -> Any:
    """In two batches of which each knows nothing of the other, with and without weights."""

    def merged(metric: tg.Metric, labels: Any, predictions: Any, weight: Any) -> Any:
        one, other = (
            metric(labels[cut], predictions[cut], sample_weight=None if weight is None else weight[cut])
            for cut in (slice(10), slice(10, None))
        )
        return one.merge(other).compute()

    every = [(name, m, y, p) for name, m in OF_IDS.items()] + [(name, m, true, found) for name, m in OF_TAGS.items()]
    return {name: [merged(m, labels, found, w) for w in (None, weight)] for name, m, labels, found in every}


def test_equal_their_definitions_in_batches_and_with_weights():
    weight = RNG.integers(0, 3, 24).astype("float32")
    got = figures(Y, P, TRUE, FOUND, weight)
    for name, metric in {**OF_IDS, **OF_TAGS}.items():
        y, p = (Y, P) if name in OF_IDS else (TRUE, FOUND)
        twice = np.repeat(np.arange(24), weight.astype(int))
        for value, rows in zip(got[name], (np.arange(24), twice), strict=True):
            np.testing.assert_allclose(value, reference(metric, y[rows], p[rows]), rtol=1e-6, err_msg=name)


def test_nothing_at_all():
    """Empty sequences, against each other and against some."""
    nothing, some = np.full((2, 7), -1, "int32"), np.zeros((2, 9), "int32")
    got = [
        figures(np.resize(y, (24, 7)), np.resize(p, (24, 9)), TRUE, FOUND, np.ones(24, "float32"))
        for y, p in ((nothing, np.full((2, 9), -1, "int32")), (nothing, some), (some[:, :7], -some - 1))
    ]
    both, too_much, missing = ({name: float(one[name][0]) for name in OF_IDS} for one in got)
    assert both == {name: float(name == "SequenceAccuracy") for name in OF_IDS}
    assert too_much["TokenErrorRate"] == 0 and too_much["MatchErrorRate"] == 1 and too_much["EditDistance"] == 9
    assert missing["TokenErrorRate"] == missing["MatchErrorRate"] == missing["EditDistance, normalized"] == 1
    assert missing["BLEU, smoothed"] == missing["ChrF"] == missing["SequenceAccuracy"] == 0


def test_averages_over_kinds_of_spans():
    each = tg.metrics.SpanF1(tags=TAGS, average=None)(TRUE, FOUND).compute()
    for kind, value in zip(("place", "name"), each, strict=True):
        of_kind = np.array([tag[2:] == kind for tag in TAGS])
        alone = [np.where((a >= 0) & ~of_kind[np.maximum(a, 0)], np.minimum(a, 0), a) for a in (TRUE, FOUND)]
        np.testing.assert_allclose(value, reference(OF_TAGS["SpanF1"], *alone), rtol=1e-6)
    macro = tg.metrics.SpanF1(tags=TAGS, average="macro")(TRUE, FOUND)
    np.testing.assert_allclose(float(macro), each.mean(), rtol=1e-6)


def test_what_ends_and_pads_sequences():
    y, p = jnp.array([[5, 6, 9, 0, 4]]), jnp.array([[5, 9, 6, 0, 0, 7]])
    right = tg.metrics.SequenceAccuracy(end_id=0, pad_id=9)
    assert float(right(y, p)) == 1
    # Steps of a model trained by CTC: 5 is said twice, 6 only once.
    said = tg.metrics.TokenErrorRate(blank_id=0)
    assert float(said(jnp.array([[5, 5, 6, 0]]), jnp.array([[5, 0, 5, 5, 6, 6]]))) == 0


@pytest.mark.slow
def test_scores_stand_for_the_largest_and_nan_shows():
    scores = jax.nn.one_hot(np.maximum(P, 0), 3)
    for name in ("EditDistance", "BLEU", "SequenceAccuracy"):
        assert float(OF_IDS[name](Y, scores)) == float(OF_IDS[name](Y, np.maximum(P, 0)))
    bad = scores.at[3, 0, 0].set(jnp.nan)
    weight = jnp.ones(24).at[3].set(0)
    for metric in OF_IDS.values():
        assert np.isnan(float(metric(Y, bad)))
        assert np.isfinite(float(metric(Y, bad, sample_weight=weight)))
    outside = TRUE.copy()
    outside[0, 0] = 5
    assert np.isnan(float(OF_TAGS["SpanF1"](outside, FOUND)))


def test_mistakes_with_metrics():
    with pytest.raises(tg.ContractError, match=r"`y_true` is f32\[2,3\], and ids are expected: integers"):
        tg.metrics.TokenErrorRate()(jnp.zeros((2, 3)), jnp.zeros((2, 3), int))
    with pytest.raises(tg.ContractError, match="must have a tag for each place"):
        OF_TAGS["SpanF1"](jnp.zeros((2, 3), int), jnp.zeros((2, 4), int))
    with pytest.raises(tg.ContractError, match="has scores of 3 tags, not 5"):
        OF_TAGS["SpanF1"](jnp.zeros((2, 3), int), jnp.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="`tags` are like .* and among them is 'place'"):
        tg.metrics.SpanF1(tags=["O", "place"])
    with pytest.raises(ValueError, match="`tags` are different from each other, some other than `O`"):
        tg.metrics.SpanF1(tags=["O"])
    with pytest.raises(TypeError, match="`tags` is a list of the tags"):
        tg.metrics.SpanF1(tags="O")
    with pytest.raises(ValueError, match="`smoothing` is one of 'add-one', 'exponential' and None"):
        tg.metrics.BLEU(smoothing=cast(Any, "floor"))
    with pytest.raises(ValueError, match="`beta` is a positive number, and got 0"):
        tg.metrics.ChrF(beta=0.0)
    with pytest.raises(ValueError, match="`end_id` is an id, at least 0, and got -1"):
        tg.metrics.EditDistance(end_id=-1)
