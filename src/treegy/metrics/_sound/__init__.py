"""Metrics of sounds: how far those that are predicted are from those that are meant. A value per sound."""
