from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from lightning_dc import AEKMeans, Identity, InputError, PhaseConfig
from tests.helpers.methods import RECONSTRUCTION, Blobs, trainer


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 4, 5)])
def test_samples_are_their_own_embeddings_and_reconstructions(shape: tuple[int, ...]) -> None:
    identity = Identity(shape)
    x = torch.rand(7, *shape, generator=torch.Generator().manual_seed(0))
    z = identity.encode(x)
    assert z.shape == (7, identity.latent_dim)
    assert z.tolist() == [sample.ravel().tolist() for sample in x.numpy()]
    assert torch.equal(identity.decode(z), x)
    assert torch.equal(identity.decode(identity.encode(x, torch.zeros_like), torch.zeros_like), x)


def test_it_has_nothing_to_train() -> None:
    identity = Identity((2, 3))
    assert not list(identity.parameters())
    assert not identity.state_dict()
    assert identity.n_layers == 0


def test_training_of_nothing_is_refused(tmp_path: Path) -> None:
    phase = PhaseConfig(max_epochs=1, loss_weights=RECONSTRUCTION)
    raw = functools.partial(AEKMeans, (6,), 3, autoencoder=Identity)
    with pytest.raises(InputError, match=r"Identity has no layer-wise pretraining; set layerwise.max_epochs to 0"):
        raw(layerwise=phase)
    with pytest.raises(
        InputError, match="phase 'pretraining' trains encoder, decoder, but Identity has no weights; leave"
    ):
        trainer(tmp_path).fit(raw(pretraining=phase), Blobs())
