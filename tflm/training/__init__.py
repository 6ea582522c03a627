"""Losses, schedules, checkpoints, averaging, progress: what `fit` takes from outside a model."""
