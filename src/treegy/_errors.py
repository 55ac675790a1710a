"""The errors that treegy raises about how it is used, and its warnings.

All errors about arguments are `ValueError`s or `TypeError`s, so that code which does not know treegy catches them.
"""

# Data may have thousands of parts with names of any length: what is shown of them is short, and so is an error.
_BEFORE, _AFTER = 1200, 450


class _Short(Exception):
    """An error whose message has an end, whatever it is about."""

    def __init__(self, message: str = ""):
        if len(message) > _BEFORE + _AFTER:
            message = f"{message[:_BEFORE]} ...\n... {message[-_AFTER:]}"
        super().__init__(message)


def is_own(error: BaseException) -> bool:
    """Whether an error is of a class of treegy's."""
    return isinstance(error, _Short)


class MissingModule(_Short, ValueError):
    """A step needs a network and the model has none."""


class MissingOptimizer(_Short, ValueError):
    """A training step was asked of a model without an optimizer."""


class MissingMethod(_Short, ValueError):
    """A step has nothing to run: neither a default that applies nor an override."""


class InjectionError(_Short, TypeError):
    """A function asks for a value that isn't there, or can't take what it is given."""


class ContractError(_Short, TypeError):
    """A value doesn't fit the annotation, shape or dtype that was agreed on."""


class DataError(_Short, ValueError):
    """What was passed as data (`x`, `y`, weights) can't be trained on as it is."""


class CheckpointError(_Short, ValueError):
    """A saved model can't be read, is damaged, or belongs to another architecture."""


class ProcessError(_Short, RuntimeError):
    """Processes that train a model together don't fit together, or one of them is gone."""


class RetraceWarning(UserWarning):
    """Steps are compiled again and again, which takes seconds each time, and could be avoided."""
