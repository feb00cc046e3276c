"""Lightning's counts of epochs and batches in a checkpoint, for a run that goes on within an epoch."""

from __future__ import annotations

from typing import Any

_STATES = ("total", "current")


def repair_progress(checkpoint: dict[str, Any], n_batches: float, n_accumulated: int = 1) -> None:
    """Make a checkpoint of an epoch that is not over resume within this epoch, with its own order of samples.

    Two states of Lightning 2.6 do not: a fit that is stopped by ``max_steps`` or ``max_time`` counts its last epoch as
    processed, and a run that has been resumed from a checkpoint of the last batch of an epoch counts the next epoch as
    not begun. Both are written as Lightning writes a checkpoint after a batch. A checkpoint between the batches whose
    gradients one optimizer step adds up has no gradients, so the run goes on with the first batch of this step.

    Args:
        checkpoint: the checkpoint, with the states of Lightning's loops.
        n_batches: number of batches in an epoch; infinite where none has been trained.
        n_accumulated: number of batches whose gradients an optimizer step adds up.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop", {})
    if not loop:
        return
    epoch, batch = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    n_ready = batch["current"]["ready"]
    if not 0 < n_ready < n_batches:
        return
    n_over = _epochs_that_are_over(loop)
    for state in _STATES:
        epoch[state].update(ready=n_over + 1, started=n_over + 1, processed=n_over, completed=n_over)
    if batch["current"]["completed"] == n_ready:  # saved after the epoch's end, not after the batch
        for state in _STATES:
            batch[state]["completed"] -= 1
        loop["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1
    batch["is_last_batch"] = False
    _go_back(loop, n_ready % n_accumulated)


def _go_back(loop: dict[str, Any], n_batches: int) -> None:
    """Go back by some batches of the present epoch."""
    if n_batches == 0:
        return
    batch = loop["epoch_loop.batch_progress"]
    for state in _STATES:
        for count in batch[state]:
            batch[state][count] -= n_batches
    if batch["current"]["ready"] == 0:  # no batch has ended in this epoch
        for state in _STATES:
            batch[state]["completed"] += 1
    for loader in loop["state_dict"].get("combined_loader", []):
        if isinstance(loader, dict) and "position" in loader:
            loader["position"] -= n_batches


def _epochs_that_are_over(loop: dict[str, Any]) -> int:
    """Return the number of the present epoch, from 0, which a loader of this project knows best."""
    loaders = loop["state_dict"].get("combined_loader") or [{}]
    counts = loop["epoch_progress"]["current"]
    number: int = loaders[0].get("epoch", counts["completed"]) if isinstance(loaders[0], dict) else counts["completed"]
    return number
