"""Random affine transforms of images."""

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

    It may also be scaled and sheared. Pixels are interpolated bilinearly, with zeros outside the image. The defaults
    are those of DEC-DA (Guo et al. 2018, https://proceedings.mlr.press/v95/guo18b.html): shifts of at most a tenth of
    the image and rotations of at most 10 degrees, both uniform.

    Args:
        max_shift: largest shift along each axis, as a share of the image's side.
        max_rotation: largest rotation, in degrees.
        max_scale: largest change of the height and of the width, as a share of it, below 1; each has its own.
        max_shear: largest horizontal shift of the top row, as a share of half the width.

    Raises:
        InputError: a bound is negative, or ``max_scale`` is not below 1.
    """

    def __init__(
        self, max_shift: float = 0.1, max_rotation: float = 10.0, max_scale: float = 0.0, max_shear: float = 0.0
    ) -> None:
        self.max_shift = max_shift
        self.max_rotation = max_rotation
        self.max_scale = max_scale
        self.max_shear = max_shear
        for name in ("max_shift", "max_rotation", "max_scale", "max_shear"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)} of {type(self).__name__} must not be negative")
        if max_scale >= 1:
            raise InputError(f"max_scale={max_scale} of {type(self).__name__} must be below 1")

    def check(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) != 3:
            raise InputError(
                f"augmentation {type(self).__name__} needs images (channels, height, width), got samples of shape "
                f"{input_shape}; set model.init_args.augmentation to null for data that are no images"
            )

    def __call__(self, x: Tensor, random: StepRandom) -> Tensor:
        if len(x) == 0:  # more processes than samples in the last batch
            return x
        with torch.autocast(x.device.type, enabled=False):
            grid = functional.affine_grid(self._transforms(x, random), list(x.shape), align_corners=False)
            grid = self.displace(grid, random)
            return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def displace(self, grid: Tensor, random: StepRandom) -> Tensor:
        """Move the points at which the images are read; a subclass may override this method.

        Args:
            grid: points, (B, height, width, 2), in units of half a side.
            random: random numbers of this view of the batch.
        """
        return grid

    def _transforms(self, x: Tensor, random: StepRandom) -> Tensor:
        """Return the affine map from points of the new images to points of the old ones, (B, 2, 3)."""
        angle, shift_x, shift_y = (random.uniform("affine", 3, dtype=x.dtype) * 2.0 - 1.0).unbind(1)
        angle = angle * math.radians(self.max_rotation)
        cos, sin = angle.cos(), angle.sin()
        aspect = x.shape[-2] / x.shape[-1]
        columns = [torch.stack([cos, sin / aspect], 1), torch.stack([-sin * aspect, cos], 1)]
        if self.max_scale > 0 or self.max_shear > 0:
            draws = random.uniform("scale and shear", 3, 1, dtype=x.dtype) * 2.0 - 1.0
            scale_x, scale_y, shear = draws.unbind(1)
            columns[1] = columns[1] * (1.0 + self.max_scale * scale_y) + columns[0] * (self.max_shear * shear)
            columns[0] = columns[0] * (1.0 + self.max_scale * scale_x)
        # The unit of the grid is half a side, so a shift by a share s of the side is 2 s.
        shift = torch.stack([shift_x, shift_y], 1) * (2.0 * self.max_shift)
        return torch.stack([*columns, shift], 2)
