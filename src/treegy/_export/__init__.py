"""Trained models as programs: `Model.export` writes what a model predicts, and others run it without the model."""
