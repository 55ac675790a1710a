"""The errors that treegy raises about how it is used, and its warnings.

All errors are `ValueError`s or `TypeError`s, so that code which does not know treegy catches them.
"""


class MissingModule(ValueError):
    """A step needs a network and the model has none."""


class MissingOptimizer(ValueError):
    """A training step was asked of a model without an optimizer."""


class MissingMethod(ValueError):
    """A step has nothing to run: neither a default that applies nor an override."""


class InjectionError(TypeError):
    """A function asks for a value that isn't there, or can't take what it is given."""


class ContractError(TypeError):
    """A value doesn't fit the annotation, shape or dtype that was agreed on."""


class DataError(ValueError):
    """What was passed as data (`x`, `y`, weights) can't be trained on as it is."""


class CheckpointError(ValueError):
    """A saved model can't be read, is damaged, or belongs to another architecture."""


class RetraceWarning(UserWarning):
    """Steps are compiled again and again, which takes seconds each time, and could be avoided."""
