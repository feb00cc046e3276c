"""Quantities of one training step, computed when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_dc.batch import Batch
from lightning_dc.encoders import Autoencoder, Corruption, Encoded, LayerReconstruction, Representation
from lightning_dc.errors import InputError
from lightning_dc.randomness import StepRandom
from lightning_dc.training.centroids import centroid_head

if TYPE_CHECKING:
    from lightning_dc.training.module import ClusteringModule


class TrainingStep:
    """What the loss terms of a step may read.

    A quantity that no active term reads is never computed: clustering without a reconstruction term does not run the
    decoder. An encoder that the phase does not train is run without gradients.

    Args:
        module: the model.
        batch: the batch of this process.
        micro_batch: its number among the batches whose gradients are added up for one optimizer step.
    """

    def __init__(self, module: ClusteringModule, batch: Batch, micro_batch: int = 0) -> None:
        self.batch = batch
        self._module = module
        self._phase = module.phase
        self._random = StepRandom(module.seed, module.global_step, batch.size, batch.x.device, micro_batch)

    @cached_property
    def view(self) -> Tensor:
        """What the encoder sees, (B, *input_shape): the input, augmented if the phase augments."""
        augmentation = self._module.augmentation
        if augmentation is None or not self._phase.config.augment:
            return self.batch.x
        return augmentation(self.batch.x, self._random)

    @property
    def x(self) -> Tensor:
        """What is to be reconstructed, (B, ...)."""
        return self.view

    @cached_property
    def z(self) -> Tensor:
        """Embedding, (B, D)."""
        noisy = self._random.dropout(self.view, self._phase.config.input_dropout)
        with self._gradient("encoder"):
            return self._module.autoencoder.encode(noisy, self._corruption)

    @property
    def x_hat(self) -> Tensor:
        """Reconstruction of ``x``, same shape."""
        return self._autoencoder.decode(self.z, self._corruption)

    @property
    def output(self) -> Tensor:
        """What the task head predicts, (B, n_outputs)."""
        raise InputError(f"{type(self._module).__name__} has no task head, so no loss can be one of a task")

    @property
    def targets(self) -> Tensor:
        """What a supervised method learns, as in :class:`~lightning_dc.batch.Batch`."""
        if self.batch.targets is None:
            raise InputError(
                f"{type(self._module).__name__} learns targets, but the batches have none; give a DataModule with a "
                "target, such as SyntheticDataModule(target='class')"
            )
        return self.batch.targets

    @property
    def input_weight(self) -> Tensor:
        """Weights of the encoder's input layer, (H, F)."""
        return self._module.autoencoder.input_layer.weight

    @property
    def centroids(self) -> Tensor:
        """Centroids of the head, (K, D)."""
        centroids = centroid_head(self._module).centroids
        return centroids if "head" in self._phase.trainable else centroids.detach()

    @cached_property
    def q(self) -> Tensor:
        """Soft assignments, (B, K)."""
        return self._module.head(self.z)  # type: ignore[no-any-return]

    @cached_property
    def p(self) -> Tensor:
        """Target distribution, (B, K)."""
        if self._module.target is None:
            raise InputError(
                f"phase {self._phase.name!r} needs a target distribution; add a TargetDistributionRefresh callback"
            )
        return self._module.target.rows(self.batch.index, self.q)

    @property
    def _autoencoder(self) -> Autoencoder:
        network = self._module.autoencoder
        if not isinstance(network, Autoencoder):
            raise InputError(f"{type(network).__name__} has no decoder, which reconstruction needs; use an Autoencoder")
        return network

    @property
    def _corruption(self) -> Corruption | None:
        p = self._phase.config.dropout
        return None if p == 0.0 else lambda hidden: self._random.dropout(hidden, p)

    def _gradient(self, part: str) -> torch.set_grad_enabled:
        return torch.set_grad_enabled(torch.is_grad_enabled() and part in self._phase.trainable)


class LayerStep(TrainingStep):
    """A step of greedy layer-wise pretraining: ``x`` and ``x_hat`` are those of one layer."""

    @property
    def x(self) -> Tensor:
        return self._pair.target

    @property
    def x_hat(self) -> Tensor:
        return self._pair.reconstruction

    @cached_property
    def _pair(self) -> LayerReconstruction:
        layer, p = self._phase.layer, self._phase.config.dropout
        assert layer is not None
        return self._autoencoder.reconstruct_layer(self.view, layer, lambda hidden: self._random.dropout(hidden, p))


class SupervisedStep(TrainingStep):
    """A step with a task head: ``z`` is the representation that is clustered, ``output`` what the head predicts.

    Args:
        module: the model.
        batch: the batch of this process.
        micro_batch: as in :class:`TrainingStep`.
        representation: reads ``z`` from layers of the encoder.
        task_head: maps the encoder's output to predictions.
    """

    def __init__(
        self,
        module: ClusteringModule,
        batch: Batch,
        micro_batch: int,
        representation: Representation,
        task_head: nn.Module,
    ) -> None:
        super().__init__(module, batch, micro_batch)
        self._representation = representation
        self._task_head = task_head

    @cached_property
    def z(self) -> Tensor:
        return self._encoded.z

    @cached_property
    def output(self) -> Tensor:
        return self._task_head(self._encoded.features)  # type: ignore[no-any-return]

    @cached_property
    def _encoded(self) -> Encoded:
        noisy = self._random.dropout(self.view, self._phase.config.input_dropout)
        with self._gradient("encoder"):
            return self._representation(noisy, self._corruption)
