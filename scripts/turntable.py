"""Grey pictures of invented solid objects on a turntable, in the manner of COIL-20."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_N_POINTS = 40_000
_LIGHT = np.array([0.4, 0.8, 0.45])

Array = NDArray[Any]


def turntable_pictures(
    n_objects: int = 20, n_views: int = 72, side: int = 32, seed: int = 0
) -> tuple[Array, NDArray[np.int64]]:
    """Return pictures of objects that are turned by equal angles, and the object of each picture.

    Each object is an ellipsoid with bumps, and with patches of another brightness; a lamp stands beside the camera.

    Args:
        n_objects: number of objects.
        n_views: number of views of each object, over a full turn.
        side: height and width, in pixels.
        seed: seed of shapes and patches.

    Returns:
        Pictures, (n_objects * n_views, side, side), uint8, and objects, (n_objects * n_views,).
    """
    random = np.random.default_rng(seed)
    number = np.arange(_N_POINTS) + 0.5
    polar, azimuth = np.arccos(1 - 2 * number / _N_POINTS), np.pi * (1 + 5**0.5) * number
    sphere = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], 1)
    pictures = []
    for _ in range(n_objects):
        stretch = random.uniform(0.6, 1.3, 3)
        points = sphere * np.exp(0.35 * _bumps(sphere, 8, 0.25, random))[:, None] * stretch
        points /= np.abs(points).max() * 1.05
        brightness = 1 / (1 + np.exp(-1.5 * _bumps(sphere, 25, 0.05, random)))
        normals = sphere / stretch
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        for angle in 2 * np.pi * np.arange(n_views) / n_views:
            turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            light = 0.2 + 0.8 * np.clip(normals @ turn @ _LIGHT, 0, 1)
            pictures.append(_picture(points @ turn, brightness * light, side))
    return np.stack(pictures), np.repeat(np.arange(n_objects), n_views)


def _bumps(sphere: Array, n_bumps: int, width: float, random: np.random.Generator) -> Array:
    """Return a random sum of smooth bumps at each point of the sphere, (n,)."""
    centres = random.normal(size=(n_bumps, 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    values: Array = np.exp((sphere @ centres.T - 1) / width) @ random.normal(size=n_bumps)
    return values


def _picture(points: Array, values: Array, side: int) -> Array:
    """Return the picture of the points that are nearest to the camera, which looks along the second axis."""
    column, row = (np.clip((place + 1) / 2 * side, 0, side - 1).astype(int) for place in (points[:, 0], -points[:, 2]))
    order = np.argsort(points[:, 1])  # the nearest come last
    picture = np.zeros((side, side))
    picture[row[order], column[order]] = values[order]
    return (255 * picture).astype(np.uint8)
