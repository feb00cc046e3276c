"""The command line: ``lightning-dc`` or ``python -m lightning_dc``."""

import sys

from lightning_dc.threads import choose_waiting


def main() -> None:
    """Choose how threads wait, and then import torch and all that needs it."""
    warning = choose_waiting()
    if warning is not None:
        sys.stderr.write(f"lightning-dc: {warning}\n")
    from lightning_dc.cli import main as run

    run()


if __name__ == "__main__":
    main()
