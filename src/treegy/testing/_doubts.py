"""What looks wrong about the values that losses and metrics read, though nothing can be said for sure."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import array_name, is_arraylike
from .._inject import request
from .._model import Model
from .._objective import named_terms
from .._term import Batch, Term, make_term, reads

# So many logits are seldom all from 0 to 1.
_SEVERAL = 8


def doubts(model: Model[Any], x: Any, y: Any = None) -> list[str]:
    """What looks wrong about the values that the losses and metrics of a model read on some data.

    Of each that has a field `from_logits`, whether its predictions are what that says: probabilities don't lie outside
    of [0, 1], and logits seldom all lie within it. It is for looking at a model once: training looks at nothing, and
    what is out of range changes no results.

    **Arguments:**

    - `model`: a model that has its module.
    - `x`, `y`: a batch, as for [`treegy.Model.test_on_batch`][].

    **Returns:**

    A sentence for each doubt. None, if all is well.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import treegy as tg

        network = eqx.nn.Linear(3, 4, key=jax.random.key(0))
        model = tg.Model(network, loss=tg.losses.SparseCategoricalCrossentropy())
        for doubt in tg.testing.doubts(model, 3 * jnp.eye(3), jnp.array([0, 1, 2])):
            print(doubt)
        ```

        ```text
        loss `sparse_categorical_crossentropy_loss` (SparseCategoricalCrossentropy.call) takes probabilities, ...
        ```
    """
    values = {"x": x, "y_true": y, "y_pred": model.predict_on_batch(x)}
    values = {name: jax.tree.map(lambda a: jnp.asarray(a) if is_arraylike(a) else a, v) for name, v in values.items()}
    found: list[str] = []
    for kind, terms in zip(("loss", "metric"), named_terms(model.loss, model.metrics), strict=True):
        for name, thing in terms:
            if isinstance(getattr(thing, "from_logits", None), bool):
                term = make_term(kind, thing, name)
                found += _doubts(term, thing.from_logits, values)
    return found


def _doubts(term: Term, from_logits: bool, values: dict[str, Any]) -> list[str]:
    read = reads(term, Batch({k: v for k, v in values.items() if k in request(term.fn) and v is not None}, 0))
    y_pred = read.get("y_pred")
    if not is_arraylike(y_pred):
        return []
    p = np.asarray(y_pred, np.float64)
    least, most = p.min(), p.max()
    if not from_logits and (least < 0 or most > 1):
        return [
            f"{term.who} takes probabilities, and `y_pred` {array_name(y_pred)} reaches from {least:.3g} to "
            f"{most:.3g}: are these logits? Then pass `from_logits=True`."
        ]
    if from_logits and least >= 0 and most <= 1 and p.size >= _SEVERAL:
        return [
            f"{term.who} takes logits, and all of `y_pred` {array_name(y_pred)} lies within [0, 1]: are these "
            "probabilities already? Then leave out `from_logits=True`, or the sigmoid or softmax."
        ]
    return []
