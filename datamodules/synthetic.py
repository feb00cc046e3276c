"""DataModule of Gaussian clusters in a few informative features."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClusteringDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from lightning_dc.batch import TargetKind, TargetSpec
from lightning_dc.errors import InputError

SyntheticTarget = Literal["none", "class", "value", "survival"]
_NOISE = 0.1  # standard deviation of a value around the risk, which has a standard deviation of 1 itself
_CENSORING = 0.5  # rate of censoring; the mean hazard is about 1


class SyntheticDataModule(ClusteringDataModule):
    """Gaussian clusters in a few informative features, with noise in the other features.

    In the informative features, the centre of a cluster is drawn from N(0, separation^2), and its samples from a unit
    Gaussian around the centre; the other features are standard Gaussian noise (the data of torch-deeptype's example).
    The informative features come first, as in scikit-learn's ``make_classification(shuffle=False)``.

    Args:
        n_samples: number of samples N.
        n_features: number of features.
        n_informative: number of features that tell clusters apart.
        n_clusters: number of clusters; their sizes differ by at most one.
        separation: standard deviation of the centres' coordinates.
        random_state: seed of the data.
        batch_size: number of samples in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`.
        val_fraction: share of the samples that is held out for validation.
        keep_on_device: hold the samples on the accelerator.
        target: kind of the target of a supervised method: ``class``, ``value``, ``survival`` or ``none``.
        n_subtypes: number of clusters in each class.
        labels: give the clusters as labels, for evaluation.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        n_samples: int = 1000,
        n_features: int = 20,
        n_informative: int = 5,
        n_clusters: int = 4,
        separation: float = 5.0,
        random_state: int = 0,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
        target: SyntheticTarget = "none",
        n_subtypes: int = 1,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        if not 1 <= n_informative <= n_features:
            raise InputError(f"n_informative={n_informative} must lie between 1 and n_features={n_features}")
        if not 1 <= n_clusters <= n_samples:
            raise InputError(f"n_clusters={n_clusters} must lie between 1 and n_samples={n_samples}")
        if separation < 0 or random_state < 0:
            raise InputError(f"separation={separation} and random_state={random_state} must not be negative")
        if target not in get_args(SyntheticTarget):
            raise InputError(f"target={target!r} is unknown; choose from {', '.join(get_args(SyntheticTarget))}")
        if n_subtypes < 1 or n_clusters % n_subtypes != 0:
            raise InputError(f"n_subtypes={n_subtypes} of each class must divide n_clusters={n_clusters}")
        if target == "class" and n_clusters == n_subtypes:
            raise InputError(f"n_subtypes={n_subtypes} of {n_clusters} clusters leave a single class; lower it")
        self.n_samples = n_samples
        self.n_features = n_features
        self.n_informative = n_informative
        self.n_clusters = n_clusters
        self.separation = separation
        self.random_state = random_state
        self.target = target
        self.n_subtypes = n_subtypes
        self.labels = labels

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.n_features,)

    @property
    def target_spec(self) -> TargetSpec | None:
        if self.target == "none":
            return None
        names: dict[TargetKind, list[str]] = {
            "class": [f"class {c}" for c in range(self.n_clusters // self.n_subtypes)],
            "value": ["value"],
            "survival": ["time", "event"],
        }
        return TargetSpec(self.target, names[self.target])

    @property
    def feature_names(self) -> list[str]:
        return [f"{'informative' if j < self.n_informative else 'noise'}_{j}" for j in range(self.n_features)]

    def load(self) -> Samples:
        random = np.random.default_rng(self.random_state)
        centres = random.normal(scale=self.separation, size=(self.n_clusters, self.n_informative))
        y = random.permutation(np.arange(self.n_samples) % self.n_clusters)
        x = random.normal(size=(self.n_samples, self.n_features))
        x[:, : self.n_informative] += centres[y]
        return Samples(x, y if self.labels else None, self._targets(x[:, : self.n_informative], y, random))

    def _targets(self, informative: NDArray[Any], y: NDArray[Any], random: np.random.Generator) -> NDArray[Any] | None:
        if self.target == "none":
            return None
        if self.target == "class":
            return np.asarray(y // self.n_subtypes)
        risk = informative @ random.choice([-1.0, 1.0], size=self.n_informative)
        risk = (risk - risk.mean()) / risk.std()
        if self.target == "value":
            return np.asarray(risk + random.normal(scale=_NOISE, size=self.n_samples))[:, None]
        death = random.exponential(np.exp(-risk))
        censoring = random.exponential(1.0 / _CENSORING, size=self.n_samples)
        return np.column_stack([np.minimum(death, censoring), death <= censoring])
