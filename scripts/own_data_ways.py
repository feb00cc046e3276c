"""Plain ways to cluster data of one's own, for ``benchmark_own_data.py``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

Array = NDArray[Any]
Way = Callable[[Array, int, int], Array]
_MOST_PRINCIPAL = 20


def k_means(x: Array, n_clusters: int, seed: int) -> Array:
    """K-means with ten restarts."""
    return np.asarray(KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(x))


def principal_k_means(x: Array, n_clusters: int, seed: int) -> Array:
    """K-means on at most 20 principal components."""
    return k_means(_principal(x, seed), n_clusters, seed)


def mixture(x: Array, n_clusters: int, seed: int) -> Array:
    """Gaussian mixture of scikit-learn with full covariances, on at most 20 principal components."""
    model = GaussianMixture(n_clusters, n_init=3, reg_covar=1e-3, random_state=seed)
    return np.asarray(model.fit_predict(_principal(x, seed)))


def hdbscan(x: Array, n_clusters: int, seed: int) -> Array:
    """HDBSCAN on at most 20 principal components; it chooses the number of clusters itself."""
    return np.asarray(HDBSCAN(min_cluster_size=max(5, len(x) // 100), copy=True).fit_predict(_principal(x, seed)))


def umap_hdbscan(x: Array, n_clusters: int, seed: int) -> Array:
    """UMAP to five dimensions, then HDBSCAN, as BERTopic does."""
    from umap import UMAP

    z = UMAP(n_components=5, n_neighbors=15, min_dist=0.0, metric="cosine", random_state=seed).fit_transform(x)
    return np.asarray(HDBSCAN(min_cluster_size=max(10, len(x) // 100), copy=True).fit_predict(z))


def leiden(x: Array, n_clusters: int, seed: int) -> Array:
    """Leiden at scanpy's usual resolution, on the graph of 15 neighbours in 50 principal components."""
    import anndata
    import scanpy

    cells = anndata.AnnData(np.asarray(x))
    scanpy.pp.pca(cells, n_comps=min(50, *(np.array(x.shape) - 1)), random_state=seed)
    scanpy.pp.neighbors(cells, random_state=seed)
    scanpy.tl.leiden(cells, random_state=seed, flavor="igraph", n_iterations=2)
    return cells.obs["leiden"].astype(int).to_numpy()  # type: ignore[no-any-return]


def autoencoder_k_means(x: Array, n_clusters: int, seed: int) -> Array:
    """AE+k-means of this package: layers of 256, 256 and 10 units, 1,000 steps of Adam."""
    import lightning.pytorch as pl

    from datamodules import ArrayDataModule
    from lightning_dc import AEKMeans, MLPAutoencoder, PhaseConfig

    pl.seed_everything(seed, verbose=False)
    model = AEKMeans(
        (x.shape[1],),
        n_clusters,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[256, 256], latent_dim=10),
        pretraining=PhaseConfig(max_steps=1000, loss_weights={"reconstruction": 1.0}),
    )
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_checkpointing"), False)
    trainer = pl.Trainer(max_epochs=-1, enable_model_summary=False, accelerator="cpu", **quiet)
    trainer.fit(model, ArrayDataModule(np.asarray(x, np.float32)))
    assert model.final is not None
    return model.final.labels.numpy()


def column_transformer(path: Path, n_clusters: int, seed: int) -> Array:
    """scikit-learn's ColumnTransformer (median, standardised; most frequent, one-hot), then k-means."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer, make_column_selector
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.read_csv(path)
    frame = frame.drop(columns=[name for name in frame if frame[name].dtype == object and frame[name].nunique() > 20])
    pipeline = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector("", dtype_include="number"),
            ),
            (
                "words",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False)),
                make_column_selector("", dtype_exclude="number"),
            ),
        ]
    )
    return k_means(pipeline.fit_transform(frame), n_clusters, seed)


def table_vectorizer(path: Path, n_clusters: int, seed: int) -> Array:
    """Skrub's TableVectorizer, imputed and standardised, then k-means."""
    import pandas as pd
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from skrub import TableVectorizer

    pipeline = make_pipeline(TableVectorizer(), SimpleImputer(), StandardScaler())
    return k_means(np.asarray(pipeline.fit_transform(pd.read_csv(path))), n_clusters, seed)


def _principal(x: Array, seed: int) -> Array:
    return np.asarray(PCA(min(_MOST_PRINCIPAL, *x.shape), random_state=seed).fit_transform(x))


ON_INPUTS: dict[str, Way] = {
    "k-means": k_means,
    "PCA, k-means": principal_k_means,
    "PCA, mixture": mixture,
    "PCA, HDBSCAN": hdbscan,
    "autoencoder, k-means": autoencoder_k_means,
}
"""Ways that cluster the inputs that the shipped configuration gives its network."""

OF_FIELD: dict[str, dict[str, Way]] = {
    "cells": {"Leiden": leiden},
    "text": {"UMAP, HDBSCAN": umap_hdbscan},
    "embeddings": {"UMAP, HDBSCAN": umap_hdbscan},
    "images": {"UMAP, HDBSCAN": umap_hdbscan},
}
"""The usual pipeline of a field on the same inputs, by configuration."""

ON_TABLES: dict[str, Callable[[Path, int, int], Array]] = {
    "ColumnTransformer, k-means": column_transformer,
    "TableVectorizer, k-means": table_vectorizer,
}
"""Ways that read a table themselves."""


def quietly(run: Callable[[], Array]) -> Array:
    """Run a way without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run()
