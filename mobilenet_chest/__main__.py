"""``python -m mobilenet_chest``: the same as the command ``mobilenet-chest``."""

from mobilenet_chest.cli import main

if __name__ == "__main__":
    main()
