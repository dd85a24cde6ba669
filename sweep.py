"""Front door of a sweep: ``python sweep.py [EXPERIMENT.yaml] [key=value ...]``."""

from mobilenet_chest.cli import main

if __name__ == "__main__":
    main("sweep")
