"""What those who come from elsewhere look for in a model, and where it is here."""

from .._describe import did_you_mean
from .._types import PyTree

_ON_DISK = "`model.save(path)` writes everything, and `model.load(path)` reads it into a model that is built alike"
_NO_MODES = "nothing is switched: `fit` trains, `evaluate` and `predict` don't, and layers such as Dropout are told"
_STEPS = "a class of yours overrides `pred_step`, `test_step`, `grad_step` or `train_step`"
_PLACED = "JAX places arrays on its default device, and `model.distributed(...)` on several"

_ELSEWHERE = {
    "compile": "pass `loss=`, `metrics=` and `optimizer=` to `tg.Model(...)`, or to `model.replace(...)`",
    "history": "`fit` returns it: `model, history = model.fit(...)`",
    "forward": "`model(x)` and `model.predict(x)` call the network on a batch, `model.module(...)` on an example",
    "add": "the network is an `eqx.Module`, such as `eqx.nn.Sequential`, which `tg.Model(...)` takes",
    "predict_proba": "`jax.nn.softmax(model.predict(x))`, where the network returns logits",
    "score": "`model.evaluate(x, y)`",
    "fit_transform": "`model.fit(x, y)`, then `model.predict(x)`",
    "weights": "`model.parameters` are those that are trained, `model.module` is the network",
    "trainable_variables": "`model.parameters`",
    "trainable_weights": "`model.parameters`",
    "learning_rate": "`model.states.optimizer_states` has that of a `tg.Optimizer`; callbacks such as "
    "`tg.callbacks.LearningRateScheduler` set it",
    "zero_grad": "gradients are values here, which nobody has to reset",
    "backward": "`model.train_on_batch(x, y)` makes a step with its gradients",
    **dict.fromkeys(("state_dict", "load_state_dict", "save_weights", "load_weights", "to_json"), _ON_DISK),
    **dict.fromkeys(
        ("get_weights", "set_weights"), "`model.module` is the network, `model.replace(module=...)` another"
    ),
    **dict.fromkeys(("train", "eval"), _NO_MODES),
    **dict.fromkeys(("training_step", "validation_step", "predict_step", "configure_optimizers"), _STEPS),
    **dict.fromkeys(("to", "cuda", "cpu"), _PLACED),
}


def no_such_attribute(model: object, module: PyTree, name: str) -> str:
    """Return the message for an attribute that a model doesn't have.

    **Arguments:**

    - `module`: the network, `None` where there is none yet.
    """
    said = f"{type(model).__name__!r} object has no attribute {name!r}"
    if name in _ELSEWHERE:
        return f"{said}: {_ELSEWHERE[name]}."
    if module is not None and hasattr(module, name):
        return f"{said}: its network does, `model.module.{name}`."
    public = [known for known in dir(type(model)) if not known.startswith("_")]
    return f"{said}.{did_you_mean(name, public)}"
