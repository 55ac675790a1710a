"""`FitArguments`: what `fit` was called with, checked."""

from typing import Any, Literal, NamedTuple

from .. import _checks
from .._data._as_source import as_source, as_validation_source, split
from .._data._source import Source, check_steps
from .._terms._class_weight import as_used_table
from .._types import PyTree, Verbose
from ._callback_list import Callbacks
from ._chunk_length import steps_in_chunk
from ._every import ValidationFrequency


class FitArguments(NamedTuple):
    """What `fit` was called with."""

    source: Source
    validation: Source | None
    epochs: int
    initial_epoch: int
    steps_per_epoch: int | None
    """How many batches an epoch has; `None` for all that the data gives."""
    steps_per_execution: int | Literal["auto"]
    """How many steps at most one compiled call makes."""
    shuffle: bool
    validation_steps: int | None
    validation_freq: ValidationFrequency
    callbacks: Callbacks
    verbose: Verbose

    # What users pass may be anything; what is meant stands in the signature of `Model.fit`.
    @classmethod
    def checked(
        cls,
        loss: PyTree,
        x: PyTree,
        y: PyTree,
        *,
        batch_size: Any,
        epochs: Any,
        verbose: Any,
        callbacks: Any,
        validation_split: Any,
        validation_data: Any,
        shuffle: Any,
        class_weight: Any,
        sample_weight: Any,
        initial_epoch: Any,
        steps_per_epoch: Any,
        validation_steps: Any,
        validation_batch_size: Any,
        validation_freq: Any,
        drop_remainder: Any,
        steps_per_execution: Any,
    ) -> "FitArguments":
        """Check the arguments of [`treegy.Model.fit`][], and make sources of the data.

        **Arguments:**

        - `loss`: the model's, which class weights are for.

        **Raises:** `TypeError`, `ValueError` or [`treegy.DataError`][] that names the argument.
        """
        epochs = _checks.positive("epochs", epochs, zero=True)
        initial_epoch = _checks.positive("initial_epoch", initial_epoch, zero=True)
        batch = _checks.optional("batch_size", batch_size)
        fraction = _checks.fraction("validation_split", validation_split)
        remainder = not _checks.flag("drop_remainder", drop_remainder)
        shuffle = _checks.flag("shuffle", shuffle)
        validation_steps = _checks.optional("validation_steps", validation_steps)
        validation_batch = _checks.optional("validation_batch_size", validation_batch_size)
        every = ValidationFrequency("validation_freq", validation_freq)
        steps = _checks.optional("steps_per_epoch", steps_per_epoch)
        if steps_per_execution != "auto":
            steps_in_chunk("steps_per_execution", steps_per_execution, 1, None)

        table = as_used_table(loss, class_weight)
        source = as_source(
            x,
            y,
            sample_weight,
            batch_size=batch,
            class_weight=table,
            remainder=remainder,
            continues=steps is not None,
        )
        validation = as_validation_source(validation_data, validation_batch, batch)
        if fraction and validation is not None:
            raise ValueError("`validation_split` and `validation_data` are both given: which is to be validated on?")
        if fraction:
            source, validation = split(source, x, fraction, validation_batch)
        check_steps("steps_per_epoch", steps, source)
        if validation is not None:
            check_steps("validation_steps", validation_steps, validation)
        else:
            about = {
                "validation_steps": validation_steps is not None,
                "validation_batch_size": validation_batch is not None,
                "validation_freq": not every.is_default,
            }
            for name in (n for n, given in about.items() if given):
                raise ValueError(f"`{name}` is given, and there is no `validation_data` or `validation_split`.")
        return cls(
            source,
            validation,
            epochs,
            initial_epoch,
            steps,
            steps_per_execution,
            shuffle,
            validation_steps,
            every,
            callbacks,
            verbose,
        )
