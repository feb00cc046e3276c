"""Tests of DeepType against a training loop that is written from the paper, and of its documented behaviour."""

from __future__ import annotations

import csv
import functools
import math
import warnings
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch as pl
import numpy as np
import pytest
import scipy.sparse
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional

from datamodules import ClusteringDataModule, Samples, SyntheticDataModule
from lightning_dc import DeepType, InputError, KMeansConfig, MLPEncoder, PhaseConfig, RefreshConfig, TargetSpec
from lightning_dc.batch import TargetKind
from lightning_dc.randomness import mix_seed
from lightning_dc.reports import FeatureTable
from lightning_dc.schedules import Exponential
from lightning_dc.training import assign_all, training_loader
from tests.helpers.methods import Observe, trainer, weights

SLOW = functools.partial(torch.optim.SGD, lr=0.05)
NAMES: dict[str, tuple[str, ...]] = {
    "class": ("a", "b", "c"),
    "multilabel": ("a", "b"),
    "value": ("v",),
    "survival": ("time", "event"),
}


class Outcomes(ClusteringDataModule):
    """DataModule of 150 samples of 6 inputs around 3 centres, in float64; a fifth of the targets is missing."""

    def __init__(self, kind: TargetKind = "class", y: str = "true", missing: bool = True, batch_size: int = 40) -> None:
        super().__init__(batch_size=batch_size, scaling="standard")
        self.kind: TargetKind = kind
        self.y = y
        self.missing = missing

    @property
    def target_spec(self) -> TargetSpec:
        return TargetSpec(self.kind, NAMES[self.kind])

    def load(self) -> Samples:
        random = np.random.default_rng(0)
        y = np.arange(150) % 3
        x = random.normal(scale=3, size=(3, 6))[y] + random.normal(size=(150, 6))
        targets: Any = {
            "class": y,
            "multilabel": np.column_stack([y == 0, y > 1]).astype(float),
            "value": (x[:, :1] + y[:, None]),
            "survival": np.column_stack([random.exponential(1.0 + y), random.random(150) < 0.7]),
        }[self.kind]
        if self.missing:
            targets[::5] = -1 if self.kind == "class" else np.nan
        labels = {"true": y, "permuted": random.permutation(y), "unknown": np.full(150, -1)}
        return Samples(x, labels[self.y], targets)


def deeptype(kind: TargetKind = "class", **kwargs: Any) -> DeepType:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "input_shape": (6,),
        "target_spec": TargetSpec(kind, NAMES[kind]),
        "n_clusters": 3,
        "encoder": functools.partial(MLPEncoder, hidden_dims=[8, 5]),
        "pretraining": PhaseConfig(max_epochs=2, loss_weights={"task": 1.0, "sparsity": 0.1}, optimizer=SLOW),
        "joint": PhaseConfig(
            max_epochs=2, loss_weights={"task": 1.0, "sparsity": 0.1, "distance": 0.3}, optimizer=SLOW
        ),
        "gamma": None,
        "kmeans": KMeansConfig(n_init=3),
        "refresh": RefreshConfig(every_n_epochs=1, tolerance=0.0),
    }
    return DeepType(**{**defaults, **kwargs})


