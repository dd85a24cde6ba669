"""Promotion of a run to the model registry, and what the registered model is."""
