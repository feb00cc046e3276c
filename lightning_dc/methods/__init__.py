"""Clustering methods: one LightningModule each."""

from lightning_dc.methods.dec import DEC

__all__ = ["DEC"]
