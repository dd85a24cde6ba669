"""Front door of a single training: ``python train.py EXPERIMENT.yaml [key=value ...]``."""

from mobilenet_chest.cli import main

if __name__ == "__main__":
    main("train")
