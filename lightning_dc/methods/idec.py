"""Improved Deep Embedded Clustering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.encoders import AutoencoderFactory, LayerFeatures, MLPAutoencoder
from lightning_dc.heads import HeadFactory
from lightning_dc.losses import LossTerm
from lightning_dc.methods.dec import DEC
from lightning_dc.methods.pretraining import LAYERWISE, PRETRAINING
from lightning_dc.methods.settings import KMeansConfig, RefreshConfig
from lightning_dc.training import PhaseConfig


class IDEC(DEC):
    r"""IDEC (Guo et al. 2017, https://www.ijcai.org/proceedings/2017/243): DEC that keeps its decoder.

    The loss of clustering is L_r + gamma L_c (eq. 6), where L_r is the reconstruction error of the whole autoencoder,
    L_c is the divergence of DEC, and gamma = 0.1. The weights of both are entries of ``clustering.loss_weights``,
    numbers or schedules. Aljalbout et al. (2018, https://arxiv.org/abs/1801.07648) weight both by 1 and finally run
    k-means on the trained embedding, as ``--summary.recluster kmeans`` does.

    *The meaning of gamma.* L_r is the mean over the F features of a sample, as in the authors' code
    (https://github.com/XifengGuo/IDEC), for which gamma = 0.1 was published; eq. 8 of the paper has the sum. A gamma
    that is meant for the sum is ``kl`` = gamma / F here. The balance also depends on the scaling, since L_r grows with
    the square of the inputs. The published gamma went with MNIST divided by 50, whose mean square is 2.9; for inputs
    of the mean square m, the same balance is

    .. math:: \text{kl} = 0.1 \, m / 2.9

    which is 0.034 for the scalings ``rms``, ``standard`` and ``unit`` (m = 1). The default is the authors' number, 0.1.

    *Deviations from the paper.* Clustering is by Adam, which the authors take for MNIST; for USPS and Reuters they take
    SGD with a learning rate of 0.1 and a momentum of 0.99. Pretraining, batches and empty clusters are those of
    :class:`DEC`.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: class or function that builds the autoencoder from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        nu: degrees of freedom of the Student-t kernel (the paper's alpha).
        head: class or function that builds the clustering head from the number of clusters and the width of the
            representation; None is :class:`~lightning_dc.heads.StudentTHead` with ``nu``. A head without centroids
            needs no k-means.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining, layer by layer; its length is that of *one* layer.
        pretraining: training of the whole autoencoder.
        clustering: training of encoder, decoder and centroids.
        kmeans: settings of k-means, which sets the centroids.
        refresh: settings of the refresh of P and the assignments, and of convergence.
        keep_p_table: True holds P for every sample, N x K numbers; False holds only the K cluster frequencies; None
            holds P for every sample if it has at most 2^26 numbers.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> IDEC(input_shape=(64,), n_clusters=10).phases[-1].trainable
        ('encoder', 'decoder', 'head')
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        autoencoder: AutoencoderFactory = MLPAutoencoder,
        representation: Sequence[str | LayerFeatures] | None = None,
        nu: float = 1.0,
        head: HeadFactory | None = None,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PRETRAINING,
        clustering: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"reconstruction": 1.0, "kl": 0.1}),
        kmeans: KMeansConfig = KMeansConfig(),
        refresh: RefreshConfig = RefreshConfig(),
        keep_p_table: bool | None = None,
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        super().__init__(
            input_shape=input_shape,
            n_clusters=n_clusters,
            autoencoder=autoencoder,
            representation=representation,
            nu=nu,
            head=head,
            augmentation=augmentation,
            layerwise=layerwise,
            pretraining=pretraining,
            clustering=clustering,
            kmeans=kmeans,
            refresh=refresh,
            keep_p_table=keep_p_table,
            extra_losses=extra_losses,
        )
