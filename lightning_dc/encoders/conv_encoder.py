"""Convolutional encoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from lightning_dc.encoders.encoder import Corruption, Encoder
from lightning_dc.errors import InputError

_SMALLEST_SIDE = 2  # of the last feature map, in positions
_POOLED_SIDE = 4  # side to which larger last feature maps are averaged


class ConvEncoder(Encoder):
    """Convolutional encoder with batch normalisation, for images of any size and number of channels.

    Each block is a convolution, batch normalisation and ReLU. From the last block backwards, as many blocks have stride
    2 as leave the last feature map at least 2 positions high and wide. A last feature map that is still larger than
    4 x 4 is averaged to that. A linear layer, batch normalisation and ReLU give the embedding. Layers are named
    ``conv_1``, ``norm_1``, ``activation_1``, ``conv_2``, ...

    Statistics of batch normalisation are those of the batch of each process, so results depend on the number of
    processes, unless the Trainer has ``sync_batchnorm=True``.

    Args:
        input_shape: shape of an image: channels, height, width.
        channels: numbers of channels of the blocks.
        kernel_size: side of the kernels, odd.
        latent_dim: width of the embedding.

    Raises:
        InputError: the samples are no images, or an argument is out of range.

    Example:
        >>> import torch
        >>> encoder = ConvEncoder((1, 28, 28), latent_dim=64)
        >>> encoder.encode(torch.zeros(3, 1, 28, 28)).shape
        torch.Size([3, 64])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        channels: Sequence[int] = (32, 64, 128),
        kernel_size: int = 3,
        latent_dim: int = 128,
    ) -> None:
        if len(input_shape) != 3:
            raise InputError(
                f"ConvEncoder needs images (channels, height, width), got samples of shape {tuple(input_shape)}; use "
                "MLPEncoder for vectors"
            )
        if len(channels) == 0 or min(*channels, *input_shape, latent_dim) < 1:
            raise InputError(
                f"channels={list(channels)}, latent_dim={latent_dim} and input_shape={tuple(input_shape)} must be at "
                "least 1, and there must be one block"
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(f"kernel_size={kernel_size} must be odd, such as 3 or 5")
        super().__init__(input_shape, latent_dim)
        self.channels = tuple(channels)
        self.kernel_size = kernel_size
        self.encoder = nn.Sequential(self._layers())

    def _layers(self) -> OrderedDict[str, nn.Module]:
        height, width = self.input_shape[1:]
        n_halved = max(0, min(len(self.channels), (min(height, width) // _SMALLEST_SIDE).bit_length() - 1))
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        n_in = self.input_shape[0]
        for number, n_out in enumerate(self.channels, start=1):
            stride = 2 if number > len(self.channels) - n_halved else 1
            layers[f"conv_{number}"] = nn.Conv2d(
                n_in, n_out, self.kernel_size, stride, self.kernel_size // 2, bias=False
            )
            layers[f"norm_{number}"] = nn.BatchNorm2d(n_out)
            layers[f"activation_{number}"] = nn.ReLU()
            n_in, height, width = n_out, -(-height // stride), -(-width // stride)
        if max(height, width) > _POOLED_SIDE:
            height, width = min(height, _POOLED_SIDE), min(width, _POOLED_SIDE)
            layers["pool"] = nn.AdaptiveAvgPool2d((height, width))
        layers["flatten"] = nn.Flatten()
        layers["linear"] = nn.Linear(n_in * height * width, self.latent_dim, bias=False)
        layers["norm"] = nn.BatchNorm1d(self.latent_dim)
        layers["activation"] = nn.ReLU()
        return layers

    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        hidden = x
        for name, layer in self.encoder.named_children():
            hidden = layer(hidden)
            if corrupt is not None and name.startswith("activation_"):
                hidden = corrupt(hidden)
        return hidden
