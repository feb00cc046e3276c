"""The command line: ``lightning-dc`` or ``python -m lightning_dc``."""

import os
import sys

from lightning_dc.threads import choose_waiting

_WORKING = ("fit", "validate", "test", "predict", "select")


def main() -> None:
    """Choose how threads wait, and then import torch and all that needs it."""
    warning = choose_waiting()
    if warning is not None and sys.argv[1:2] and sys.argv[1] in _WORKING and "--help" not in sys.argv:
        sys.stderr.write(f"lightning-dc: {warning}\n")
    try:
        from lightning_dc.cli import main as run

        run()
        sys.stdout.flush()
    except KeyboardInterrupt:  # during a fit, the run itself answers to it
        sys.stderr.write("\nlightning-dc: stopped\n")
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of the output has enough, as in "lightning-dc configs | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
