"""`Model`: what users hold. Each public method is a few lines over the floors below.

Long, since the docstrings of all public methods are here; what the methods do is in the rooms below.
"""

import dataclasses
import os
from collections.abc import Iterable
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, Literal

import equinox as eqx
import jax.numpy as jnp

from .. import _checks
from .._data._as_batch import as_batch, as_inputs, as_shapes
from .._data._as_source import as_source
from .._data._batch import Batch
from .._data._source import check_steps
from .._describe import describe, is_iterator
from .._errors import DataError
from .._export._export import export
from .._inspect._shared_layers import warn_of_shared
from .._inspect._summary import Summary, summarize, summary_step
from .._loop._alike_runs import share_data
from .._loop._callback_list import Callbacks
from .._loop._evaluate import evaluate_alone, predict_alone
from .._loop._every import Every
from .._loop._fit import fit
from .._loop._fit_arguments import FitArguments
from .._loop._history import Fitted, History
from .._loop._kinds import TEST, TRAIN
from .._loop._label_check import check_labels
from .._loop._scan_fit import scan_fit
from .._pretty import called, set_fields
from .._saving import _load
from .._saving._manifest import save_tree
from .._sharding._strategy import AnyStrategy, Strategy
from .._steps import _defaults, _grad_step
from .._steps._assembly import partitioned, states_of, with_states
from .._steps._dispatch import install
from .._steps._dtype_policy import AnyPolicy, check_dtypes, first_scale
from .._steps._evaluated import evaluated_parameters
from .._steps._homes import distributed
from .._steps._prepare import prepared, with_metrics, without_metrics
from .._steps._run_step import Seen, predict_on_batch, test_logs, test_on_batch, train_logs, train_on_batch
from .._steps._single_steps import call_step, is_compiled_by_treegy
from .._steps._stacks import first_of, over_models, refuse_stack, size_of_stack
from .._steps._states import States
from .._terms._class_weight import as_used_table
from .._terms._objective import check_terms, in_order
from .._transfers import own_transfers
from .._types import (
    AxisNames,
    ClassWeight,
    Ensemble,
    Function,
    Platforms,
    PyTree,
    Seed,
    ValidationData,
    Verbose,
)
from ..optimizers._with_ema import averaged_states
from ._bound_method import BoundMethod
from ._checks import (
    as_given,
    can_test,
    check_can_train,
    check_ensemble,
    check_module,
    check_optimizer,
    refuse_traced,
    root_key,
    trains,
)
from ._dataclass_replace import keep_trained
from ._discarded import keeps_model, tell_if_discarded
from ._other_names import no_such_attribute
from ._replace import frozen, replaced

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    N = TypeVar("N", default=Any)
else:
    from typing import TypeVar

    N = TypeVar("N")

# `typing.Self` breaks under jaxtyping's import hook with beartype.
M = TypeVar("M", bound="Model[Any]")