@pytest.mark.parametrize("proximal", [True, False])
def test_a_whole_fit_equals_a_loop_written_from_the_paper(tmp_path: Path, proximal: bool) -> None:
    """Cross-entropy with a ramp of alpha, then with the squared distance, too; float64, tolerance 1e-10."""
    ramp = {"task": 1.0, "sparsity": Exponential(0.0, 0.2, time_constant=5)}
    pretraining = PhaseConfig(max_epochs=2, loss_weights=ramp, optimizer=SLOW)
    model = deeptype(pretraining=pretraining, proximal=proximal, representation=["activation_1", "activation_2"])
    p = {name: value.detach().clone().double().requires_grad_() for name, value in model.named_parameters()}
    observe = Observe()
    trainer(tmp_path, observe, precision="64-true").fit(model, Outcomes())

    samples = Outcomes().load()
    x = torch.as_tensor((samples.x - samples.x.mean(0)) / samples.x.std(0))
    classes = torch.as_tensor(samples.targets)

    def encode(batch: Tensor) -> tuple[Tensor, Tensor]:
        names = [f"model.network.encoder.linear_{i}" for i in (1, 2)]
        first = torch.relu(batch @ p[f"{names[0]}.weight"].T + p[f"{names[0]}.bias"])
        second = torch.relu(first @ p[f"{names[1]}.weight"].T + p[f"{names[1]}.bias"])
        return torch.cat([first, second], 1), second @ p["model.task_head.linear.weight"].T + p[
            "model.task_head.linear.bias"
        ]

    input_weight = p["model.network.encoder.linear_1.weight"]
    trained = [value for name, value in p.items() if not name.startswith("model.head")]
    step, centroids = 0, torch.zeros(3, 13).double()
    for epoch in range(4):
        order = torch.randperm(150, generator=torch.Generator().manual_seed(mix_seed(0, epoch)))
        if epoch == 2:  # k-means is tested by itself: take its centroids
            centroids = observe.weights[step]["model.head.centroids"]
        elif epoch == 3:
            z = encode(x)[0].detach().numpy()
            centroids = torch.as_tensor(KMeans(3, init=centroids.numpy(), n_init=1, tol=0).fit(z).cluster_centers_)
        for i in range(4):
            rows = order[i * 40 : (i + 1) * 40]
            z, output = encode(x[rows])
            alpha = 0.2 * (1 - math.exp(-step / 5)) if epoch < 2 else 0.1
            loss = functional.cross_entropy(output, classes[rows], ignore_index=-1)
            if not proximal:
                loss = loss + alpha * input_weight.norm(dim=0).sum()
            if epoch >= 2:
                loss = loss + 0.3 * torch.cdist(z, centroids).min(1).values.square().mean()
            for value, gradient in zip(trained, torch.autograd.grad(loss, trained), strict=True):
                value.data -= 0.05 * gradient
            step += 1
            if proximal:
                alpha = 0.2 * (1 - math.exp(-step / 5)) if epoch < 2 else 0.1
                norms = input_weight.detach().norm(dim=0)
                input_weight.data *= (1 - 0.05 * alpha / norms).clamp_min(0.0)
    for name, value in model.named_parameters():
        if not name.startswith("model.head"):
            torch.testing.assert_close(value.detach(), p[name].detach(), rtol=0, atol=1e-10, msg=name)


