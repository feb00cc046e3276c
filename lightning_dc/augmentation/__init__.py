"""Augmentations of whole batches on their device."""

from lightning_dc.augmentation.augmentation import Augmentation
from lightning_dc.augmentation.random_affine import RandomAffine
from lightning_dc.augmentation.random_elastic import RandomElastic

__all__ = ["Augmentation", "RandomAffine", "RandomElastic"]
