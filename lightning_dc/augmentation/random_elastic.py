"""Random smooth deformations of images."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from lightning_dc.augmentation.random_affine import RandomAffine
from lightning_dc.errors import InputError
from lightning_dc.randomness import StepRandom


class RandomElastic(RandomAffine):
    """Augmentation that transforms an image as :class:`RandomAffine` and deforms it smoothly.

    The points of a coarse grid move independently, by normal random numbers, and those between them follow by bicubic
    interpolation; elastic deformations are usual for handwriting (Simard et al. 2003,
    https://doi.org/10.1109/ICDAR.2003.1227801). The image is interpolated only once.

    Args:
        displacement: standard deviation of the movement of a grid point along each axis, as a share of the side.
        n_points: number of grid points along each axis.
        max_shift: largest shift along each axis, as a share of the image's side.
        max_rotation: largest rotation, in degrees.
        max_scale: largest change of the height and of the width, as a share of it, below 1; each has its own.
        max_shear: largest horizontal shift of the top row, as a share of half the width.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        displacement: float = 0.025,
        n_points: int = 5,
        max_shift: float = 0.075,
        max_rotation: float = 20.0,
        max_scale: float = 0.15,
        max_shear: float = 0.3,
    ) -> None:
        super().__init__(max_shift, max_rotation, max_scale, max_shear)
        if displacement < 0:
            raise InputError(f"displacement={displacement} of RandomElastic must not be negative")
        if n_points < 2:
            raise InputError(f"n_points={n_points} of RandomElastic must be at least 2")
        self.displacement = displacement
        self.n_points = n_points

    def displace(self, grid: Tensor, random: StepRandom) -> Tensor:
        moves = random.normal("elastic", 2, self.n_points, self.n_points, dtype=grid.dtype)
        size = [int(side) for side in grid.shape[1:3]]
        field = functional.interpolate(moves, size=size, mode="bicubic", align_corners=True)
        return grid + field.permute(0, 2, 3, 1) * (2.0 * self.displacement)
