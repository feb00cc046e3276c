"""The model that is trained, applied and exported; its code does not depend on training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_dc.encoders import Autoencoder, Corruption, Encoded, Encoder, Representation
from lightning_dc.errors import InputError
from lightning_dc.heads import ClusteringHead, TaskHead


class ClusteringModel(nn.Module):
    """Network with the representation that is read from it, a clustering head, and optionally a supervised task head.

    Args:
        network: encoder, with a decoder if a loss or a phase needs one.
        head: clustering head.
        representation: layers of the network that are read for clustering; None takes the network's output.
        task_head: maps the network's output to predictions of a supervised task; None for no task.

    Raises:
        InputError: the representation reads from another network, or the head expects embeddings of another width.

    Example:
        >>> from lightning_dc.encoders import MLPAutoencoder
        >>> from lightning_dc.heads import StudentTHead
        >>> model = ClusteringModel(MLPAutoencoder((64,), latent_dim=10), StudentTHead(5, 10))
        >>> x = torch.zeros(3, 64)
        >>> model.embed(x).shape, model(x).shape
        (torch.Size([3, 10]), torch.Size([3, 5]))
    """

    def __init__(
        self,
        network: Encoder,
        head: ClusteringHead,
        representation: Representation | None = None,
        task_head: TaskHead | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.representation = Representation(network, None) if representation is None else representation
        self.task_head = task_head
        if self.representation.network is not network:
            raise InputError("representation reads from another network than that of the model; give it the same one")
        if head.latent_dim != self.representation.width:
            raise InputError(
                f"latent_dim={head.latent_dim} of {type(head).__name__} differs from the {self.representation.width} "
                "numbers of the representation; give the head that width"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.network.input_shape

    @property
    def wide_dtype(self) -> torch.dtype:
        """Precision of embeddings and assignments: float32, or float64 if the model is in float64."""
        parameter = next(self.parameters(), torch.empty(0))
        return torch.promote_types(parameter.dtype, torch.float32)

    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Encoded:
        """Encode samples, (B, *input_shape), in the precision of the network.

        Args:
            x: samples.
            corrupt: noise on hidden activations; None for none.

        Raises:
            InputError: the samples have another shape.
        """
        self.check_samples(x)
        return self.representation(x, corrupt)

    def check_samples(self, x: Tensor) -> None:
        """Check that samples have the shape of the model.

        Args:
            x: samples, (B, *input_shape).

        Raises:
            InputError: they have another shape.
        """
        if tuple(x.shape[1:]) != tuple(self.input_shape) or x.ndim == 0:
            raise InputError(
                f"a batch of shape {tuple(x.shape)} has samples of shape {tuple(x.shape[1:])}, but input_shape of the "
                f"model is {tuple(self.input_shape)}; give a batch of samples of that shape"
            )

    def embed(self, x: Tensor) -> Tensor:
        """Return the representation of samples, (B, *input_shape) to (B, D), float32 at least.

        Args:
            x: samples that are preprocessed, such as scaled, as those of training.
        """
        return self.encode(x).z.to(self.wide_dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return soft assignments of samples, (B, *input_shape) to (B, K); rows sum to 1.

        Args:
            x: samples that are preprocessed, such as scaled, as those of training.
        """
        q: Tensor = self.head(self.embed(x))
        return q

    def predict_task(self, features: Tensor) -> Tensor:
        """Return scores, values or log hazards of the task, (B, E) to (B, n_outputs).

        Args:
            features: output of the encoder, as :meth:`encode` gives it.

        Raises:
            InputError: the model has no task head.
        """
        output: Tensor = self.require_task_head()(features)
        return output

    def require_task_head(self) -> TaskHead:
        """Return the task head.

        Raises:
            InputError: the model has none.
        """
        if self.task_head is None:
            raise InputError("the method learns no supervised task, so it has no task head; use DeepType")
        return self.task_head

    def parts(self) -> dict[str, nn.Module]:
        """Return the parts that a phase can train: ``encoder``, ``head`` and, if present, ``decoder`` and ``task``."""
        parts: dict[str, nn.Module] = {"encoder": self.network.encoder, "head": self.head}
        if isinstance(self.network, Autoencoder):
            parts["decoder"] = self.network.decoder
        if self.task_head is not None:
            parts["task"] = self.task_head
        return parts
