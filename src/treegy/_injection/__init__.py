"""What a function asks for by the names of its arguments, where in a value that is, and what its annotations demand.

What can be asked for is decided above: by `_terms` for losses and metrics, by `_steps` for modules and steps.
"""
