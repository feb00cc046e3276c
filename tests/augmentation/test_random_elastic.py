"""Random smooth deformations, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from lightning_dc.augmentation import RandomAffine, RandomElastic
from lightning_dc.errors import InputError
from lightning_dc.randomness import StepRandom

CPU = torch.device("cpu")
STILL = {"max_shift": 0.0, "max_rotation": 0.0, "max_scale": 0.0, "max_shear": 0.0}
X = torch.rand(4, 1, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_without_displacement_it_is_the_affine_transform() -> None:
    bounds = {"max_shift": 0.1, "max_rotation": 15.0, "max_scale": 0.2, "max_shear": 0.3}
    elastic = RandomElastic(displacement=0.0, **bounds)(X, StepRandom(0, 0, 4, CPU))
    torch.testing.assert_close(elastic, RandomAffine(**bounds)(X, StepRandom(0, 0, 4, CPU)))


def test_pixels_are_read_where_the_field_points_to() -> None:
    """With a grid point for each pixel the field is the random numbers themselves."""
    moves = StepRandom(0, 0, 4, CPU).normal("elastic", 2, 20, 20, dtype=torch.float64).numpy()
    elastic = RandomElastic(0.05, n_points=20, **STILL)(X, StepRandom(0, 0, 4, CPU))
    rows, columns = np.mgrid[:20, :20]
    for image, before, (right, down) in zip(elastic[:, 0], X[:, 0], moves, strict=True):
        places = [rows + 0.05 * 20 * down, columns + 0.05 * 20 * right]
        theirs = ndimage.map_coordinates(before.numpy(), places, order=1, mode="grid-constant", prefilter=False)
        np.testing.assert_allclose(image.numpy(), theirs, atol=1e-9)


def test_a_coarse_grid_moves_neighbouring_pixels_alike() -> None:
    ramp = torch.arange(40.0).expand(2, 1, 40, 40) + 100
    moved = (
        RandomElastic(0.02, n_points=4, **STILL)(ramp, StepRandom(0, 0, 2, CPU))[:, 0, 5:-5, 5:-5]
        - ramp[0, 0, 5:-5, 5:-5]
    )
    assert 0.3 < float(moved.std()) < 1.5  # pixels, of 0.8 at the grid points
    assert float(moved.diff(dim=1).abs().max()) < 0.4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"displacement": -0.1}, "displacement=-0.1 of RandomElastic must not be negative"),
        ({"n_points": 1}, "n_points=1 of RandomElastic must be at least 2"),
        ({"max_shift": -1.0}, "max_shift=-1.0 of RandomElastic must not be negative"),
    ],
)
def test_bad_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RandomElastic(**arguments)  # type: ignore[arg-type]
