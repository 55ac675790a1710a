"""Losses: functions that give a value per example, and classes that make them injectable."""

from ._loss import Loss as Loss