def test_dropped_inputs_are_exactly_zero_and_the_others_are_named(tmp_path: Path) -> None:
    data = SyntheticDataModule(target="class", scaling="standard", batch_size=64)
    pl.seed_everything(0, verbose=False)
    model = DeepType((20,), data.target_spec, 4, representation=["activation_1"])
    run = trainer(tmp_path, FeatureTable(), logger=CSVLogger(tmp_path, version=0))
    run.fit(model, data)
    assert (model.importance[:5] > 0.1).all()
    assert (model.model.network.input_layer.weight[:, 5:] == 0).all()
    assert assign_all(model, training_loader(model)).scores()["ari"] == pytest.approx(1.0)
    ((name, value),) = model.summary_rows()
    assert name == "selected inputs"
    assert value.startswith("5 of 20")
    assert {f"informative_{j}" for j in range(5)} == set(value.split("\n")[1:])

    with (Path(run.log_dir) / "features.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in rows] == list(range(1, 21))
    assert [row["feature"] for row in rows if row["selected"] == "1"] == value.split("\n")[1:]
    labels = assign_all(model, training_loader(model)).labels.numpy()
    x = np.asarray(data.load().x)
    for row in rows:
        column = x[:, int(row["index"])]
        for k in range(4):
            own, rest = column[labels == k], column[labels != k]
            pooled = ((len(own) - 1) * own.var(ddof=1) + (len(rest) - 1) * rest.var(ddof=1)) / (len(column) - 2)
            expected = (own.mean() - rest.mean()) / math.sqrt(pooled)
            assert float(row[f"standardized_difference_cluster_{k}"]) == pytest.approx(expected, abs=1e-4)
            assert float(row[f"mean_cluster_{k}"]) == pytest.approx(own.mean(), abs=1e-3 * column.std())


class ExclusiveOr(ClusteringDataModule):
    """DataModule whose class is whether the first two of 6 inputs have the same sign; each alone is uninformative."""

    target_spec = TargetSpec("class", ["unlike", "like"])

    def __init__(self) -> None:
        super().__init__(batch_size=40, scaling="standard")

    def load(self) -> Samples:
        random = np.random.default_rng(0)
        signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[np.arange(400) % 4]
        x = random.normal(size=(400, 6))
        x[:, :2] = 2.0 * signs + 0.5 * x[:, :2]
        y = (signs.prod(1) > 0).astype(np.int64)
        return Samples(x, None, y)


def test_a_run_that_sees_no_evidence_warns_and_equal_penalties_find_the_inputs(tmp_path: Path) -> None:
    fast = functools.partial(torch.optim.Adam, lr=1e-2)
    kept = []
    for gamma, alpha in ((2.0, 1.0), (None, 0.05)):
        weights_of = {"task": 1.0, "sparsity": alpha}
        model = deeptype(
            target_spec=ExclusiveOr.target_spec,
            pretraining=PhaseConfig(max_epochs=15, loss_weights=weights_of, optimizer=fast),
            joint=PhaseConfig(max_epochs=1, loss_weights={**weights_of, "distance": 0.01}, optimizer=fast),
            gamma=gamma,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            trainer(tmp_path).fit(model, ExclusiveOr())
        said = " ".join(str(warning.message) for warning in caught)
        for message in ("Phase 'pretraining': no input is associated with the targets", "of all inputs are zero"):
            assert (message in said) == (gamma is not None)
        assert "gamma=null" in said or gamma is None
        kept.append(model.importance > 0)
    assert not kept[0].any()
    assert kept[1][:2].all()


def test_clusters_are_finer_than_the_classes(tmp_path: Path) -> None:
    data = SyntheticDataModule(400, 10, 4, 4, 8.0, target="class", n_subtypes=2, scaling="standard", batch_size=32)
    pl.seed_everything(0, verbose=False)
    model = DeepType((10,), data.target_spec, 4, representation=["activation_1"])
    trainer(tmp_path).fit(model, data)
    assert data.target_spec.n_outputs == 2
    assert assign_all(model, training_loader(model)).scores()["ari"] > 0.95


@pytest.mark.parametrize("kind", get_args(TargetKind))
def test_targets_of_each_kind_are_learned(tmp_path: Path, kind: TargetKind) -> None:
    fast = functools.partial(torch.optim.Adam, lr=1e-2)
    pretraining = PhaseConfig(max_epochs=30, loss_weights={"task": 1.0, "sparsity": 0.1}, optimizer=fast)
    model, run = deeptype(kind, pretraining=pretraining, gamma=2.0), trainer(tmp_path)
    before = run.validate(model, Outcomes(kind), verbose=False)[0]
    run = trainer(tmp_path)
    run.fit(model, Outcomes(kind))
    after = run.validate(model, Outcomes(kind), verbose=False)[0]
    assert after["val/task"] < (0.98 if kind == "survival" else 0.5) * before["val/task"]
    assert ("val/task_accuracy" in after) == (kind == "class")
    if kind == "class":
        assert after["val/task_accuracy"] > 0.95


def test_a_task_is_not_learned_from_samples_without_a_target_but_they_are_clustered(tmp_path: Path) -> None:
    class Shifted(Outcomes):
        """DataModule whose samples without a target lie elsewhere."""

        def load(self) -> Samples:
            samples = super().load()
            x = np.array(samples.x)
            x[::5] += 1.0
            return samples._replace(x=x)

    fitted = {}
    for distance in (0.0, 0.3):
        joint = PhaseConfig(max_epochs=1, loss_weights={"task": 1.0, "distance": distance}, optimizer=SLOW)
        for data in (Outcomes(), Shifted()):
            data.scaling_name = "none"
            model = deeptype(pretraining=PhaseConfig(), joint=joint)
            with torch.no_grad():
                trainer(tmp_path).fit(model, data)
            fitted[distance, type(data)] = torch.cat([weights(model.model.network), weights(model.model.task_head)])
    assert torch.equal(fitted[0.0, Outcomes], fitted[0.0, Shifted])
    assert not torch.equal(fitted[0.3, Outcomes], fitted[0.3, Shifted])


@pytest.mark.parametrize("y", ["permuted", "unknown"])
def test_labels_for_evaluation_are_never_used_in_training(tmp_path: Path, y: str) -> None:
    fitted = []
    for labels in ("true", y):
        model = deeptype(gamma=2.0)
        trainer(tmp_path).fit(model, Outcomes(y=labels))
        fitted.append(weights(model))
    assert torch.equal(*fitted)


def test_it_stops_when_labels_have_not_changed_so_many_times(tmp_path: Path) -> None:
    still = functools.partial(torch.optim.SGD, lr=0.0)
    joint = PhaseConfig(max_epochs=50, loss_weights={"task": 1.0, "distance": 1.0}, optimizer=still)
    for patience in (1, 3):
        run = trainer(tmp_path)
        run.fit(deeptype(joint=joint, refresh=RefreshConfig(every_n_epochs=1, patience=patience)), Outcomes())
        assert run.global_step == 8 + 4 * patience + 1  # pretraining, refreshes of an unchanged encoder, k-means


@pytest.mark.filterwarnings("ignore:The weights of all inputs are zero")
@pytest.mark.parametrize("norm", ["l1", "ridge", "l21", "l1inf"])
def test_every_norm_trains(tmp_path: Path, norm: Any) -> None:
    strong = PhaseConfig(max_epochs=2, loss_weights={"task": 1.0, "sparsity": 20.0}, optimizer=SLOW)
    model = deeptype(norm=norm, pretraining=strong)
    trainer(tmp_path).fit(model, Outcomes())
    assert (model.model.network.input_layer.weight == 0).any() == (norm != "ridge")


def test_no_weight_is_above_the_bound(tmp_path: Path) -> None:
    task = PhaseConfig(max_epochs=2, loss_weights={"task": 1.0}, optimizer=SLOW)
    model = deeptype(bound=0.05, pretraining=task, joint=task)
    trainer(tmp_path).fit(model, Outcomes())
    assert float(model.model.network.input_layer.weight.detach().abs().max()) == pytest.approx(0.05)
    assert float(model.model.network.encoder.linear_2.weight.detach().abs().max()) > 0.05


def test_inputs_of_a_group_are_kept_or_dropped_together(tmp_path: Path) -> None:
    groups = [[0, 3], [1], [2, 4, 5]]
    strong = PhaseConfig(max_epochs=3, loss_weights={"task": 1.0, "sparsity": 1.0}, optimizer=SLOW)
    model = deeptype(pretraining=strong, feature_groups=groups)
    trainer(tmp_path).fit(model, Outcomes())
    zero = (model.model.network.input_layer.weight == 0).all(0)
    assert zero.any()
    for group in groups:
        assert len(set(zero[group].tolist())) == 1
        assert len(set(model.importance[group].tolist())) == 1


def test_inputs_of_equal_importance_are_named_in_their_order() -> None:
    model = deeptype(input_shape=(40,))
    torch.nn.init.ones_(model.model.network.input_layer.weight)
    ((_, value),) = model.summary_rows()
    assert value.split("\n")[1:] == [*(f"input_{j}" for j in range(20)), "and 20 more"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_spec": None}, "target_spec is None, but DeepType learns a target"),
        ({"representation": ["layer_9"]}, r"representation=\['layer_9'\] must name different layers of MLPEncoder"),
        ({"representation": []}, "must name different layers"),
        ({"norm": "l3"}, "norm='l3'"),
        ({"gamma": 0.0}, "gamma=0.0"),
        ({"bound": 0.0}, "bound=0.0"),
        ({"refresh": RefreshConfig(patience=0)}, "patience=0"),
        ({"refresh": RefreshConfig(every_n_steps=0)}, "every_n_steps=0 between two refreshes must be at least 1"),
        ({"feature_groups": [[0, 1]]}, "feature_groups"),
        (
            {"joint": PhaseConfig(max_epochs=1, loss_weights={"task": 1.0}, trainable=["decoder"])},
            r"trainable of phase 'joint' names \['decoder'\], which DeepType does not have",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        deeptype(**arguments)


def test_steps_and_epochs_between_refreshes_are_not_given_together() -> None:
    with pytest.raises(
        InputError, match=r"every_n_steps=5 and every_n_epochs=1 are both set; .* add every_n_epochs=null"
    ):
        RefreshConfig(every_n_steps=5, every_n_epochs=1)


def test_data_without_targets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads targets, but the batches have none"):
        trainer(tmp_path).fit(deeptype(), SyntheticDataModule(100, 6, 3, 3, scaling="standard"))


@pytest.mark.parametrize("base", [DeepType, pl.LightningModule])
def test_it_loads_from_its_checkpoint(tmp_path: Path, base: type[pl.LightningModule]) -> None:
    model = deeptype(gamma=1.5, representation=["linear_1"], feature_groups=[[0, 1], [2], [3, 4, 5]])
    run = trainer(tmp_path)
    run.fit(model, Outcomes())
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = base.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert type(loaded) is DeepType
    assert torch.equal(weights(loaded), weights(model))
    x = torch.ones(2, 6)
    assert torch.equal(loaded(x), model(x))
    tasks = [one.model.predict_task(one.model.encode(x).features) for one in (loaded, model)]
    assert torch.equal(*tasks)
    assert torch.equal(loaded.importance, model.importance)


class Units(Outcomes):
    """DataModule whose first input is in another unit."""

    def __init__(self, unit: float, scaling: Any, sparse: bool = False) -> None:
        super().__init__()
        self.unit, self.scaling_name, self.sparse = unit, scaling, sparse

    def load(self) -> Samples:
        samples = super().load()
        x = samples.x / samples.x.std(0)
        x[:, 0] *= self.unit
        return samples._replace(x=scipy.sparse.csr_matrix(x) if self.sparse else x)


def warnings_of(model: DeepType, data: Any, tmp_path: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer(tmp_path, max_steps=1).fit(model, data)
    return [str(warning.message) for warning in caught if "differ in spread" in str(warning.message)]


@pytest.mark.parametrize("unit", [100.0, 0.01])
@pytest.mark.parametrize(("scaling", "sparse"), [("rms", False), ("none", False), ("rms", True)])
def test_inputs_of_other_units_are_told_where_they_are_penalised(
    unit: float, scaling: str, sparse: bool, tmp_path: Path
) -> None:
    (message,) = warnings_of(deeptype(), Units(unit, scaling, sparse), tmp_path)
    assert "by a factor of up to 100, so which of them are kept" in message
    assert "scaling='standard'" in message


@pytest.mark.parametrize(
    ("weights_of", "unit", "scaling"),
    [
        ({"task": 1.0, "sparsity": 0.1}, 100.0, "standard"),
        ({"task": 1.0, "sparsity": 0.1}, 1.0, "rms"),  # the user has given all inputs the same spread
        ({"task": 1.0, "sparsity": 0.1}, 0.0, "rms"),  # a constant input has no unit
        ({"task": 1.0}, 100.0, "rms"),
        ({"task": 1.0, "sparsity": 0.0}, 100.0, "rms"),
    ],
)
def test_units_that_do_not_matter_are_not_told(
    weights_of: dict[str, float], unit: float, scaling: str, tmp_path: Path
) -> None:
    phase = PhaseConfig(max_epochs=1, loss_weights=weights_of, optimizer=SLOW)
    model = deeptype(pretraining=phase, joint=phase)
    assert warnings_of(model, Units(unit, scaling), tmp_path) == []
