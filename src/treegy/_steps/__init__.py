"""One step: the states, calling the module, the steps that users override and their defaults, running one step.

Many steps in one compiled call, and all side effects, are in `_loop`.
"""
