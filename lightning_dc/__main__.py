"""``python -m lightning_dc``."""

from lightning_dc.cli import main

if __name__ == "__main__":
    main()
