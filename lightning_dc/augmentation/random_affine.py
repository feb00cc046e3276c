"""Random shifts and rotations of images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lightning_dc.augmentation.augmentation import Augmentation
from lightning_dc.errors import InputError
from lightning_dc.randomness import StepRandom


class RandomAffine(Augmentation):
    """Augmentation that shifts an image at random, then rotates it at random about its centre.

    Pixels are interpolated bilinearly, with zeros outside the image. The defaults are those of DEC-DA (Guo et al. 2018,
    https://proceedings.mlr.press/v95/guo18b.html): shifts of at most a tenth of the image and rotations of at most 10
    degrees, both uniform.

    Args:
        max_shift: largest shift along each axis, as a share of the image's side.
        max_rotation: largest rotation, in degrees.

    Raises:
        InputError: a bound is negative.
    """

    def __init__(self, max_shift: float = 0.1, max_rotation: float = 10.0) -> None:
        if max_shift < 0 or max_rotation < 0:
            raise InputError(f"max_shift={max_shift} and max_rotation={max_rotation} must not be negative")
        self.max_shift = max_shift
        self.max_rotation = max_rotation

    def check(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) != 3:
            raise InputError(
                "augmentation RandomAffine needs images (channels, height, width), got samples of shape "
                f"{input_shape}; set model.init_args.augmentation to null for data that are no images"
            )

    def __call__(self, x: Tensor, random: StepRandom) -> Tensor:
        if len(x) == 0:  # more processes than samples in the last batch
            return x
        angle, shift_x, shift_y = (random.uniform("affine", 3, dtype=x.dtype) * 2.0 - 1.0).unbind(1)
        angle = angle * math.radians(self.max_rotation)
        cos, sin = angle.cos(), angle.sin()
        height, width = x.shape[-2:]
        aspect = height / width
        # The unit of the grid is half a side, so a shift by a share s of the side is 2 s.
        theta = torch.stack(
            [
                torch.stack([cos, -sin * aspect, shift_x * (2.0 * self.max_shift)], 1),
                torch.stack([sin / aspect, cos, shift_y * (2.0 * self.max_shift)], 1),
            ],
            1,
        )
        with torch.autocast(x.device.type, enabled=False):
            grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
            return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
