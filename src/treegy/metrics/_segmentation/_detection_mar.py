"""`DetectionMAR`: how many of the objects of images are found, each by a box around it."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._terms._accumulator import safe_divide
from .._accumulators._value_of import ValueOf
from .._representations._examples import KeptExamples
from ._of_detections import Detections, OfDetections, mean_over, ordered


class DetectionMAR(OfDetections):
    r"""How many of the objects of images are found by at most `max_detections` boxes of their class in an image: COCO's
    average recall, the mean over thresholds of IoU and over the classes that occur. `max_detections` is 1, 10 and 100
    for its AR1, AR10 and AR100.

    What it takes, keeps and raises is what [`treegy.metrics.DetectionMAP`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        meant = {"boxes": jnp.array([[[0.0, 0, 4, 4], [5, 5, 9, 9]]]), "labels": jnp.array([[0, 0]])}
        found = {
            "boxes": jnp.array([[[0.0, 0, 4, 4], [5, 5, 9, 8]]]),
            "scores": jnp.array([[0.9, 0.8]]),
            "labels": jnp.array([[0, 0]]),
        }
        metric = tg.metrics.DetectionMAR(num_classes=1, capacity=8)
        # The second is found at the thresholds up to 0.75.
        assert abs(float(metric(meant, found)) - (1 + 6 / 10) / 2) < 1e-6
        assert float(tg.metrics.DetectionMAR(num_classes=1, capacity=8, max_detections=1)(meant, found)) == 0.5
        ```

    ??? cite

        Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014.
    """

    def _metric_value(self, accumulated: Detections) -> ValueOf:
        return ValueOf(
            accumulated,
            _mean_average_recall,
            by_class=self.by_class,
            by_threshold=self.by_threshold,
        )


def _mean_average_recall(of: tuple[KeptExamples, Array], by_class: bool, by_threshold: bool) -> Float[Array, "..."]:
    kept, positives = of
    classes = len(positives)
    found = ordered(kept, classes)
    last = jnp.searchsorted(found.labels, jnp.arange(classes), side="right") - 1
    right = jnp.where(found.labels[last] == jnp.arange(classes), found.right[:, last], 0)
    values = safe_divide(right, jnp.broadcast_to(positives[None], right.shape))
    return mean_over(values, of, by_class=by_class, by_threshold=by_threshold)
