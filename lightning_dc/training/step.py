"""Quantities of one training step, computed when first asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cached_property

import torch
from torch import Tensor

from lightning_dc.augmentation import Augmentation
from lightning_dc.batch import Batch
from lightning_dc.encoders import Corruption, Encoded, LayerReconstruction, as_autoencoder
from lightning_dc.errors import InputError
from lightning_dc.heads import centroid_head
from lightning_dc.model import ClusteringModel
from lightning_dc.randomness import StepRandom
from lightning_dc.training.phase import Phase
from lightning_dc.training.quantity import Quantity, quantity
from lightning_dc.training.state import RunState


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
    ) -> None:
        model.check_samples(batch.x)
        self.batch = batch
        self._model = model
        self._phase = phase
        self._state = state
        self._random = random
        self._augmentation = augmentation

    @classmethod
    def quantities(cls) -> dict[str, Quantity]:
        """Return all quantities by name."""
        members = (vars(base) for base in reversed(cls.__mro__))
        return {name: value for own in members for name, value in own.items() if isinstance(value, Quantity)}

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return the named quantities."""
        return {name: getattr(self, name) for name in names}

    @quantity()
    def x(self) -> Tensor:
        """Samples to be reconstructed, (B, *input_shape)."""
        return self._view

    @quantity(need=lambda model: as_autoencoder(model.network))
    def x_hat(self) -> Tensor:
        """Reconstruction of ``x``, same shape."""
        return as_autoencoder(self._model.network).decode(self._encoded.features, self._corruption("decoder"))

    @quantity()
    def z(self) -> Tensor:
        """Embedding, (B, D)."""
        return self._encoded.z

    @quantity(need=lambda model: centroid_head(model.head))
    def centroids(self) -> Tensor:
        """Centroids of the head, (K, D); they have a gradient only if the phase trains the head."""
        centroids = centroid_head(self._model.head).centroids
        return centroids if "head" in self._phase.trainable else centroids.detach()

    @quantity()
    def q(self) -> Tensor:
        """Soft assignments, (B, K)."""
        return self._model.head(self.z)  # type: ignore[no-any-return]

    @quantity(is_refreshed=True)
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
        return self._model.predict_task(self._encoded.features)

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

    @cached_property
    def _view(self) -> Tensor:
        """Samples as the encoder sees them: augmented if the phase augments, (B, *input_shape)."""
        if self._augmentation is None or not self._phase.config.augment:
            return self.batch.x
        return self._augmentation(self.batch.x, self._random.scope("view"))

    @cached_property
    def _encoded(self) -> Encoded:
        noisy = self._random.dropout("input dropout", self._view, self._phase.config.input_dropout)
        with torch.set_grad_enabled(torch.is_grad_enabled() and "encoder" in self._phase.trainable):
            return self._model.encode(noisy, self._corruption("encoder"))

    def _corruption(self, name: str) -> Corruption | None:
        """Return the dropout on hidden activations of one pass through a part of the network; None for no dropout."""
        p, numbers = self._phase.config.dropout, itertools.count()
        if p == 0.0:
            return None
        return lambda hidden: self._random.dropout(f"{name} dropout {next(numbers)}", hidden, p)


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
        return as_autoencoder(self._model.network).reconstruct_layer(self._view, self._phase.layer, corrupt)


def _unchanged(hidden: Tensor) -> Tensor:
    return hidden
