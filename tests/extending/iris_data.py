"""A DataModule of a user's own."""

from sklearn.datasets import load_iris

from datamodules import ClusteringDataModule, Samples


class IrisData(ClusteringDataModule):
    """Fisher's iris flowers: 150 samples of 4 lengths, in 3 species.

    Args:
        batch_size: samples in a batch.
    """

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__(batch_size, scaling="standard")

    def load(self) -> Samples:
        """Return all samples."""
        iris = load_iris()
        return Samples(iris.data, iris.target)

    @property
    def feature_names(self) -> list[str]:
        """Name of each input."""
        return list(load_iris().feature_names)
