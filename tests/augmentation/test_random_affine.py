"""Tests of random shifts and rotations against torch.rot90, shifted copies and scipy.ndimage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from lightning_dc.augmentation import RandomAffine
from lightning_dc.errors import InputError
from lightning_dc.randomness import StepRandom

CPU = torch.device("cpu")


class Chosen(StepRandom):
    """Random numbers that the test chooses: angle, horizontal and vertical shift, each from -1 to 1."""

    def __init__(self, angle: float = 0.0, shift_x: float = 0.0, shift_y: float = 0.0) -> None:
        self.numbers = torch.tensor([angle, shift_x, shift_y], dtype=torch.float64)

    def uniform(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        assert shape == (3,)
        return ((self.numbers + 1.0) / 2.0).to(dtype).expand(2, 3)


def images(height: int = 10, width: int = 10, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=dtype)


def shifted(x: Tensor, right: int, down: int) -> Tensor:
    """Return images that are shifted by whole pixels, with zeros from outside."""
    x = torch.roll(x, (down, right), (2, 3))
    if right:
        x[..., slice(0, right) if right > 0 else slice(right, None)] = 0
    if down:
        x[..., slice(0, down) if down > 0 else slice(down, None), :] = 0
    return x


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 1), (-1, 2), (2, -2)])
@pytest.mark.parametrize("size", [(10, 10), (8, 20)])
def test_a_shift_by_whole_pixels_moves_the_image(right: int, down: int, size: tuple[int, int]) -> None:
    height, width = size
    x = images(height, width)
    random = Chosen(shift_x=-right / width / 0.5, shift_y=-down / height / 0.5)  # positive numbers move left and up
    moved = RandomAffine(max_shift=0.5, max_rotation=0.0)(x, random)
    torch.testing.assert_close(moved, shifted(x, right, down), rtol=0, atol=1e-12)


@pytest.mark.parametrize("quarters", [1, -1, 2])
def test_a_rotation_by_quarters_is_counter_clockwise(quarters: int) -> None:
    """Positive numbers turn the picture counter-clockwise, as torch.rot90 does."""
    x = images()
    turned = RandomAffine(max_shift=0.0, max_rotation=90.0 * abs(quarters))(x, Chosen(angle=np.sign(quarters)))
    torch.testing.assert_close(turned, torch.rot90(x, quarters, (2, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(12, 12), (9, 16)])
def test_a_small_rotation_is_scipys_bilinear_one(size: tuple[int, int]) -> None:
    x = images(*size)
    turned = RandomAffine(max_shift=0.0, max_rotation=10.0)(x, Chosen(angle=0.7))
    theirs = ndimage.rotate(x.numpy(), 7.0, axes=(2, 3), reshape=False, order=1, mode="grid-constant", prefilter=False)
    np.testing.assert_allclose(turned.numpy(), theirs, atol=1e-9)


def test_the_shift_comes_before_the_rotation() -> None:
    x = images()
    both = RandomAffine(max_shift=0.2, max_rotation=90.0)(x, Chosen(angle=1.0, shift_x=-1.0))
    torch.testing.assert_close(both, torch.rot90(shifted(x, 2, 0), 1, (2, 3)), rtol=0, atol=1e-12)


def test_bounds_of_zero_change_nothing() -> None:
    x = images(dtype=torch.float32)
    same = RandomAffine(max_shift=0.0, max_rotation=0.0)(x, StepRandom(0, 0, 2, CPU))
    torch.testing.assert_close(same, x, rtol=0, atol=1e-5)


def peak(x: Tensor) -> np.ndarray:
    """Return the centre of mass of each image, (B, 2), row and column."""
    return np.array([ndimage.center_of_mass(image[0].double().numpy()) for image in x])


def test_shifts_fill_their_bounds_and_stay_within() -> None:
    x = torch.zeros(300, 1, 21, 41)
    x[:, 0, 8:13, 18:23] = 1.0
    moves = peak(RandomAffine(max_shift=0.1, max_rotation=0.0)(x, StepRandom(0, 0, 300, CPU))) - peak(x[:1])
    for axis, side in enumerate((21, 41)):
        assert np.abs(moves[:, axis]).max() <= 0.1 * side + 1e-3
        assert moves[:, axis].max() > 0.09 * side
        assert moves[:, axis].min() < -0.09 * side
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.2


def test_rotations_fill_their_bounds_and_stay_within() -> None:
    x = torch.zeros(300, 1, 41, 41)
    x[:, 0, 19:22, 34:37] = 1.0  # a spot 15 pixels to the right of the centre
    row, column = (peak(RandomAffine(max_shift=0.0, max_rotation=10.0)(x, StepRandom(0, 0, 300, CPU))) - 20).T
    angles = np.degrees(np.arctan2(-row, column))
    assert np.abs(angles).max() <= 10.05
    assert angles.max() > 9
    assert angles.min() < -9


@pytest.mark.parametrize("world_size", [2, 3])
def test_a_sample_is_moved_alike_on_any_number_of_processes(monkeypatch: pytest.MonkeyPatch, world_size: int) -> None:
    x = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = RandomAffine()(x, StepRandom(3, 4, 7, CPU))
    assert not torch.equal(whole, x)
    for rank in range(world_size):
        monkeypatch.setattr("lightning_dc.randomness.world", lambda rank=rank: (rank, world_size))
        own = RandomAffine()(x[rank::world_size], StepRandom(3, 4, 7, CPU))
        torch.testing.assert_close(own, whole[rank::world_size], rtol=0, atol=1e-6)


def test_autocast_does_not_lower_the_precision() -> None:
    x = images(dtype=torch.float32)
    expected = RandomAffine()(x, StepRandom(0, 0, 2, CPU))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        moved = RandomAffine()(x, StepRandom(0, 0, 2, CPU))
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 9)])
def test_images_pass_the_check(shape: tuple[int, ...]) -> None:
    check: Callable[[tuple[int, ...]], None] = RandomAffine().check
    check(shape)
    assert RandomAffine()(torch.zeros(2, *shape), StepRandom(0, 0, 2, CPU)).shape == (2, *shape)


@pytest.mark.parametrize("shape", [(784,), (28, 28), (3, 4, 5, 6), ()])
def test_samples_that_are_no_images_fail_the_check(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"needs images \(channels, height, width\), got samples of shape \("):
        RandomAffine().check(shape)


@pytest.mark.parametrize(
    "bounds", [{"max_shift": -0.1}, {"max_rotation": -1.0}, {"max_scale": -0.1}, {"max_shear": -0.1}]
)
def test_negative_bounds_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must not be negative"):
        RandomAffine(**bounds)


def test_scales_from_one_on_are_refused() -> None:
    with pytest.raises(InputError, match=r"max_scale=1\.0 of RandomAffine must be below 1"):
        RandomAffine(max_scale=1.0)


class ChosenScale(Chosen):
    """Random numbers of scale and shear that the test chooses; there is neither shift nor rotation."""

    def __init__(self, *scale_and_shear: float) -> None:
        super().__init__()
        self.scale_and_shear = torch.tensor(scale_and_shear, dtype=torch.float64)

    def uniform(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        if name == "affine":
            return super().uniform(name, *shape, dtype=dtype)
        return ((self.scale_and_shear + 1.0) / 2.0).to(dtype)[:, None].expand(2, *shape)


@pytest.mark.parametrize("chosen", [(1.0, 0.0, 0.0), (0.0, -0.5, 0.0), (0.0, 0.0, 1.0), (0.6, -0.3, -0.8)])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_scale_and_shear_are_scipys_affine_transform(chosen: tuple[float, float, float], angle: float) -> None:
    """Points of the new image are scaled and sheared, then rotated, about the centre."""
    x, size = images(12, 12), 12
    random = ChosenScale(*chosen)
    random.numbers[0] = angle
    moved = RandomAffine(max_shift=0.0, max_rotation=10.0, max_scale=0.3, max_shear=0.4)(x, random)
    scale_x, scale_y, shear = 1 + 0.3 * chosen[0], 1 + 0.3 * chosen[1], 0.4 * chosen[2]
    turn = np.radians(10.0 * angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])  # of (x, y)
    matrix = (rotation @ np.array([[scale_x, shear], [0.0, scale_y]]))[::-1, ::-1]  # of (row, column)
    centre = np.full(2, (size - 1) / 2)
    for image, expected in zip(moved[:, 0], x[:, 0], strict=True):
        theirs = ndimage.affine_transform(
            expected.numpy(), matrix, centre - matrix @ centre, order=1, mode="grid-constant", prefilter=False
        )
        np.testing.assert_allclose(image.numpy(), theirs, atol=1e-9)
