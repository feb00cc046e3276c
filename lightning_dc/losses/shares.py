"""Checks of given shares of the clusters."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_dc.errors import InputError

_TOLERANCE = 1e-4  # of their sum


def check_shares(shares: Sequence[float] | None, term: str) -> None:
    """Check that shares, if they are given, are positive and sum to 1.

    Args:
        shares: share of each cluster; None for none.
        term: name of the loss term in error messages.

    Raises:
        InputError: they are not.
    """
    if shares is not None and (min(shares, default=0.0) <= 0 or abs(sum(shares) - 1.0) > _TOLERANCE):
        raise InputError(f"shares={list(shares)} of {term} must be positive and sum to 1, not to {sum(shares)}")


def check_number_of_shares(shares: Sequence[float] | None, n_clusters: int, term: str) -> None:
    """Check that there is a share for each cluster, if shares are given.

    Args:
        shares: share of each cluster; None for none.
        n_clusters: number of clusters K.
        term: name of the loss term in error messages.

    Raises:
        InputError: there is another number of shares.
    """
    if shares is not None and len(shares) != n_clusters:
        raise InputError(f"shares of {term} are {len(shares)} numbers, but n_clusters={n_clusters}")
