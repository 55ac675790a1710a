"""Strategies: which devices there are, and which part of every array and of every batch each of them has.

Nothing here knows of models. `_steps/_homes.py` says where the arrays of a model are.
"""
