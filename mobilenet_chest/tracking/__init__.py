"""Writing runs to MLflow."""

from mobilenet_chest.tracking.tracker import MlflowTracker, NullTracker, Tracker

__all__ = ["MlflowTracker", "NullTracker", "Tracker"]
