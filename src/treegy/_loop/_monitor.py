"""The metric value that a callback watches, and which of two values of it is better."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._checks import number
from .._describe import describe, did_you_mean
from .._types import Mode
from ._callback import Logs
from ._training_run import TrainingRun

# What a name has in it, and whether it is to be small or large: the first that fits.
_SMALLER_SCORES = ("loss", "winkler_score", "energy_score", "log_score", "brier_score", "negative_likelihood_ratio")
_LARGER_ERRORS = ("d2",)
_SMALLER = (
    *("error", "entropy", "perplexity", "divergence", "brier", "hinge", "mse", "mae", "rmse", "nll", "crps"),
    *("deviance", "distance", "cost", "poisson", "fall_out", "false_", "ergas", "spectral_angle", "wasserstein"),
)
_LARGER = (
    *("acc", "auc", "precision", "recall", "sensitivity", "specificity", "f1", "fbeta", "iou", "io_u", "jaccard", "r2"),
    *("score", "correlation", "kappa", "cosine_similarity", "cramers_v", "theils_u", "explained_variance", "match"),
    *("detection_ma", "panoptic_quality", "dice", "psnr", "ssim", "snr", "sdr", "uqi", "predictive_value", "true_"),
    *("ndcg", "hit_rate", "reciprocal_rank", "lift", "gain", "likelihood_ratio", "bleu", "chr_f", "cka", "concordance"),
    *("mutual_information", "homogeneity", "completeness", "v_measure", "fowlkes_mallows"),
)
_MODES: dict[str, Mode] = {
    **dict.fromkeys(_SMALLER_SCORES, "min"),
    **dict.fromkeys(_LARGER_ERRORS, "max"),
    **dict.fromkeys(_SMALLER, "min"),
    **dict.fromkeys(_LARGER, "max"),
}
_SHOWN = 20


class Monitor:
    """A metric value by its name, and whether it is to be small or large."""

    def __init__(self, name: str, mode: Mode = "auto", min_delta: float = 0.0):
        """**Arguments:**

        - `name`: as it stands in the logs.
        - `mode`: `"min"` or `"max"`; `"auto"` goes by the name.
        - `min_delta`: by how much it must change to be better.

        **Raises:** `ValueError` for another mode, and where `"auto"` can't tell.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"`monitor` is {describe(name)}; the name of a metric value is expected.")
        check_mode(mode)
        if mode == "auto":
            mode = _mode_of(name)
        self.name = name
        self.mode = mode
        self.worst = math.inf if mode == "min" else -math.inf
        self._min_delta = abs(number("min_delta", min_delta))

    def better(self, value: Any, than: Any) -> Any:
        """Whether `value` is better. NaN never is. Numbers, or scalars that may be traced."""
        # As Keras computes it, so that the same values are better by as much as `min_delta`.
        return value + self._min_delta < than if self.mode == "min" else value - self._min_delta > than

    def expect(self, run: TrainingRun, who: str) -> None:
        """Before the first step: see whether there will be such a metric value.

        **Raises:** `KeyError` if neither training nor validation gives it, nor can a callback add it to the logs: now,
        or as soon as a batch has been looked at.
        """

        def check() -> None:
            names = run.names
            if names is not None and self.name not in names and not run.adds_to_logs:
                raise KeyError(self._missing(names, run, who))

        run.when_seen(check)

    def read(self, logs: Logs, run: TrainingRun, who: str) -> float | None:
        """Return the metric value, or `None` where this epoch has none because validation wasn't due.

        **Raises:** `KeyError` where there never will be one.
        """
        value = self._read(logs, run, who)
        if value is not None and value.ndim:
            mend = " Of a stack of models, `EarlyStopping` alone takes it." if value.ndim == 1 else ""
            raise ValueError(
                f"`{who}(monitor={self.name!r})`: the metric value is no scalar, but has shape {value.shape}.{mend}"
            )
        return None if value is None else float(value)

    def read_each(self, logs: Logs, run: TrainingRun, who: str, stacked: bool) -> np.ndarray | None:
        """Return the metric value of each model of a stack, or that of one model as the only one."""
        value = self._read(logs, run, who)
        if value is not None and value.ndim != int(stacked):
            shape = value.shape[1:] if stacked else value.shape
            raise ValueError(f"`{who}(monitor={self.name!r})`: the metric value is no scalar, but has shape {shape}.")
        return None if value is None else np.atleast_1d(value).astype(float)

    def _read(self, logs: Logs, run: TrainingRun, who: str) -> np.ndarray | None:
        if self.name in logs:
            return np.asarray(logs[self.name])
        if self.name.startswith("val_") and run.has_validation and not run.validated:
            return None
        raise KeyError(self._missing(logs, run, who))

    def _missing(self, names: Iterable[str], run: TrainingRun, who: str) -> str:
        there = list(names)
        mend = did_you_mean(self.name, there, repr)
        if self.name.startswith("val_") and not run.has_validation:
            mend = " There is no validation: pass `validation_data`."
        shown = ", ".join(f"{name:.60}" for name in there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
        return f"`{who}(monitor={self.name!r:.100})`: there is no metric value of that name among {shown}.{mend}"


def check_mode(mode: object) -> None:
    """**Raises:** `ValueError` for what is no `mode`."""
    if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
        raise ValueError(f'`mode` is {describe(mode)}; "auto", "min" or "max" is expected.')


def _mode_of(name: str) -> Mode:
    plain = name.removeprefix("val_").lower()
    for word, mode in _MODES.items():
        if word in plain:
            return mode
    raise ValueError(
        f'whether {name!r} is to be small or large can\'t be told from its name: give `mode="min"` or "max".'
        + did_you_mean(name, ["loss", "val_loss", "accuracy", "val_accuracy"], repr)
    )
