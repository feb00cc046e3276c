"""DataModule of scikit-learn's handwritten digits."""

from __future__ import annotations

from datamodules.base import ClusteringDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName


class DigitsDataModule(ClusteringDataModule):
    """The 1,797 digits of 8 x 8 pixels that come with scikit-learn (Alpaydin and Kaynak 1998) and need no download.

    Args:
        batch_size: number of samples in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`.
        val_fraction: share of the samples that is held out for validation.
        keep_on_device: hold the samples on the accelerator.
        labels: give the labels, for evaluation.
    """

    def __init__(
        self,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        self.labels = labels

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1, 8, 8)

    def load(self) -> Samples:
        from sklearn.datasets import load_digits

        images, classes = load_digits(return_X_y=True)
        return Samples(images.reshape(-1, 1, 8, 8).astype("float32"), classes if self.labels else None)
