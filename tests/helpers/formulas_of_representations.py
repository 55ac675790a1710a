"""What losses and metrics of representations and generation compute, pair by pair, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

EPSILON = 1e-7


def unit(v: Any) -> Any:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), EPSILON)


def crossentropies(logits: Any, own: Any) -> Any:
    return special.logsumexp(logits, axis=-1) - np.take_along_axis(logits, np.asarray(own)[:, None], -1)[:, 0]


def info_nce(it: Any, y: Any, p: Any) -> Any:
    s = unit(p[0]) @ unit(p[1]).T / float(it.temperature)
    own = np.arange(len(s))
    there, back = crossentropies(s, own), crossentropies(s.T, own)
    return (there + back) / 2 if it.symmetric else there


def sig_lip(it: Any, y: Any, p: Any) -> Any:
    z = unit(p[0]) @ unit(p[1]).T / float(it.temperature) + float(it.bias)
    n = len(z)
    return [sum(np.logaddexp(0, -z[i, j] if i == j else z[i, j]) for j in range(n)) for i in range(n)]


def supervised_contrastive(it: Any, labels: Any, e: Any) -> Any:
    s = unit(e) @ unit(e).T / float(it.temperature)
    found = []
    for i in range(len(e)):
        others = [j for j in range(len(e)) if j != i]
        same = [j for j in others if labels[j] == labels[i]]
        if same:
            found.append(np.mean([special.logsumexp(s[i, others]) - s[i, j] for j in same]))
    return np.array(found)


def vicreg(it: Any, y: Any, p: Any) -> Any:
    d = p[0].shape[1]
    values = 25 * ((p[0] - p[1]) ** 2).mean(-1)
    for view in p:
        c = np.atleast_2d(np.cov(view.T))
        values = values + 12.5 * np.maximum(1 - np.sqrt(np.diag(c) + 1e-4), 0).mean()
        values = values + sum(c[k, m] ** 2 for k in range(d) for m in range(d) if k != m) / d
    return values


def barlow_twins(it: Any, y: Any, p: Any) -> Any:
    a, b = ((v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5) for v in p)
    c = a.T @ b / len(a)
    return ((1 - np.diag(c)) ** 2).sum() + 5e-3 * ((c - np.diag(np.diag(c))) ** 2).sum()


def log_softmax(z: Any) -> Any:
    return z - special.logsumexp(z, axis=-1, keepdims=True)


def dino(it: Any, y: Any, p: Any) -> Any:
    t, log_s = np.exp(log_softmax(p[1] / 0.04)), log_softmax(p[0] / 0.1)
    return -np.where(t == 0, 0, t * log_s).sum(-1)


def distillation(it: Any, y: Any, p: Any) -> Any:
    log_t, log_s = log_softmax(y / 2), log_softmax(p / 2)
    return 4 * np.where(np.exp(log_t) == 0, 0, np.exp(log_t) * (log_t - log_s)).sum(-1)


def margin(turned: Callable[[float], float]) -> Callable[..., Any]:
    """The crossentropy of cosines, that of the right class turned."""

    def value(it: Any, y: Any, p: Any) -> Any:
        logits = np.clip(p, -1, 1)
        for i, label in enumerate(y):
            logits[i, label] = turned(logits[i, label])
        return crossentropies(float(it.scale) * logits, y)

    return value


def arc(c: float) -> float:
    if np.arccos(c) + 0.5 >= np.pi:
        return c - 0.5 * np.sin(0.5)
    return c * np.cos(0.5) - np.sqrt(max(1 - c**2, EPSILON)) * np.sin(0.5)


def proxy_nca(it: Any, y: Any, p: Any) -> Any:
    d = 2 - 2 * np.clip(p, -1, 1)
    return [
        d[i, label] + special.logsumexp([-d[i, c] for c in range(p.shape[1]) if c != label])
        for i, label in enumerate(y)
    ]


def gaussian_kl(it: Any, y: Any, p: Any) -> Any:
    v = np.maximum(p[1], 1e-6)
    return (p[0] ** 2 + v - 1 - np.log(v)).sum(-1) / 2


def mmd(it: Any, y: Any, p: Any) -> Any:
    def k(u: Any, v: Any) -> Any:
        # Less 1, which cancels in the sum below: `exp` would round what is left away, also in float64.
        return np.mean([np.expm1(-((u - v) ** 2).sum() / 2 / s**2) for s in np.ravel(it.bandwidths)])

    n = len(y)
    return [sum(k(y[i], y[j]) + k(p[i], p[j]) - k(y[i], p[j]) - k(p[i], y[j]) for j in range(n)) / n for i in range(n)]


def gan_discriminator(it: Any, y: Any, p: Any) -> Any:
    r, f = p
    return {
        "minimax": lambda: np.logaddexp(0, -r) + np.logaddexp(0, f),
        "hinge": lambda: np.maximum(1 - r, 0) + np.maximum(1 + f, 0),
        "wasserstein": lambda: f - r,
        "least_squares": lambda: ((r - 1) ** 2 + f**2) / 2,
    }[it.kind]()


def gan_generator(it: Any, y: Any, p: Any) -> Any:
    return {
        "non_saturating": lambda: np.logaddexp(0, -p),
        "minimax": lambda: -np.logaddexp(0, p),
        "hinge": lambda: -p,
        "wasserstein": lambda: -p,
        "least_squares": lambda: (p - 1) ** 2 / 2,
    }[it.kind]()


def gradient_penalty(it: Any, y: Any, p: Any) -> Any:
    """Of the critic of the laws."""
    return (np.linalg.norm([0.5, -1, 2] * (1 - np.tanh(p) ** 2), axis=-1) - 1) ** 2


def frechet_distance(it: Any, y: Any, p: Any) -> Any:
    a, b = np.cov(y.T), np.cov(p.T)
    # The root of a product, whose eigenvalues aren't negative.
    root = np.sqrt(np.maximum(np.real(np.linalg.eigvals(a @ b)), 0)).sum()
    return ((y.mean(0) - p.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * root


def kernel_distance(it: Any, y: Any, p: Any) -> Any:
    n, d = y.shape

    def k(u: Any, v: Any) -> Any:
        """Without the constant of 1, which cancels and of which float64 loses what is small."""
        x = u @ v / d
        return x**3 + 3 * x**2 + 3 * x

    within = sum(k(y[i], y[j]) + k(p[i], p[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within - 2 * np.mean([[k(u, v) for v in p] for u in y])


def cka(it: Any, y: Any, p: Any) -> Any:
    x, z = ((v - v.mean(0)) / np.abs(v).max() for v in (y, p))
    return np.sum((x.T @ z) ** 2) / np.linalg.norm(x.T @ x) / np.linalg.norm(z.T @ z)


def effective_rank(it: Any, y: Any, p: Any) -> Any:
    s = np.linalg.svd(p, compute_uv=False)
    q = s[s > 0] / s.sum()
    return np.exp(-(q * np.log(q)).sum())


def uniformity(it: Any, y: Any, p: Any) -> Any:
    u = unit(p)
    n = len(u)
    each = [np.exp(-2 * ((u[i] - u[j]) ** 2).sum()) for i in range(n) for j in range(n) if i != j]
    return np.log(np.mean(each))


def of_queries(value: Callable[[Any, Any], float]) -> Callable[..., Any]:
    """The mean of the queries that have another example of their label, whether each neighbour has it, in order."""

    def figure(it: Any, labels: Any, e: Any) -> Any:
        s = unit(e) @ unit(e).T
        found = []
        for i in range(len(e)):
            order = [j for j in np.argsort(-s[i], kind="stable") if j != i]
            same = labels[order] == labels[i]
            if same.any():
                found.append(value(it, same))
        return np.mean(found)

    return figure


def average_precision(it: Any, same: Any) -> float:
    return float(np.mean([(m + 1) / (place + 1) for m, place in enumerate(np.flatnonzero(same))]))


VALUES: dict[str, Callable[..., Any]] = {
    "Alignment": lambda it, y, p: ((unit(p[0]) - unit(p[1])) ** 2).sum(-1),
    "ArcFace": margin(arc),
    "BYOL": lambda it, y, p: ((unit(p[0]) - unit(p[1])) ** 2).sum(-1),
    "BarlowTwins": barlow_twins,
    "CosFace": margin(lambda c: c - 0.35),
    "DINO": dino,
    "Distillation": distillation,
    "GANDiscriminator": gan_discriminator,
    "GANGenerator": gan_generator,
    "GaussianKL": gaussian_kl,
    "GradientPenalty": gradient_penalty,
    "InfoNCE": info_nce,
    "MMD": mmd,
    "ProxyNCA": proxy_nca,
    "SigLIP": sig_lip,
    "SupervisedContrastive": supervised_contrastive,
    "VICReg": vicreg,
}
FIGURES: dict[str, Callable[..., Any]] = {
    "CKA": cka,
    "EffectiveRank": effective_rank,
    "EmbeddingMeanAveragePrecision": of_queries(average_precision),
    "EmbeddingRecallAtK": of_queries(lambda it, same: float(same[: it.k].any())),
    "FrechetDistance": frechet_distance,
    "KernelDistance": kernel_distance,
    "Uniformity": uniformity,
}
