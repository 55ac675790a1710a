"""Metrics of survival: times until something happens, some of which are only known to be longer."""
