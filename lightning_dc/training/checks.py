"""Checks of a method before it is trained."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from lightning_dc.augmentation import Augmentation
from lightning_dc.errors import InputError
from lightning_dc.losses import LossTerm
from lightning_dc.model import ClusteringModel
from lightning_dc.training.phase import Phase
from lightning_dc.training.quantity import Quantity

Losses = Mapping[str, LossTerm]
Quantities = Mapping[str, Quantity]

_LOGGED = ("loss", "lr", "acc", "nmi", "ari", "entropy", "labels_changed")  # as train/NAME


def check_samples(data: object, model: ClusteringModel) -> None:
    """Check that the samples of a DataModule have the shape that the model takes, if the DataModule tells it.

    Raises:
        InputError: they have another one.
    """
    shape = getattr(data, "input_shape", None)
    if shape is not None and tuple(shape) != tuple(model.input_shape):
        raise InputError(
            f"samples of {type(data).__name__} have shape {tuple(shape)}, but {type(model.network).__name__} takes "
            f"{tuple(model.input_shape)}; give data or a network of the same shape"
        )


def join_losses(losses: Losses, extra_losses: Losses | None, argument: str = "extra_losses") -> dict[str, LossTerm]:
    """Return the loss terms of a method and those that the user adds by an argument.

    Raises:
        InputError: a name is taken or no identifier, or an added object is not a loss term.
    """
    extra = dict(extra_losses or {})
    taken = sorted(losses.keys() & extra.keys())
    if taken:
        raise InputError(f"{argument} names {taken}, which the method has itself; choose other names")
    for name, term in extra.items():
        if not name.isidentifier() or name in _LOGGED or hasattr(nn.ModuleDict, name):
            raise InputError(f"{argument} names {name!r}, which means something else; choose another name")
        if not isinstance(term, LossTerm):
            raise InputError(
                f"{argument}.{name} is a {type(term).__name__}; give a class that derives from lightning_dc.LossTerm"
            )
    return {**losses, **extra}


def check_phases(
    phases: Sequence[Phase],
    model: ClusteringModel,
    losses: Losses,
    extra: Iterable[str],
    augmentation: Augmentation | None,
    quantities: Quantities,
    method: str,
) -> tuple[Phase, ...]:
    """Check phases, and return those that are not empty.

    Args:
        phases: all phases of the method, in order.
        model: its model.
        losses: loss terms by name.
        extra: names of the losses that the user has added.
        augmentation: random transform of training batches; None for none.
        quantities: quantities of the method's steps by name.
        method: name of the method, for messages.

    Raises:
        InputError: a phase names a part or loss that the method does not have, a loss reads a quantity that it does not
            have, or a second view that is equal to the first, an added loss has no weight, or no phase has a step.
    """
    kept = tuple(phase for phase in phases if not phase.is_empty)
    for phase in kept:
        _check_weights(phase, losses)
        _check_parts(phase, model, method)
        for name in phase.config.loss_weights:
            _check_quantities(name, losses[name], model, quantities, method)
            _check_views(name, losses[name], phase, augmentation)
    unweighted = sorted(set(extra) - {name for phase in phases for name in phase.config.loss_weights})
    if unweighted:
        raise InputError(
            f"extra_losses names {unweighted[0]!r}, but no phase gives it a weight; add it to the loss_weights of one"
        )
    if not kept:
        raise InputError("every phase has length 0, so there is nothing to train; set max_epochs of one of them")
    return kept


def check_refreshed(
    phases: Iterable[Phase], losses: Losses, provided: frozenset[str], quantities: Quantities, method: str
) -> None:
    """Check that callbacks provide all quantities that follow from the whole training set, such as P.

    Args:
        phases: phases of the run.
        losses: loss terms by name.
        provided: names of the quantities that the callbacks of the run provide.
        quantities: quantities of the method's steps by name.
        method: name of the method, for messages.

    Raises:
        InputError: no callback provides a quantity that a loss reads, or a phase without clusters reads it.
    """
    for phase in phases:
        for name in phase.config.loss_weights:
            for read in losses[name].quantities:
                if not quantities[read].is_refreshed:
                    continue
                if quantities[read].of_clusters and not phase.has_clusters:
                    raise InputError(
                        f"loss {name!r} reads {read}, which phase {phase.name!r} does not have, as there are no "
                        "clusters yet; give it a weight in the loss_weights of a later phase"
                    )
                if read not in provided:
                    raise InputError(
                        f"loss {name!r} of phase {phase.name!r} reads {read}, which no callback of {method} computes; "
                        "use a method that has it, such as DeepClustering, or leave the loss out"
                    )


def _check_weights(phase: Phase, losses: Losses) -> None:
    unknown = set(phase.config.loss_weights) - set(losses)
    if unknown or (phase.trainable and not phase.config.loss_weights):
        raise InputError(
            f"loss_weights of phase {phase.name!r} name {sorted(unknown) or 'no term'}; choose from {', '.join(losses)}"
        )
    if phase.config.loss_weights and not phase.trainable:
        raise InputError(f"trainable of phase {phase.name!r} names no part, so nothing would train")


def _check_parts(phase: Phase, model: ClusteringModel, method: str) -> None:
    parts = model.parts()
    missing = set(phase.trainable) - parts.keys()
    if missing:
        raise InputError(
            f"trainable of phase {phase.name!r} names {sorted(missing)}, which {method} does not have; "
            f"choose from {', '.join(parts)}"
        )
    if phase.layer is None:
        return
    if phase.config.input_dropout > 0 or phase.config.trainable is not None:
        raise InputError("layerwise takes neither input_dropout nor trainable; its noise is dropout")
    if model.network.n_layers == 0:
        raise InputError(f"{type(model.network).__name__} has no layer-wise pretraining; set layerwise.max_epochs to 0")


def _check_views(name: str, term: LossTerm, phase: Phase, augmentation: Augmentation | None) -> None:
    config = phase.config
    is_random = (augmentation is not None and config.augment) or config.input_dropout > 0 or config.dropout > 0
    if not is_random and any(read.endswith("_view") for read in term.quantities):
        raise InputError(
            f"loss {name!r} of phase {phase.name!r} reads a second view of each sample, which would be equal to the "
            "first; give an augmentation, or input_dropout or dropout of the phase"
        )


def _check_quantities(name: str, term: LossTerm, model: ClusteringModel, known: Quantities, method: str) -> None:
    term.check_clusters(model.head.n_clusters)
    if type(term).forward is nn.Module.forward:
        raise InputError(f"loss {name!r} ({type(term).__name__}) has no forward; write one that names what it reads")
    unread = sorted(set(inspect.signature(type(term).forward).parameters) & known.keys() - set(term.quantities))
    if unread:
        raise InputError(
            f"loss {name!r} ({type(term).__name__}) has a default for {unread[0]!r}, which it would not be given; "
            "leave the default out"
        )
    for read in term.quantities:
        if read not in known:
            raise InputError(
                f"loss {name!r} ({type(term).__name__}) reads {read!r}, which no method has; "
                f"choose from {', '.join(known)}"
            )
        need = known[read].need
        if need is not None:
            try:
                need(model)
            except InputError as error:
                raise InputError(
                    f"loss {name!r} ({type(term).__name__}) reads {read!r}, which this {method} does not have: {error}"
                ) from error
