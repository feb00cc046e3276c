"""Check of the entries of a checkpoint, so that nothing later meets a missing or strange one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from lightning_dc.errors import InputError

CHECKPOINT_KEY = "lightning_dc"
"""Key of the entry that lightning_dc adds to a checkpoint."""

_Check = Callable[[Any], bool]


def _any(value: Any) -> bool:
    return True


def _is(*kinds: type) -> _Check:
    return lambda value: isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def _many(kind: _Check) -> _Check:
    return lambda value: isinstance(value, Sequence) and not isinstance(value, str) and all(map(kind, value))


def _named(kind: _Check) -> _Check:
    return lambda value: (
        isinstance(value, Mapping) and all(isinstance(name, str) and kind(item) for name, item in value.items())
    )


_OPTIMIZER = {"state": _is(Mapping), "param_groups": _many(_named(_any))}
_LOOP = dict.fromkeys(  # what Lightning 2.6 goes on from
    ("state_dict", "epoch_loop.state_dict", "epoch_loop.batch_progress", "epoch_progress"), _named(_any)
)
_TRAINING = {  # entries of Lightning; a checkpoint of weights alone lacks some
    "epoch": _is(int),
    "global_step": _is(int),
    "pytorch-lightning_version": _is(str),
    "loops": lambda loops: _named(_is(Mapping))(loops) and not _wrong(loops.get("fit_loop", {}), _LOOP, {}),
    "callbacks": _named(_any),
    "optimizer_states": _many(lambda state: _is(Mapping)(state) and not _wrong(state, _OPTIMIZER, {})),
    "lr_schedulers": _many(_any),
}
_REQUIRED = {"state_dict": _named(_is(Tensor)), "hyper_parameters": _named(_any), CHECKPOINT_KEY: _named(_any)}
_OWN = {
    "method": _is(str),
    "input_shape": _many(_is(int)),
    "n_clusters": _is(int),
    "phases": _many(_is(str)),
    "state": _named(_any),
}
_OWN_OPTIONAL = {"preprocessing": _named(_any), "precision": _is(str), "optimizers": _many(_is(str))}
_P = {"frequencies": _is(Tensor), "table": _is(Tensor, type(None))}
_ASSIGNMENTS = {"step": _is(int), "labels": _is(Tensor), "changed": _is(float, type(None))}
_NEIGHBOURS = {"numbers": _is(Tensor), "similarity": _is(Tensor), "changed": _is(float, type(None))}
_STATE = {
    "seed": _is(int),
    "phase_index": _is(int),
    "phase_start_step": _is(int),
    "seconds": _named(_is(int, float)),
    "target_distribution": lambda value: value is None or _has(value, _P),
    "assignments": lambda value: value is None or _has(value, _ASSIGNMENTS),
    "centroids_set_at": _is(int),
}
_WINDOW = {"total": _is(Tensor), "n_steps": _is(int), "best": _is(float, type(None)), "n_calm": _is(int)}
_STATE_OPTIONAL = {
    "neighbours": lambda value: value is None or _has(value, _NEIGHBOURS),
    "loss_window": lambda value: _has(value, _WINDOW),
}


def check_format(checkpoint: Any, named: str) -> None:
    """Check that a checkpoint has the entries of lightning_dc, each of the right type.

    Args:
        checkpoint: what was read from the file.
        named: how messages name the file, such as ``ckpt_path='last.ckpt'``.

    Raises:
        InputError: it is a file of another project, or an entry is missing or of another type.
    """
    if not isinstance(checkpoint, Mapping) or CHECKPOINT_KEY not in checkpoint:
        raise InputError(
            f"{named} is not a checkpoint of lightning_dc, but {_what_it_is(checkpoint)}; give one that lightning-dc "
            "fit has written, such as runs/NAME/version_0/checkpoints/last.ckpt"
        )
    own = checkpoint[CHECKPOINT_KEY]
    wrong = (
        _wrong(checkpoint, _REQUIRED, _TRAINING)
        or [f"{CHECKPOINT_KEY}.{name}" for name in _wrong(own, _OWN, _OWN_OPTIONAL)]
        or [f"{CHECKPOINT_KEY}.state.{name}" for name in _wrong_state(own)]
    )
    if wrong:
        raise InputError(
            f"{named} can't be used: its entry {wrong[0]} is missing or not what lightning_dc writes; the file is "
            "damaged or of another version, so give another checkpoint"
        )


def _wrong(entries: Mapping[str, Any], required: Mapping[str, _Check], optional: Mapping[str, _Check]) -> list[str]:
    """Return the names of entries that are missing or wrong."""
    present = {name: check for name, check in {**required, **optional}.items() if name in entries}
    missing = [name for name in required if name not in entries]
    return missing + [name for name, check in present.items() if not check(entries[name])]


def _wrong_state(own: Mapping[str, Any]) -> list[str]:
    state = own["state"]
    unknown = sorted(map(str, state.keys() - _STATE.keys() - _STATE_OPTIONAL.keys()))
    wrong = unknown + _wrong(state, _STATE, _STATE_OPTIONAL)
    return wrong or ([] if 0 <= state["phase_index"] <= len(own["phases"]) else ["phase_index"])


def _has(value: Any, entries: Mapping[str, _Check]) -> bool:
    """Return whether a value is a mapping with certain entries and no others."""
    return isinstance(value, Mapping) and value.keys() == entries.keys() and not _wrong(value, entries, {})


def _what_it_is(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    if "pytorch-lightning_version" in content or "hyper_parameters" in content:
        return "one of another Lightning project"
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return "weights alone"
    return f"a mapping with {', '.join(map(str, list(content)[:5])) or 'nothing in it'}"
