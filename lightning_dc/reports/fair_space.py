"""The space in which clusters of different methods are compared."""

from __future__ import annotations

from torch import Tensor

N_COMPONENTS = 50
"""Most dimensions of the space."""


def fair_space(x: Tensor, seed: int = 0) -> tuple[Tensor, str]:
    """Return points in which the silhouettes of two clusterings can be compared, and the name of their space.

    An embedding that a method has trained is contracted around its own clusters, so both clusterings are compared in
    the inputs. Distances between many inputs are mostly noise, so from more than 50 inputs on the points are those of
    their first 50 principal components.

    Args:
        x: inputs, flattened and scaled as the network reads them, (n, F).
        seed: seed of the random numbers by which the components of wide inputs are found.

    Returns:
        Points, (n, D) with D at most 50, and "the inputs" or "50 principal components of the inputs".
    """
    if x.shape[1] <= N_COMPONENTS:
        return x, "the inputs"
    from sklearn.decomposition import PCA

    n_components = min(N_COMPONENTS, *x.shape)
    points = PCA(n_components, random_state=seed % (1 << 32)).fit_transform(x.double().numpy())
    return x.new_tensor(points), f"{n_components} principal components of the inputs"
