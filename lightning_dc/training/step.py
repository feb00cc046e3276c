"""Quantities of one training step, computed when first asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lightning_dc.augmentation import Augmentation
from lightning_dc.batch import Batch
from lightning_dc.encoders import Corruption, Encoded, LayerReconstruction, as_autoencoder
from lightning_dc.errors import InputError
from lightning_dc.heads import centroid_head, soft_head
from lightning_dc.model import ClusteringModel
from lightning_dc.randomness import StepRandom
from lightning_dc.training.phase import Phase
from lightning_dc.training.quantity import Quantity, quantity
from lightning_dc.training.state import RunState

SAMPLE = "sample"
"""The view of a sample that every step has; a quantity whose name ends with another view is one of that view."""
_FURTHER_VIEWS = ("view", "neighbour")


def _soft_head(model: ClusteringModel) -> object:
    return soft_head(model.head)


class TrainingStep:
    """Quantities that the loss terms of a step may read; each quantity is a property of this class.

    A quantity that no active term reads is never computed: for example, clustering without a reconstruction term does
    not run the decoder. An encoder that the phase does not train runs without gradients.

    Args:
        model: the model.
        batch: the batch of this process.
        phase: the current phase.
        state: state of the run.
        random: random numbers of the step.
        augmentation: random transform of training batches; None for none.
        samples: function that returns training samples by their numbers, for neighbours; None for none.
        wanted: names of the quantities that will be read, so that all views are encoded in one pass.

    Raises:
        InputError: the samples have another shape than the model expects.
    """

    def __init__(
        self,
        model: ClusteringModel,
        batch: Batch,
        phase: Phase,
        state: RunState,
        random: StepRandom,
        augmentation: Augmentation | None = None,
        samples: Callable[[Tensor], Tensor] | None = None,
        wanted: Collection[str] = (),
    ) -> None:
        model.check_samples(batch.x)
        self.batch = batch
        self._model = model
        self._phase = phase
        self._state = state
        self._random = random
        self._augmentation = augmentation
        self._samples = samples
        self._inputs_of: dict[str, Tensor] = {}
        self._views = [SAMPLE, *(name for name in _FURTHER_VIEWS if any(one.endswith(f"_{name}") for one in wanted))]

    @classmethod
    def quantities(cls) -> dict[str, Quantity]:
        """Return all quantities by name."""
        members = (vars(base) for base in reversed(cls.__mro__))
        return {name: value for own in members for name, value in own.items() if isinstance(value, Quantity)}

    def read(self, names: Iterable[str]) -> dict[str, Any]:
        """Return the named quantities."""
        return {name: getattr(self, name) for name in names}

    @quantity()
    def x(self) -> Tensor:
        """Samples to be reconstructed, (B, *input_shape)."""
        return self._inputs(SAMPLE)

    @quantity(need=lambda model: as_autoencoder(model.network))
    def x_hat(self) -> Tensor:
        """Reconstruction of ``x``, same shape."""
        return as_autoencoder(self._model.network).decode(self._encoded[SAMPLE].features, self._corruption("decoder"))

    @quantity()
    def z(self) -> Tensor:
        """Embedding, (B, D)."""
        return self._encoded[SAMPLE].z

    @quantity()
    def z_view(self) -> Tensor:
        """Embedding of a second view of each sample, which is augmented independently, (B, D)."""
        return self._encoded["view"].z

    @quantity(is_refreshed=True)
    def z_neighbour(self) -> Tensor:
        """Embedding of a neighbour of each sample, which is drawn from the nearest ones and augmented, (B, D)."""
        return self._encoded["neighbour"].z

    @quantity(need=lambda model: centroid_head(model.head), of_clusters=True)
    def centroids(self) -> Tensor:
        """Centroids of the head, (K, D); they have a gradient only if the phase trains the head."""
        centroids = centroid_head(self._model.head).centroids
        return centroids if "head" in self._phase.trainable else centroids.detach()

    @quantity(need=_soft_head, of_clusters=True)
    def q(self) -> Tensor:
        """Soft assignments, (B, K)."""
        return self._model.head(self.z)  # type: ignore[no-any-return]

    @quantity(need=_soft_head, of_clusters=True)
    def log_q(self) -> Sequence[Tensor]:
        """Logarithms of the soft assignments, (B, K) for each head."""
        return self._model.head.log_assignments(self.z)

    @quantity(need=_soft_head, of_clusters=True)
    def log_q_view(self) -> Sequence[Tensor]:
        """``log_q`` of the second view, (B, K) for each head."""
        return self._model.head.log_assignments(self.z_view)

    @quantity(need=_soft_head, is_refreshed=True, of_clusters=True)
    def log_q_neighbour(self) -> Sequence[Tensor]:
        """``log_q`` of the neighbour, (B, K) for each head."""
        return self._model.head.log_assignments(self.z_neighbour)

    @quantity(is_refreshed=True)
    def similarity(self) -> Tensor:
        """Similarity of each sample and its neighbour, in (0, 1], (B,)."""
        return self._neighbour[1]

    @quantity(is_refreshed=True, of_clusters=True)
    def p(self) -> Tensor:
        """Target distribution, (B, K), without a gradient."""
        if self._state.target_distribution is None:
            raise InputError(
                f"phase {self._phase.name!r} needs a target distribution; add a TargetDistributionRefresh callback"
            )
        return self._state.target_distribution.rows(self.batch.index, self.q)

    @quantity(need=ClusteringModel.require_task_head)
    def output(self) -> Tensor:
        """Output of the task head, (B, C), (B, T) or, for survival, (B, 1)."""
        return self._model.predict_task(self._encoded[SAMPLE].features)

    @quantity()
    def targets(self) -> Tensor:
        """Targets of the supervised task, as in :class:`~lightning_dc.batch.Batch`."""
        if self.batch.targets is None:
            raise InputError(
                "a loss reads targets, but the batches have none; give a DataModule with a target, such as "
                "SyntheticDataModule(target='class')"
            )
        return self.batch.targets

    @quantity(need=lambda model: model.network.input_layer)
    def input_weight(self) -> Tensor:
        """Weights of the encoder's input layer, (H, F)."""
        return self._model.network.input_layer.weight

    def _inputs(self, view: str) -> Tensor:
        """Samples as the encoder sees them in a view: augmented if the phase augments, (B, *input_shape)."""
        if view not in self._inputs_of:
            x = self._neighbour[0] if view == "neighbour" else self.batch.x
            if self._augmentation is not None and self._phase.config.augment:
                x = self._augmentation(x, self._random.scope(_draw("view", view)))
            self._inputs_of[view] = x
        return self._inputs_of[view]

    @cached_property
    def _neighbour(self) -> tuple[Tensor, Tensor]:
        """A neighbour of each sample, (B, *input_shape), and its similarity, (B,)."""
        neighbours = self._state.neighbours
        if neighbours is None or self._samples is None:
            raise InputError(f"phase {self._phase.name!r} needs neighbours; add a NeighbourRefresh callback")
        place = (self._random.uniform("neighbour", dtype=torch.float64) * neighbours.numbers.shape[1]).long()
        chosen = self.batch.index, place
        return self._samples(neighbours.numbers[chosen].long()), neighbours.similarity[chosen]

    @cached_property
    def _encoded(self) -> dict[str, Encoded]:
        """Outputs of the network for each view, from one pass."""
        p = self._phase.config.input_dropout
        noisy = [self._random.dropout(_draw("input dropout", view), self._inputs(view), p) for view in self._views]
        with torch.set_grad_enabled(torch.is_grad_enabled() and "encoder" in self._phase.trainable):
            encoded = self._model.encode(_joined(noisy), self._corruption("encoder", self._views))
        parts = zip(*(part.tensor_split(len(self._views)) for part in encoded), strict=True)
        return {view: Encoded(*part) for view, part in zip(self._views, parts, strict=True)}

    def _corruption(self, name: str, views: Sequence[str] = (SAMPLE,)) -> Corruption | None:
        """Return the dropout on hidden activations of one pass through a part of the network; None for no dropout."""
        p, numbers = self._phase.config.dropout, itertools.count()
        if p == 0.0:
            return None

        def corrupt(hidden: Tensor) -> Tensor:
            draw = f"{name} dropout {next(numbers)}"
            parts = zip(views, hidden.tensor_split(len(views)), strict=True)
            return _joined([self._random.dropout(_draw(draw, view), part, p) for view, part in parts])

        return corrupt


class LayerStep(TrainingStep):
    """A step of greedy layer-wise pretraining: ``x`` and ``x_hat`` are input and reconstruction of one layer."""

    @quantity()
    def x(self) -> Tensor:
        """Clean input of the layer, (B, width)."""
        return self._layer.x

    @quantity(need=lambda model: as_autoencoder(model.network))
    def x_hat(self) -> Tensor:
        """Reconstruction of ``x`` by the layer and its mirror, same shape."""
        return self._layer.x_hat

    @cached_property
    def _layer(self) -> LayerReconstruction:
        assert self._phase.layer is not None
        corrupt = self._corruption("layer") or _unchanged
        return as_autoencoder(self._model.network).reconstruct_layer(self._inputs(SAMPLE), self._phase.layer, corrupt)


def _draw(name: str, view: str) -> str:
    """Return the name of a random draw in a view; those of the sample itself have no prefix."""
    return name if view == SAMPLE else f"{view} {name}"


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _unchanged(hidden: Tensor) -> Tensor:
    return hidden
