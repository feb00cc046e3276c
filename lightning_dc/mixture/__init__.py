"""Gaussian mixtures with shrunk covariances."""

from lightning_dc.mixture.em import SHRINKAGE, MixtureResult, gaussian_mixture

__all__ = ["SHRINKAGE", "MixtureResult", "gaussian_mixture"]