class Model(eqx.Module, Generic[N]):
    """A network together with its losses, metrics, optimizer and everything that a step carries.

    A model is a frozen PyTree. A method that changes it returns the new one first, and the old one stays valid.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import optax
        import treegy as tg

        x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
        y = (x.sum(axis=1) > 0).astype("int32")

        model = tg.Model(
            eqx.nn.MLP(8, 2, 16, 1, key=jax.random.key(0)),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=tg.metrics.SparseCategoricalAccuracy(),
            optimizer=optax.adam(1e-2),
        )
        model, history = model.fit(x, y, epochs=5, verbose=0)
        logs = model.evaluate(x, y, verbose=0)
        assert logs["sparse_categorical_accuracy"] > 0.9
        ```
    """

    module: N = eqx.field(default=None)
    """The network, as it is now: any PyTree, callable or not; `None` where the steps bring their own parameters."""
    loss: PyTree = eqx.field(default=None, kw_only=True, converter=in_order)
    """A loss, or a list, dict or nest of them: [`treegy.Loss`][]es or functions."""
    metrics: PyTree = eqx.field(default=None, kw_only=True, converter=in_order)
    """A metric, or a list, dict or nest of them: [`treegy.Metric`][]s or functions."""
    # To those who read it in a step of their own, it is there; the constructor takes an `OptimizerLike`.
    optimizer: Any = eqx.field(default=None, kw_only=True, converter=as_given)
    """An optax transformation."""
    state: PyTree = eqx.field(default=None, kw_only=True)
    """The `eqx.nn.State` of the module, as it is now."""
    trainable: PyTree = eqx.field(default=eqx.is_inexact_array, kw_only=True)
    """Which of the module's arrays of floats are trained: a filter spec as in `eqx.partition`."""
    batched: bool | None = eqx.field(default=None, kw_only=True, static=True)
    """Whether the module takes a whole batch. `None`: if the annotation of an input begins with an axis `batch`."""
    seed: Seed = eqx.field(default=42, kw_only=True, converter=root_key)
    """An integer or a PRNG key, from which everything random follows; kept as a key."""
    run_eagerly: bool = eqx.field(default=False, kw_only=True, static=True)
    """Whether steps run operation by operation, without being compiled, as is useful for debugging."""
    dtype_policy: AnyPolicy = eqx.field(default=None, kw_only=True, static=True)
    """In which precision the module computes; in that of its parameters by default."""
    microbatches: int = eqx.field(default=1, kw_only=True, static=True)
    """In how many parts, one after the other, the gradients of a batch are computed: the same ones, in less memory."""
    strategy: Strategy | None = eqx.field(default=None, init=False, static=True)
    """Over which devices it is distributed: what was given to `distributed`."""
    _carried: States | None = eqx.field(default=None, init=False)

    if not TYPE_CHECKING:  # to type checkers, the constructor is what the fields say

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            install(cls)
            return super().__new__(cls)

        def __getattribute__(self, name: str) -> Any:
            found = object.__getattribute__(self, name)
            if type(found) is MethodType and found.__self__ is self and not name.startswith("__"):
                return BoundMethod(found.__func__, self)
            return found

    def __check_init__(self) -> None:
        check_terms("loss", "loss", self.loss)
        check_terms("metric", "metrics", self.metrics)
        check_optimizer(self.optimizer)
        check_module(self.module, self.state)
        if self.batched is not None:
            _checks.flag("batched", self.batched)
        _checks.flag("run_eagerly", self.run_eagerly)
        _checks.positive("microbatches", self.microbatches)
        check_dtypes(self.dtype_policy, partitioned(self.module, self.trainable)[0])
        keep_trained(self)

    def __pdoc__(self, **options: Any) -> Any:
        # `seed` is a key, which shows nothing, and is always there.
        parts = set_fields(self, leave_out=("seed", "_carried"))
        states = {} if self._carried is None else {"states": self._carried}
        return called(type(self).__name__, {**parts, **states}.items(), **options)

    # What a model is made of

    @property
    def states(self) -> States:
        """Everything that a step carries, as a [`treegy.States`][]."""
        return states_of(self)

    @property
    def parameters(self) -> PyTree:
        """What is trained: the trainable part of the module, or what the steps of a model without one put there."""
        return self.states.get("net_params")

    @property
    def initialized(self) -> bool:
        """Whether everything that steps need is there: after `init`, `fit` or a step."""
        return self._carried is not None

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except dataclasses.FrozenInstanceError:
                raise dataclasses.FrozenInstanceError(frozen(self, name)) from None

        def __getattr__(self, name: str) -> Any:
            # Called for what there isn't. `vars`, since within a constructor there may be no module yet.
            if name.startswith("__"):
                raise AttributeError(name)
            if hasattr(type(self), name):
                # A property of a subclass has raised: that error says more.
                return object.__getattribute__(self, name)
            raise AttributeError(no_such_attribute(self, vars(self).get("module"), name), name=name, obj=self)

    def replace(self: M, **fields: Any) -> M:
        """Return a model with other fields.

        **Arguments:**

        - `**fields`: any of the constructor's arguments, and `states`. With another `module`, `trainable` or
            `optimizer`, the optimizer's states of leaves with the same path, shape and dtype are kept, except the
            hyperparameters of another optimizer.

        **Raises:** `TypeError` for a field that a model doesn't have; whatever the constructor raises.
        """
        tell_if_discarded(self, "model.replace(...)", "model = model.replace(...)")
        return replaced(self, fields)

    # Training

    @own_transfers
    def fit(
        self: M,
        x: PyTree = None,
        y: PyTree = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Verbose = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: ValidationData = None,
        shuffle: bool = True,
        class_weight: ClassWeight = None,
        sample_weight: PyTree = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] | Every = 1,
        drop_remainder: bool = False,
        steps_per_execution: int | Literal["auto"] = "auto",
    ) -> Fitted[M]:
        """Train the model.

        **Arguments:**

        - `x`, `y`: PyTrees of NumPy or jax arrays, whose first axes are of the same length. Or, as `x` alone, anything
            that gives batches `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` when it is iterated over: such a pass is
            an epoch, and what can be iterated over again begins again for the next one.
        - `batch_size`: how many examples a step sees; 32 by default. The last batch of an epoch may be smaller: it is
            trained on too, unless `drop_remainder`.
        - `epochs`, `initial_epoch`: training goes from epoch `initial_epoch` to before `epochs`, counted from 0.
        - `verbose`: 0 shows nothing, 1 a bar, 2 a line an epoch; `"auto"` a bar in terminals and notebooks and lines
            elsewhere.
        - `callbacks`: [`treegy.callbacks.Callback`][]s.
        - `validation_split`: which fraction of the data, from its end and before shuffling, is kept to validate on.
        - `validation_data`: `(x, y)` or `(x, y, sample_weight)` to validate on; `(x,)` where there are no labels; or
            what gives such batches.
        - `shuffle`: whether each epoch has an order of its own, which follows from the seed and the step.
        - `class_weight`: `{class: weight}`, or an array, for the losses that read labels; of several outputs a dict or
            list of these, from which a loss's `on=` selects.
        - `sample_weight`: `(batch, ...)`: the weights of the examples, for every loss and metric. Weights of the shape
            of `y` weigh single elements. Of several outputs a PyTree of these, from which `on=` selects.
        - `steps_per_epoch`: how many batches of the data an epoch has; all by default. The next epoch resumes where
            this one ended, and where the data ends the next pass over it begins: each example is seen once a pass.
        - `validation_steps`, `validation_batch_size`, `validation_freq`: how many batches a validation looks at, of
            which size, and after every how many epochs; or after which epochs, counted from 1; or [`treegy.Every`][]
            so many steps or parts of an epoch.
        - `steps_per_execution`: how many steps one compiled call makes. It changes no result.

        **Returns:**

        `(model, history)`, a named tuple: the trained model, and the metric values of every epoch.

        **Raises:** [`treegy.DataError`][] for data that can't be trained on, [`treegy.MissingOptimizer`][], and what
        the steps, the data and the callbacks raise. What had been trained until then, [`treegy.rescued`][] gives.
        """
        arguments = FitArguments.checked(
            self.loss,
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
            drop_remainder=drop_remainder,
            steps_per_execution=steps_per_execution,
        )
        refuse_traced("fit", self, "`scan_fit` or `train_on_batch`")
        if arguments.epochs <= arguments.initial_epoch:
            return Fitted(self, History())
        check_can_train(self)
        warn_of_shared(self.module, self.trainable)
        if not keeps_model(callbacks):
            tell_if_discarded(self, "model.fit(...)", "model, history = model.fit(...)")
        return fit(self, arguments)

    @own_transfers
    def evaluate(
        self,
        x: PyTree = None,
        y: PyTree = None,
        *,
        batch_size: int | None = None,
        sample_weight: PyTree = None,
        class_weight: ClassWeight = None,
        steps: int | None = None,
        verbose: Verbose = "auto",
        callbacks: Callbacks = None,
    ) -> dict[str, Any]:
        """Return the metric values over all examples: the loss, its parts and the metrics.

        **Arguments:** those of [`treegy.Model.fit`][]; `steps` is how many batches are looked at, all by default.

        **Returns:**

        A dict of Python floats; NumPy arrays where a metric value isn't a scalar.
        """
        batch = _checks.optional("batch_size", batch_size)
        steps = _checks.optional("steps", steps)
        table = as_used_table(self.loss, class_weight)
        source = as_source(x, y, sample_weight, batch_size=batch, class_weight=table)
        refuse_traced("evaluate", self, "`test_on_batch`")
        check_steps("steps", steps, source)
        return evaluate_alone(self, source, steps, callbacks, verbose)

    @own_transfers
    def predict(
        self,
        x: PyTree = None,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        verbose: Verbose = 0,
        callbacks: Callbacks = None,
        ensemble: Ensemble = "all",
    ) -> PyTree:
        """Return what the model predicts.

        **Arguments:** those of [`treegy.Model.fit`][]; `steps` is how many batches are predicted, all by default.

        - `ensemble`: of a stack of models ([`treegy.stack`][]), `"all"` is what each predicts, `(models, batch, ...)`;
            `"mean"` their mean, and `"mean_and_std"` the pair of it and of how far they differ, each `(batch, ...)`.

        **Returns:**

        The structure that the module returns, with the batches put together along the first axis: jax arrays.
        """
        batch = _checks.optional("batch_size", batch_size)
        steps = _checks.optional("steps", steps)
        source = as_source(x, batch_size=batch)
        refuse_traced("predict", self, "`predict_on_batch`")
        check_steps("steps", steps, source)
        check_ensemble(ensemble, size_of_stack(self))
        return predict_alone(self, source, steps, callbacks, verbose, ensemble)

    @own_transfers
    def scan_fit(
        self: M,
        x: PyTree = None,
        y: PyTree = None,
        *,
        epochs: int,
        batch_size: int = 32,
        sample_weight: PyTree = None,
        class_weight: ClassWeight = None,
        shuffle: bool = True,
        validation_data: PyTree = None,
        patience: int | None = None,
        monitor: str = "val_loss",
        remat_every: int | None = None,
    ) -> tuple[M, dict[str, Any]]:
        """`fit` as one pure function, for `jax.jit`, `jax.vmap` and `jax.grad`: the whole training in one program.

        It gives what `fit` gives for the same data and seed, without callbacks, progress and Python in between.

        **Arguments:** those of [`treegy.Model.fit`][] for arrays, and

        - `validation_data`: `(x, y)` or `(x, y, sample_weight)`.
        - `patience`: how many epochs may pass without a better `monitor`, as with
            [`treegy.callbacks.EarlyStopping`][]: the epochs after that change nothing. Never, if `None`.
        - `monitor`: the metric value that `patience` is about.
        - `remat_every`: for gradients of what comes out: states are kept every so many steps, and those in between
            computed again. Near the square root of the number of steps an epoch has, memory is the least.

        **Returns:**

        `(model, logs)`, where the logs are arrays `(epochs, ...)` of the metric values, by name. Of epochs after the
        stop they are NaN, and 0 where they are integers.

        !!! example

            ```python
            import equinox as eqx
            import jax
            import jax.numpy as jnp
            import optax
            import treegy as tg

            x = jnp.linspace(-1, 1, 64)[:, None]

            def loss_after(rate):
                model = tg.Model(
                    eqx.nn.MLP(1, 1, 8, 1, key=jax.random.key(0)),
                    loss=tg.losses.MeanSquaredError(),
                    optimizer=tg.Optimizer(optax.sgd, rate),
                )
                _, logs = model.scan_fit(x, x**2, epochs=3)
                return logs["loss"][-1]

            rates = jnp.array([1e-3, 1e-2, 1e-1])
            losses = jax.vmap(loss_after)(rates)
            slope = jax.grad(loss_after)(1e-2)
            ```
        """
        tell_if_discarded(self, "model.scan_fit(...)", "model, logs = model.scan_fit(...)")
        check_can_train(self)
        return scan_fit(
            self,
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            sample_weight=sample_weight,
            class_weight=class_weight,
            shuffle=shuffle,
            validation_data=validation_data,
            patience=patience,
            monitor=monitor,
            remat_every=remat_every,
        )

    @own_transfers
    def init(
        self: M,
        x: PyTree = None,
        y: PyTree = None,
        *,
        batch_size: int | None = None,
        sample_weight: PyTree = None,
        class_weight: ClassWeight = None,
    ) -> M:
        """Fill what steps need and is missing: parameters that steps create, states of the optimizer and of metrics.

        Overridden steps run once, with `initializing`. Where there are none, nothing is run. An initialized model
        stays as it is.

        **Arguments:** those of [`treegy.Model.fit`][]; the first `batch_size` examples are looked at.
        """
        tell_if_discarded(self, "model.init(...)", "model = model.init(...)")
        batch = _checks.optional("batch_size", batch_size)
        if x is None and y is None:
            return prepared(self, "train", Batch(), keep_metrics=True)
        if is_iterator(x):
            raise DataError(
                f"`x` is {describe(x)}, of which `init` would take the first batch away from `fit`: pass a batch."
            )
        table = as_used_table(self.loss, class_weight)
        source = as_source(x, y, sample_weight, batch_size=batch, class_weight=table)
        share_data(self.strategy, "`init`", x=source)
        first = source.first()
        model = prepared(self, "train", first, keep_metrics=True)
        return with_metrics(model, first) if first.y_true is not None and can_test(model) else model

    @own_transfers
    def train_on_batch(
        self: M, x: PyTree = None, y: PyTree = None, sample_weight: PyTree = None, class_weight: ClassWeight = None
    ) -> tuple[M, dict[str, Any]]:
        """One training step. Pure: it can be called under `eqx.filter_jit`, `jax.vmap`, `jax.lax.scan` or `jax.grad`.

        **Arguments:** those of [`treegy.Model.fit`][], for one batch.

        **Returns:**

        `(model, logs)`: the model after the step, and the metric values of this batch as jax arrays.
        """
        tell_if_discarded(self, "model.train_on_batch(...)", "model, logs = model.train_on_batch(...)")
        table = as_used_table(self.loss, class_weight)
        examples = as_batch(x, y, sample_weight, table, keep_numpy=is_compiled_by_treegy(self))
        check_can_train(self)
        model = prepared(self, "train", examples, keep_metrics=True)
        if examples.class_weight is not None:
            check_labels(TRAIN, model, examples)
        model, logs = call_step(train_on_batch, model, examples)
        return model, dict(logs)

    @own_transfers
    def test_on_batch(
        self: M, x: PyTree = None, y: PyTree = None, sample_weight: PyTree = None, class_weight: ClassWeight = None
    ) -> tuple[M, dict[str, Any]]:
        """One evaluation step. Pure, as `train_on_batch`.

        **Returns:**

        `(model, logs)`, where the logs are the metric values of all batches since `reset_metrics()`.
        """
        table = as_used_table(self.loss, class_weight)
        compiled = is_compiled_by_treegy(self)
        examples = as_batch(x, y, sample_weight, table, keep_numpy=compiled)
        # Prepared as for training, since it is returned: steps that train may follow.
        model = with_metrics(prepared(self, "train", examples, keep_metrics=True), examples, as_numpy=compiled)
        if examples.class_weight is not None:
            check_labels(TEST, without_metrics(model), examples)
        model, logs = call_step(test_on_batch, model, examples)
        return model, dict(logs)

    @own_transfers
    def predict_on_batch(self, x: PyTree = None) -> PyTree:
        """Return what the model predicts for one batch. Pure, as `train_on_batch`."""
        batch = as_inputs(x, keep_numpy=is_compiled_by_treegy(self))
        return call_step(predict_on_batch, prepared(self, "pred", batch), batch)[1]

    def __call__(self, x: PyTree = None) -> PyTree:
        """Return the predictions for a batch: those of [`treegy.Model.predict_on_batch`][]."""
        return self.predict_on_batch(x)

    def reset_metrics(self: M) -> M:
        """Return the model in which `test_on_batch` begins from scratch."""
        tell_if_discarded(self, "model.reset_metrics()", "model = model.reset_metrics()")
        states = self.states
        seen = states.get("metrics_states")
        if seen is None:
            return self
        fresh = Seen(seen.logs.empty(), jnp.zeros_like(seen.batches))
        return with_states(self, states.update(metrics_states=fresh))

    # Looking at a model

    def check(self, x: PyTree = None, y: PyTree = None, sample_weight: PyTree = None) -> None:
        """Check that data, module, losses and metrics fit together, without computing or compiling anything.

        A model that can be trained, since it has an optimizer or a `train_step` of its own, is checked for that too:
        dropout, for one, asks for a key in training only.

        **Arguments:**

        - `x`, `y`, `sample_weight`: a batch: arrays, or `jax.ShapeDtypeStruct`s.

        **Raises:** [`treegy.InjectionError`][], [`treegy.ContractError`][], and what the steps raise.
        """
        examples, one = as_shapes(x, y, sample_weight), first_of(self)
        if can_test(self):
            model = one if self.initialized else eqx.filter_eval_shape(prepared, one, "test", examples)
            eqx.filter_eval_shape(test_logs, model, examples)
        # Training sees more: modules aren't in inference mode, and there is an optimizer.
        if trains(self):
            model = eqx.filter_eval_shape(prepared, one, "train", examples)
            eqx.filter_eval_shape(train_logs, model, examples)

    def summary(self, x: PyTree = None, y: PyTree = None, *, depth: int = 2) -> Summary:
        """Return a table of the layers, their outputs and parameters, and of what every loss and metric reads.

        Nothing is computed. Print it, or show it in a notebook.

        **Arguments:**

        - `x`, `y`: a batch, or shapes: arrays or `jax.ShapeDtypeStruct`s. Without `x` there are no output shapes.
        - `depth`: how deep in the module rows go.
        """
        return summarize(self, x, y, _checks.positive("depth", depth))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and all other states into a directory of this machine, atomically.

        At every moment there is either the old or the new model, also where several threads or processes save into
        one place. What isn't an array, such as activation functions, is not written: `load` takes a model built the
        same way. Of several processes that share the model, all call this, and the first one writes.

        **Raises:** [`treegy.CheckpointError`][] where the directory holds checkpoints or other files, or can't be
        written into.
        """
        refuse_traced("save", self, "it outside")
        save_tree(_saved(self.states), path, self.initialized, self.strategy)

    def load(
        self: M,
        path: str | os.PathLike[str],
        *,
        step: int | None = None,
        only: str | None = None,
        averaged: bool = True,
    ) -> M:
        """Return the model with the states that were saved in a directory, on the devices where the model's own are.

        Every byte is compared with what was written. A damaged checkpoint is passed over for the one before it, with a
        warning that names it, unless `step` asks for it. A learning rate that was loaded and isn't the one that the
        model was built with is warned of.

        **Arguments:**

        - `path`: the directory of `save`, or of [`treegy.callbacks.ModelCheckpoint`][].
        - `step`: which of its checkpoints; by default the newest, or the best where the best were kept.
        - `only`: `"module"` takes the module and its `eqx.nn.State` alone, for predicting and for another optimizer:
            all else of the model stays, its optimizer's states too. Which parts of it are trained doesn't matter.
        - `averaged`: whether parameters are the averaged ones in a checkpoint of a run that was validated with them, as
            [`treegy.callbacks.EMA`][] does: what was measured. Else those with which training continues.

        **Raises:** [`treegy.CheckpointError`][] if they belong to another architecture, with the paths that differ;
        or if they are damaged.
        """
        tell_if_discarded(self, "model.load(...)", "model = model.load(...)")
        step = None if step is None else _checks.positive("step", step, zero=True)
        return _load.loaded(self, path, step, only, _checks.flag("averaged", averaged))

    def export(
        self,
        path: str | os.PathLike[str],
        x: PyTree,
        *,
        varying: AxisNames = ("batch",),
        platforms: Platforms = ("cpu", "cuda", "tpu"),
    ) -> None:
        """Write what the model predicts into a directory, as a program that runs without the model.

        [`treegy.load_exported`][] reads it. Where there is no treegy, the `load.py` in the directory does, with jax,
        numpy and flatbuffers alone. The program is that of `predict_on_batch`, in inference mode, for one device; the
        parameters are beside it. An export that is there already is replaced. Needs flatbuffers:
        `pip install "treegy[export]"`.

        **Arguments:**

        - `path`: the directory.
        - `x`: a batch, or shapes: arrays or `jax.ShapeDtypeStruct`s, in tuples, lists and dicts. Their structure and
            dtypes are those that the program takes, and so are all lengths but those that vary.
        - `varying`: along which axes arrays may have any length from 1: `batch` is the first of every input, others are
            called as in the annotations of the module's inputs. An axis of a `jax.ShapeDtypeStruct` that is a symbol
            (`jax.export.symbolic_shape`) varies, too.
        - `platforms`: on which it can run, whatever this machine has: of `"cpu"`, `"cuda"`, `"rocm"` and `"tpu"`.

        **Raises:** `ValueError` if the program can't be for all these lengths or platforms, with those for which it
        can; [`treegy.ContractError`][] for inputs or predictions in other containers;
        [`treegy.CheckpointError`][] where the directory holds other files, or can't be written into.

        !!! example

            ```python
            import equinox as eqx
            import jax
            import numpy as np
            import treegy as tg
            from tempfile import mkdtemp

            model = tg.Model(eqx.nn.MLP(8, 2, 16, 1, key=jax.random.key(0)))
            x = np.ones((4, 8), "float32")
            path = mkdtemp() + "/exported"
            model.export(path, x)

            exported = tg.load_exported(path)
            assert exported(x[:3]).shape == (3, 2)
            ```
        """
        refuse_traced("export", self, "it outside")
        refuse_stack(self, "`export`")
        export(self, path, x, varying, platforms)

    def distributed(self: M, strategy: AnyStrategy) -> M:
        """Return the model on several devices: all that is done with it is done by all of them, with the same results.

        Batches are split over the devices, whatever their sizes are, and arrays are where the strategy wants them.

        **Arguments:**

        - `strategy`: [`treegy.parallel.DataParallel`][], [`treegy.parallel.FSDP`][] or [`treegy.parallel.Layout`][];
            `None` brings it back to one device.

        **Raises:** `ValueError` if the strategy doesn't fit the module.
        """
        tell_if_discarded(self, "model.distributed(...)", "model = model.distributed(...)")
        if strategy is not None and not isinstance(strategy, Strategy):
            raise TypeError(f"`strategy` is {describe(strategy)}; one of `tg.parallel` is expected, or `None`.")
        if strategy is not None and size_of_stack(self) is not None:
            raise ValueError("a stack of models can't be distributed: `tg.unstack` gives its models.")
        return distributed(self, strategy)

    def averaged(self: M) -> M:
        """Return the model with the averaged parameters that the optimizer of [`treegy.with_ema`][] keeps.

        With an optimizer such as `optax.contrib.schedule_free_adamw`, which is evaluated at other parameters than it
        trains, the model with those, which then are the `module`'s own.

        **Raises:** `ValueError` if the optimizer keeps no average; a model that isn't initialized has none yet.
        """
        if size_of_stack(self) is not None:
            return over_models(lambda one: one.averaged(), self)
        return with_states(self, averaged_states(self.states))

    # Steps: every one of them can be overridden, asking for its arguments by name

    def call_pred_step(self, *args: Any, **kwargs: Any) -> tuple[PyTree, States]:
        """What `predict` calls: `pred_step`."""
        return self.pred_step(*args, **kwargs)

    def call_test_step(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any], States]:
        """What `evaluate` calls: `test_step`."""
        return self.test_step(*args, **kwargs)

    def call_train_step(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], States]:
        """What `fit` calls: `train_step`."""
        return self.train_step(*args, **kwargs)

    def call_init_step(self, *args: Any, **kwargs: Any) -> States:
        """What `init` calls: `init_step`."""
        return self.init_step(*args, **kwargs)

    def call_summary_step(self, *args: Any, **kwargs: Any) -> list[Any]:
        """What `summary` calls: `summary_step`."""
        return self.summary_step(*args, **kwargs)

    def pred_step(self, *args: Any, **kwargs: Any) -> tuple[PyTree, States]:
        """`(x, states, initializing, training)` → `(y_pred, states)`: calls the module."""
        return _defaults.pred_step(self, *args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any], States]:
        """`(x, y_true, sample_weight, class_weight, states, initializing, training)` → `(loss, logs, states)`.

        Calls `pred_step`, then losses and metrics. Logs are of this batch: numbers, which are averaged over examples,
        or [`treegy.Accumulator`][]s, which are merged.
        """
        return _defaults.test_step(self, *args, **kwargs)

    def grad_step(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any], States, PyTree]:
        """As `test_step` → `(loss, logs, states, grads)`: differentiates `test_step` by `states.net_params`."""
        return _grad_step.grad_step(self, *args, **kwargs)

    def train_step(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], States]:
        """As `test_step` → `(logs, states)`: calls `grad_step`, then the optimizer."""
        return _defaults.train_step(self, *args, **kwargs)

    def init_step(self, *args: Any, **kwargs: Any) -> States:
        """`(x, y_true, sample_weight, class_weight, states)` → `states`: calls `train_step` while initializing."""
        return _defaults.init_step(self, *args, **kwargs)

    def summary_step(self, *args: Any, **kwargs: Any) -> list[Any]:
        """`(x, states)` → the rows of the summary."""
        return summary_step(self, *args, **kwargs)

    def states_step(self) -> States:
        """Return the `States` to start from. Override it to add fields: `super().states_step().update(...)`."""
        net_params, net_states = partitioned(self.module, self.trainable)
        return States(
            rng=self.seed,
            step=jnp.zeros((), jnp.int32),
            net_params=net_params,
            net_states=net_states,
            state=self.state,
            metrics_states=None,
            optimizer_states=None,
            **first_scale(self.dtype_policy),
        )

    def jit_step(self, step: Function) -> Function:
        """Compile a step, or a chunk of them: a function of PyTrees. `eqx.filter_jit` by default."""
        return eqx.filter_jit(step)


install(Model, default=True)
setattr(Model.jit_step, "is_default_jit", True)  # noqa: B010


def _saved(states: States) -> dict[str, PyTree]:
    saved = {n: v for n, v in states.items() if n != "metrics_states"}
    evaluated = evaluated_parameters(states)
    return saved if evaluated is None else {**saved, _load.EVALUATED: evaluated}
