"""Models and runs on disk: the manifest of `save`, checkpoints, the documents in them, locks, `load`.

When something is saved is decided by callbacks; what a run is made of is in `_loop/_backup.py`.
"""
