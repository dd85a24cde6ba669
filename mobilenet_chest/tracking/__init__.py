"""Writing runs to MLflow, and reading them."""
