"""Tests of DEC against a training loop that is written from the paper, and of its documented behaviour."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_dc import DEC, IDEC, InputError, MLPAutoencoder, PhaseConfig
from lightning_dc.randomness import StepRandom, mix_seed
from lightning_dc.schedules import Linear, StepDecay
from tests.helpers.methods import RECONSTRUCTION, REFRESH, SGD, Blobs, Observe, dec, plain_autoencoder, trainer, weights


def test_a_whole_fit_equals_a_loop_written_from_the_paper(tmp_path: Path) -> None:
    """SGD on the reconstruction, then KL(P || Q) with a global P every 3 steps; float64, tolerance 1e-10."""
    model = dec()
    initial = {name: value.detach().clone().double() for name, value in model.named_parameters()}
    observe = Observe()
    data = Blobs()
    trainer(tmp_path, observe, precision="64-true").fit(model, data)

    # The same training in plain torch.
    x = torch.as_tensor(data.load().x)
    x = x / x.square().mean().sqrt()
    p = {name: value.clone().requires_grad_() for name, value in initial.items()}
    encode, decode = plain_autoencoder(p)
    steps = -(-150 // 40)

    def assign(batch: Tensor) -> Tensor:
        distances = torch.cdist(encode(batch), p["model.head.centroids"], compute_mode="donot_use_mm_for_euclid_dist")
        kernel = 1 / (1 + distances**2)
        return kernel / kernel.sum(1, keepdim=True)

    velocity = {name: torch.zeros_like(value) for name, value in p.items()}

    def step(loss: Tensor, names: list[str]) -> None:
        for name, gradient in zip(names, torch.autograd.grad(loss, [p[name] for name in names]), strict=True):
            velocity[name] = 0.9 * velocity[name] + gradient
            p[name].data -= 0.1 * velocity[name]

    autoencoder = [name for name in p if name.startswith("model.network")]
    encoder_and_head = [name for name in p if "network.encoder" in name or name.startswith("model.head")]
    target = torch.empty(0)
    for epoch in range(6):
        order = torch.randperm(150, generator=torch.Generator().manual_seed(mix_seed(0, epoch)))
        if epoch == 2:
            # k-means is tested by itself: take its centroids, and check that they are those of the embeddings.
            start = observe.weights[2 * steps]["model.head.centroids"]
            p["model.head.centroids"].data.copy_(start)
            velocity = {name: torch.zeros_like(value) for name, value in p.items()}
        for i in range(steps):
            rows = order[i * 40 : (i + 1) * 40]
            if epoch < 2:
                batch = x[rows]
                step(((decode(encode(batch)) - batch) ** 2).mean(), autoencoder)
                continue
            if ((epoch - 2) * steps + i) % 3 == 0:
                with torch.no_grad():
                    q = assign(x)
                    weight = q**2 / q.sum(0)
                    target = weight / weight.sum(1, keepdim=True)
            q = assign(x[rows])
            step((target[rows] * (target[rows] / q).log()).sum(1).mean(), encoder_and_head)
    for name, value in model.named_parameters():
        torch.testing.assert_close(value, p[name].detach(), rtol=0, atol=1e-10, msg=name)


def test_centroids_start_as_the_means_of_their_clusters(tmp_path: Path) -> None:
    model = dec(clustering=PhaseConfig(max_steps=1, loss_weights={"kl": 1.0}, optimizer=SGD))
    observe = Observe()
    data = Blobs()
    trainer(tmp_path, observe).fit(model, data)
    before = dec()
    before.load_state_dict(observe.weights[-1], strict=False)
    z = before.embed(data.train_dataloader().read(0, 150).x)
    centroids = observe.weights[-1]["model.head.centroids"]
    labels = torch.cdist(z, centroids).argmin(1)
    for k in range(3):
        torch.testing.assert_close(centroids[k], z[labels == k].mean(0), rtol=0, atol=1e-2)


@pytest.mark.parametrize("y", ["permuted", "none", "unknown"])
def test_labels_are_never_used_in_training(tmp_path: Path, y: str) -> None:
    fitted = []
    for labels in ("true", y):
        model = dec()
        trainer(tmp_path).fit(model, Blobs(labels))
        fitted.append(weights(model))
    assert torch.equal(*fitted)


def test_dec_without_backprop_trains_centroids_only(tmp_path: Path) -> None:
    config = PhaseConfig(max_epochs=3, loss_weights={"kl": 1.0}, optimizer=SGD, trainable=["head"])
    model, observe = dec(clustering=config), Observe()
    trainer(tmp_path, observe).fit(model, Blobs())
    first, last = observe.weights[observe.phases.index("clustering")], dict(model.named_parameters())
    assert not torch.equal(first["model.head.centroids"], last["model.head.centroids"])
    for name in first:
        if not name.startswith("model.head"):
            assert torch.equal(first[name], last[name]), name


def test_layers_train_one_by_one(tmp_path: Path) -> None:
    model = dec(layerwise=PhaseConfig(max_epochs=1, loss_weights=RECONSTRUCTION, dropout=0.2, optimizer=SGD))
    observe = Observe()
    trainer(tmp_path, observe).fit(model, Blobs())
    assert list(dict.fromkeys(observe.phases)) == ["layer 1", "layer 2", "pretraining", "clustering"]
    start, second = observe.weights[0], observe.weights[observe.phases.index("layer 2")]
    whole = observe.weights[observe.phases.index("pretraining")]
    moved = {name for name in start if not torch.equal(start[name], second[name])}
    assert moved == {
        f"model.network.{part}.{kind}"
        for part in ("encoder.linear_1", "decoder.linear_2")
        for kind in ("weight", "bias")
    }
    moved = {name for name in start if not torch.equal(second[name], whole[name])}
    assert moved == {
        f"model.network.{part}.{kind}"
        for part in ("encoder.linear_2", "decoder.linear_1")
        for kind in ("weight", "bias")
    }


def test_rates_follow_the_schedules_of_the_phase(tmp_path: Path) -> None:
    config = PhaseConfig(
        max_steps=6,
        loss_weights=RECONSTRUCTION,
        optimizer=SGD,
        lr_schedule=StepDecay(every_n_steps=2, factor=0.1),
        momentum_schedule=Linear(0.0, 1.0, n_steps=4),
    )
    model, observe = dec(pretraining=config), Observe()
    trainer(tmp_path, observe).fit(model, Blobs())
    expected = [(0.1, 0.0), (0.1, 0.225), (0.01, 0.45), (0.01, 0.675), (0.001, 0.9), (0.001, 0.9), (0.1, 0.9)]
    np.testing.assert_allclose(observe.rates[:7], expected, rtol=1e-12)


def test_biases_learn_faster_where_asked(tmp_path: Path) -> None:
    plain = functools.partial(torch.optim.SGD, lr=0.1)
    ends = []
    for factor in (1.0, 2.0):
        config = PhaseConfig(max_steps=1, loss_weights=RECONSTRUCTION, optimizer=plain, bias_lr_factor=factor)
        model = dec(pretraining=config)
        observe = Observe()
        trainer(tmp_path, observe).fit(model, Blobs())
        ends.append((observe.weights[0], observe.weights[1]))
    (start, once), (_, twice) = ends
    bias, weight = "model.network.decoder.linear_2.bias", "model.network.decoder.linear_2.weight"
    torch.testing.assert_close(twice[bias] - start[bias], 2 * (once[bias] - start[bias]))
    assert torch.equal(twice[weight], once[weight])


def test_frequencies_alone_give_the_target_of_the_current_assignments(tmp_path: Path) -> None:
    """With a refresh before every step, both modes compute the same."""
    fitted = []
    for keep in (True, False):
        model = dec(refresh=REFRESH(every_n_steps=1), keep_p_table=keep)
        trainer(tmp_path).fit(model, Blobs())
        assert model.state.target_distribution is not None
        assert (model.state.target_distribution.table is None) is not keep
        fitted.append(weights(model))
    torch.testing.assert_close(*fitted, rtol=0, atol=1e-5)


def test_clustering_recovers_separated_blobs(tmp_path: Path) -> None:
    model = dec(pretraining=PhaseConfig(max_epochs=60, loss_weights=RECONSTRUCTION))
    run = trainer(tmp_path)
    run.fit(model, Blobs())
    scores = run.validate(model, Blobs(), verbose=False)[0]
    assert scores["val/acc"] > 0.97


def test_a_users_own_dataloader(tmp_path: Path) -> None:
    data = Blobs()
    x, y = data.train_dataloader().read(0, 150)[:2]
    assert y is not None
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y, torch.arange(150)), batch_size=40, shuffle=True
    )
    model = dec()
    trainer(tmp_path).fit(model, loader)
    assert model.state.assignments is not None
    assert model.state.assignments.labels.shape == (150,)
    wrong = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y, torch.arange(150) + 1), batch_size=40)
    with pytest.raises(InputError, match="index of a sample must be its place"):
        trainer(tmp_path).fit(dec(), wrong)
    plain = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=40)
    with pytest.raises(InputError, match="must hold each sample's index"):
        trainer(tmp_path).fit(dec(), plain)


@pytest.mark.parametrize("base", [DEC, pl.LightningModule])
def test_a_model_built_in_python_loads_from_its_checkpoint(tmp_path: Path, base: type[pl.LightningModule]) -> None:
    model = dec(
        pretraining=PhaseConfig(
            max_epochs=2,
            loss_weights={"reconstruction": Linear(0.5, 1.0)},
            optimizer=SGD,
            lr_schedule=StepDecay(every_n_steps=3),
        )
    )
    run = trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = base.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert type(loaded) is DEC
    assert torch.equal(weights(loaded), weights(model))
    assert loaded.phases[0].config.lr_schedule is not None
    assert loaded.phases[0].n_steps(4) == model.phases[0].n_steps(4)
    x = Blobs().train_dataloader().read(0, 150).x
    assert torch.equal(loaded(x), model(x))


def test_what_no_checkpoint_can_describe_is_refused() -> None:
    with pytest.raises(InputError, match=r"DEC.autoencoder is <function .*partial"):
        dec(autoencoder=lambda shape: MLPAutoencoder(shape))


def test_a_second_fit_of_a_finished_model_does_nothing(tmp_path: Path) -> None:
    model = dec()
    run = trainer(tmp_path)
    run.fit(model, Blobs())
    before, steps = weights(model), run.global_step
    run.save_checkpoint(tmp_path / "end.ckpt")
    again = dec()
    rerun = trainer(tmp_path)
    rerun.fit(again, Blobs(), ckpt_path=tmp_path / "end.ckpt", weights_only=True)
    assert torch.equal(weights(again), before)
    assert rerun.global_step == steps


def test_gradient_accumulation_counts_optimizer_steps(tmp_path: Path) -> None:
    model, observe = dec(), Observe()
    run = trainer(tmp_path, observe, accumulate_grad_batches=2)
    run.fit(model, Blobs())
    assert run.global_step == 6 * 2  # four batches an epoch, two steps
    assert model.phases_over


def test_a_model_that_was_fitted_can_be_fitted_again(tmp_path: Path) -> None:
    model = dec()
    trainer(tmp_path).fit(model, Blobs())
    once = weights(model)
    observe = Observe()
    run = trainer(tmp_path, observe)
    run.fit(model, Blobs())
    assert run.global_step == 6 * 4
    assert list(dict.fromkeys(observe.phases)) == ["pretraining", "clustering"]
    assert not torch.equal(weights(model), once)


def test_a_slip_in_the_optimizer_of_a_late_phase_comes_before_training(tmp_path: Path) -> None:
    wrong = functools.partial(torch.optim.SGD, lr=-1.0)
    observe = Observe()
    model = dec(clustering=PhaseConfig(max_epochs=1, loss_weights={"kl": 1.0}, optimizer=wrong))
    with pytest.raises(InputError, match="optimizer of phase 'clustering': Invalid learning rate"):
        trainer(tmp_path, observe).fit(model, Blobs())
    assert not observe.phases


def test_resuming_on_other_data_is_refused(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit(dec(), Blobs())
    run.save_checkpoint(tmp_path / "all.ckpt")
    fewer = Blobs()
    fewer.val_fraction = 0.2
    with pytest.raises(InputError, match="a run on 150 samples, but the training set has 120"):
        trainer(tmp_path).fit(dec(), fewer, ckpt_path=tmp_path / "all.ckpt", weights_only=True)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit(dec(), Blobs())
    run.save_checkpoint(tmp_path / "narrow.ckpt")
    wide = dec(autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[9], latent_dim=2))
    with pytest.raises(InputError, match="use the configuration that wrote it"):
        trainer(tmp_path).fit(wide, Blobs(), ckpt_path=tmp_path / "narrow.ckpt", weights_only=True)


def test_numpy_numbers_in_a_config_give_a_safe_checkpoint(tmp_path: Path) -> None:
    optimizer = functools.partial(torch.optim.SGD, lr=np.float64(0.1), momentum=0.9)
    model = dec(
        nu=np.float64(1.5), pretraining=PhaseConfig(max_epochs=1, loss_weights=RECONSTRUCTION, optimizer=optimizer)
    )
    run = trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    assert DEC.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).model.head.nu == 1.5


def test_micro_batches_of_one_step_draw_different_noise() -> None:
    first, second = (StepRandom(0, 1, 4, torch.device("cpu"), micro_batch).uniform("a", 3) for micro_batch in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layerwise": PhaseConfig(max_epochs=1, loss_weights=RECONSTRUCTION, input_dropout=0.1)}, "layerwise takes"),
        ({"clustering": PhaseConfig(max_epochs=1, loss_weights={"kl": 1.0}, trainable=[])}, "names no part"),
        ({"pretraining": PhaseConfig(max_epochs=1)}, "name no term"),
        (
            {"clustering": PhaseConfig(max_epochs=1, loss_weights={"kl": 1.0}, trainable=["head", "tail"])},
            r"trainable of phase 'clustering' names \['tail'\], which DEC does not have; choose from encoder, ",
        ),
        ({"pretraining": PhaseConfig(), "clustering": PhaseConfig()}, "every phase has length 0"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dec(**arguments)


def test_a_loss_that_is_no_number_is_reported(tmp_path: Path) -> None:
    huge = functools.partial(torch.optim.SGD, lr=1e30)
    model = dec(pretraining=PhaseConfig(max_epochs=20, loss_weights=RECONSTRUCTION, optimizer=huge))
    with pytest.raises(InputError, match=r"loss of phase 'pretraining' is .*lower the learning rate"):
        trainer(tmp_path, log_every_n_steps=2).fit(model, Blobs())


def stopped_in_pretraining(tmp_path: Path) -> Path:
    path = tmp_path / "stopped.ckpt"
    started = trainer(tmp_path, max_steps=3)
    started.fit(dec(), Blobs())
    started.save_checkpoint(path)
    return path


def test_settings_of_the_optimizer_are_those_of_the_resumed_run(tmp_path: Path) -> None:
    path = stopped_in_pretraining(tmp_path)
    decaying = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.5)
    ends = []
    for optimizer in (SGD, decaying):
        model = dec(pretraining=PhaseConfig(max_epochs=2, loss_weights=RECONSTRUCTION, optimizer=optimizer))
        trainer(tmp_path, max_steps=6).fit(model, Blobs(), ckpt_path=path)
        ends.append(weights(model.model.network).norm())
    assert ends[1] < 0.9 * ends[0]


def test_a_run_resumes_with_the_optimizer_that_it_began_with(tmp_path: Path) -> None:
    path = stopped_in_pretraining(tmp_path)
    model = dec(pretraining=PhaseConfig(max_epochs=2, loss_weights=RECONSTRUCTION, optimizer=torch.optim.Adam))
    with pytest.raises(InputError, match="optimizer in phase 'pretraining' is SGD, but here it is Adam"):
        trainer(tmp_path).fit(model, Blobs(), ckpt_path=path)


def test_a_fit_that_ends_before_there_are_clusters_warns_and_does_not_predict(tmp_path: Path) -> None:
    model, run = dec(), trainer(tmp_path, max_epochs=1)
    with pytest.warns(UserWarning, match="Training has ended in phase 'pretraining', before there were clusters"):
        run.fit(model, Blobs())
    assert model.final is None
    with pytest.raises(InputError, match="centroids were never set"):
        run.predict(model, Blobs())


def test_clustering_has_the_optimizer_of_the_paper_by_default() -> None:
    """SGD with a rate of 0.01 and a momentum of 0.9 (section 4.3); the authors of IDEC have Adam."""
    optimizers = {phase.name: phase.config.optimizer([torch.zeros(1)]) for phase in DEC((6,), 3).phases}
    assert isinstance(optimizers["clustering"], torch.optim.SGD)
    settings = optimizers["clustering"].param_groups[0]
    assert (settings["lr"], settings["momentum"], settings["weight_decay"]) == (0.01, 0.9, 0.0)
    assert isinstance(optimizers["pretraining"], torch.optim.Adam)
    assert all(isinstance(phase.config.optimizer([torch.zeros(1)]), torch.optim.Adam) for phase in IDEC((6,), 3).phases)


def test_the_default_optimizer_survives_a_checkpoint(tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    model = DEC((6,), 3, pretraining=PhaseConfig(max_steps=1, loss_weights=RECONSTRUCTION))
    run = trainer(tmp_path, max_steps=2)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "a.ckpt")
    again = DEC.load_from_checkpoint(tmp_path / "a.ckpt").phases[-1].config.optimizer([torch.zeros(1)])
    assert (again.param_groups[0]["lr"], again.param_groups[0]["momentum"]) == (0.01, 0.9)
