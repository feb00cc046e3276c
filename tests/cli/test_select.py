"""Tests of the choice of settings over resamples."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import adjusted_rand_score

from lightning_dc.cli.choice import (
    LEAST_SEPARATION,
    LEAST_STABILITY,
    Scores,
    Setting,
    agreement,
    choose,
    recovery,
    selection_shares,
    summarize,
)
from lightning_dc.cli.select import _print, _print_doubt, _print_edges, _write_scores, select
from lightning_dc.errors import InputError
from lightning_dc.reports.run_folder import Run
from tests.conftest import CommandLine


def run(labels: list[int], index: list[int] | None = None, loss: float = 0.0, selected: list[str] | None = None) -> Run:
    return Run(torch.tensor(index or range(len(labels))), torch.tensor(labels), 0.5, 0.9, loss, selected)


def scores(k: int, alpha: float, quality: float, loss: float, error: float = 0.1) -> Scores:
    return Scores(Setting(k, alpha, None), quality, quality, 0.9, loss, error, 3.0)


def test_stability_is_the_ari_of_the_samples_in_common() -> None:
    first, second = run([0, 0, 1, 1, 2], [0, 1, 2, 3, 4]), run([1, 1, 2, 0, 1], [3, 2, 4, 1, 7])
    assert agreement(first, second) == pytest.approx(adjusted_rand_score([0, 1, 1, 2], [0, 1, 1, 2]))
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, (3, 50)).tolist()
    expected = np.mean([adjusted_rand_score(labels[i], labels[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
    losses = [1.0, 2.0, 6.0]
    summary = summarize(Setting(3, None, None), [run(own, loss=loss) for own, loss in zip(labels, losses, strict=True)])
    assert summary.stability == pytest.approx(expected)
    assert summary.loss == pytest.approx(3.0)
    assert summary.loss_error == pytest.approx(np.std(losses, ddof=1) / np.sqrt(3))


def test_k_is_the_best_and_alpha_the_largest_within_one_standard_error() -> None:
    table = [
        scores(3, 0.1, 0.9, 1.00),
        scores(3, 1.0, 0.9, 1.09),
        scores(3, 2.0, 0.9, 1.11),
        scores(4, 4.0, 0.7, 0.50),
    ]
    assert choose(table).setting == Setting(3, 1.0, None)


def separated(k: int, quality: float, stability: float, recovery: float, separation: float) -> Scores:
    nan = float("nan")
    return Scores(Setting(k, None, None), quality, stability, 0.9, nan, nan, nan, recovery, separation)


def test_k_is_the_largest_whose_clusters_are_separated_and_all_come_back() -> None:
    """The scores are those of Gaussian mixtures of customers of four kinds, one of which is rare."""
    table = [
        separated(2, 0.227, 0.998, 0.999, 0.982),
        separated(3, 0.257, 1.000, 1.000, 0.980),
        separated(4, 0.258, 0.999, 0.981, 0.879),
        separated(5, 0.202, 0.975, 0.936, 0.000),  # as stable as any, but the fifth one is a part of another one
        separated(6, 0.178, 0.855, 0.473, 0.500),  # not every cluster comes back
    ]
    assert chosen_k(table) == 4
    assert max(table, key=lambda score: score.silhouette_before + score.stability).setting.k == 3


@pytest.mark.parametrize(
    ("name", "least"), [("stability", LEAST_STABILITY), ("recovery", LEAST_STABILITY), ("separation", LEAST_SEPARATION)]
)
def test_each_score_rules_a_number_of_clusters_out(name: str, least: float) -> None:
    two, three = separated(2, 0.3, 0.9, 0.9, 0.9), separated(3, 0.2, 0.9, 0.9, 0.9)
    assert chosen_k([two, three._replace(**{name: least})]) == 3
    assert chosen_k([two, three._replace(**{name: least - 0.01})]) == 2


def test_inputs_without_structure_have_no_clusters_however_stable() -> None:
    """The scores are those of penguins whose columns were shuffled: a flag cuts them into two stable halves."""
    two = separated(2, 0.3, 1.0, 1.0, 0.9)
    assert chosen_k([two, separated(3, 0.2, 0.5, 0.5, 0.9)]) == 2
    assert choose([score._replace(clustered=0.4) for score in (two, separated(3, 0.2, 0.5, 0.5, 0.9))]) is None
    assert chosen_k([two._replace(clustered=0.6), separated(3, 0.2, 0.5, 0.5, 0.9)]) == 2


def test_silhouette_and_stability_decide_where_no_clusters_all_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    table = [
        separated(8, 0.17, 0.80, 0.70, 0.5),
        separated(9, 0.18, 0.89, 0.64, 0.5),
        separated(10, 0.17, 0.88, 0.5, 0.5),
        separated(11, 0.9, 0.9, 0.5, 0.2),
    ]
    assert chosen_k(table) == 9
    grid = [score.setting for score in table]
    _print_doubt(table[1], grid)
    assert "k=9 is uncertain" in capsys.readouterr().out
    _print_doubt(table[1]._replace(recovery=0.8), grid)
    _print_doubt(table[1], grid[:1])  # a single K is not chosen
    assert capsys.readouterr().out == ""


def chosen_k(table: list[Scores]) -> int | None:
    chosen = choose(table)
    assert chosen is not None
    return chosen.setting.k


def test_none_is_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unstable, cut = separated(2, 0.2, 0.7, 0.9, 0.9), separated(3, 0.2, 0.9, 0.9, 0.29)
    assert choose([unstable, cut]) is None
    assert chosen_k([unstable]) == 2  # a single K is not judged
    _write_scores(tmp_path, [unstable, cut], None)
    with (tmp_path / "scores.csv").open() as file:
        assert [row["chosen"] for row in csv.DictReader(file)] == ["0", "0"]
    _print([unstable, cut], None)
    printed = capsys.readouterr().out
    assert "recovery" in printed
    assert "separation" in printed
    assert "chosen " not in printed.splitlines()[1]


def test_recovery_is_that_of_the_worst_cluster() -> None:
    whole = run([0] * 4 + [1] * 8)
    assert recovery(whole, run([3] * 4 + [0] * 8)) == 1.0  # whatever the numbers of the clusters
    cut = run([0] * 4 + [1] * 2 + [2] * 6)
    assert recovery(whole, cut) == recovery(cut, whole) == 2 / 8  # the small part has 2 of 8 samples in common
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 3, 60).tolist() for _ in range(2))
    clusters = [[{i for i, label in enumerate(labels) if label == k} for k in range(3)] for labels in (a, b)]
    jaccard = np.array([[len(p & q) / len(p | q) for q in clusters[1]] for p in clusters[0]])
    assert recovery(run(a), run(b)) == pytest.approx(min(jaccard.max(0).min(), jaccard.max(1).min()))
    few = run([0, 1, 1, 2], [0, 4, 5, 90])  # whose third cluster is not among the samples in common
    assert recovery(whole, few) == 1.0


def test_methods_without_a_task_have_no_loss_to_choose_by() -> None:
    assert chosen_k([unsupervised(k, 0.1 * k) for k in (2, 3)]) == 3


def unsupervised(k: int, before: float, after: float = 0.9) -> Scores:
    return Scores(Setting(k, None, None), before, 0.8, after, float("nan"), float("nan"), float("nan"))


@pytest.mark.parametrize("after", [(0.9, 0.95, 0.99), (0.99, 0.95, 0.9), (float("nan"),) * 3])
def test_k_is_not_chosen_in_the_embedding_that_clustering_has_contracted(after: tuple[float, ...]) -> None:
    table = [
        unsupervised(k, *values) for k, values in zip((2, 3, 4), zip((0.3, 0.4, 0.2), after, strict=True), strict=True)
    ]
    assert chosen_k(table) == 3


@pytest.mark.parametrize(
    ("measured", "true_k"),
    [  # silhouette before, stability, silhouette after, as DEC gave them on Gaussian clusters in noise
        ({3: (0.706, 1.000, 0.828), 4: (0.792, 1.000, 0.818), 5: (0.680, 0.935, 0.775)}, 4),
        ({5: (0.413, 0.991, 0.585), 6: (0.422, 0.992, 0.581), 7: (0.375, 0.879, 0.636)}, 6),
    ],
)
def test_k_is_the_true_one_where_the_trained_embedding_prefers_another(
    measured: dict[int, tuple[float, float, float]], true_k: int
) -> None:
    nan = float("nan")
    table = [Scores(Setting(k, None, None), *values, nan, nan, nan) for k, values in measured.items()]
    assert chosen_k(table) == true_k
    in_the_trained = [score._replace(silhouette_before=score.silhouette_after) for score in table]
    assert choose(in_the_trained).setting.k != true_k


def test_columns_without_a_value_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = [unsupervised(2, 0.3), unsupervised(3, float("nan"))]
    _write_scores(tmp_path, table, table[0])
    assert (tmp_path / "scores.csv").read_text().splitlines() == [
        "k,silhouette_before,stability,silhouette_after,chosen",
        "2,0.3,0.8,0.9,1",
        "3,nan,0.8,0.9,0",
    ]
    _print(table, table[0])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("silhouette before", "stability", "silhouette after", "chosen"))
    assert all(name not in printed for name in ("loss", "error", "inputs"))

    supervised = [scores(3, 0.1, 0.9, 1.0), scores(3, 1.0, 0.9, 2.0)]
    _write_scores(tmp_path, supervised, None)
    header = (tmp_path / "scores.csv").read_text().splitlines()[0]
    assert header == "k,alpha,silhouette_before,stability,silhouette_after,loss,loss_error,n_selected,chosen"
    _print(supervised, supervised[0])
    printed = capsys.readouterr().out
    assert "held-out loss" in printed
    assert "the same for all K" not in printed  # there is one K


def test_k_and_alpha_are_chosen_among_settings_that_are_usable() -> None:
    """A setting that has collapsed to one cluster has no silhouette; the others of its K still count."""
    nan = float("nan")
    table = [
        scores(3, 0.1, 0.9, 1.0),
        scores(3, 9.0, nan, 0.5),
        scores(4, 0.1, 0.7, 0.2),
        scores(4, 9.0, 0.7, 0.2),
    ]
    assert choose(table).setting == Setting(3, 0.1, None)
    assert choose([scores(3, 1.0, 0.9, 1.0), scores(3, 2.0, 0.9, nan)]).setting.alpha == 1.0
    with pytest.raises(InputError, match="more than one cluster"):
        choose([scores(3, 0.1, nan, 1.0)])


def test_alpha_is_not_chosen_without_a_held_out_loss() -> None:
    with pytest.raises(InputError, match=r"no run of the best k \(3\) has logged one that is finite as val/task"):
        choose([scores(3, 0.1, 0.9, float("nan")), scores(3, 1.0, 0.9, float("nan"))])


def test_a_ramp_gets_another_end_and_a_number_gives_way() -> None:
    ramp = {"class_path": "Exponential", "init_args": {"start": 0.0, "end": 1.0, "time_constant": 20}}
    joint = {"task": 2.0, "sparsity": 1.0, "distance": 0.2}
    phases = {"pretraining": {"loss_weights": {"task": 1.0, "sparsity": ramp}}, "joint": {"loss_weights": joint}}
    configuration = {"model": {"init_args": phases}}

    assert Setting(5, 0.5, 0.1).flags(configuration) == [
        "--model.n_clusters=5",
        "--model.pretraining.loss_weights.sparsity.end=0.5",
        "--model.joint.loss_weights.sparsity=0.5",
        "--model.joint.loss_weights.distance=0.1",
    ]
    assert Setting(None, None, 0.1).flags(configuration) == ["--model.joint.loss_weights.distance=0.1"]


def test_a_selection_that_is_cut_short_leaves_the_scores_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(args: list[str]) -> None:
        if "--print_config" in args:
            print("model: {init_args: {}}")
            raise SystemExit(0)
        (tmp_path / "chosen" / "runs").mkdir(parents=True, exist_ok=True)
        if "--model.n_clusters=4" in args:
            raise KeyboardInterrupt

    monkeypatch.setattr("lightning_dc.cli.select.read_run", lambda folder: run([0, 0, 1], loss=1.0))
    command = ["--config=x", "--k", "2", "3", "4", "--resamples=2", f"--output={tmp_path / 'chosen'}"]
    with pytest.raises(KeyboardInterrupt):
        select(command, fit)
    with (tmp_path / "chosen" / "scores.csv").open() as file:
        assert [(row["k"], row["stability"], row["chosen"]) for row in csv.DictReader(file)] == [
            ("2", "1.0", "0"),
            ("3", "1.0", "0"),
        ]
    (tmp_path / "chosen" / "scores.csv").unlink()  # interrupted in the first setting
    with pytest.raises(InputError, match=r"holds another selection, perhaps an unfinished one; choose .* --output"):
        select(command, fit)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "3", "1"], r"k=\[3, 1\] are numbers of clusters"),
        (["--k", "2.5"], "argument --k: invalid int value"),
        (["--alpha", "-1"], r"alpha=\[-1.0\]"),
        (["--beta", "nan"], r"beta=\[nan\]"),
        (["--resamples=1"], "resamples=1"),
        (["--hold-out=1"], "hold_out=1.0"),
        ([], "nothing to choose; give numbers of clusters, such as --k 4 6 8"),
    ],
)
def test_slips_are_found_before_the_first_fit(tmp_path: Path, flags: list[str], message: str) -> None:
    def fit(args: list[str]) -> None:
        raise AssertionError("nothing may be fitted")

    with pytest.raises(InputError, match=message):
        select(["--config=x", f"--output={tmp_path / 'new'}", *flags], fit)


@pytest.mark.parametrize("trainer", [{"devices": 2}, {"devices": "auto"}, {"devices": [0, 1]}, {"num_nodes": 2}])
def test_several_processes_are_refused(tmp_path: Path, trainer: dict[str, object]) -> None:
    def fit(args: list[str]) -> None:
        assert "--print_config" in args, "nothing may be fitted"
        print(yaml.safe_dump({"trainer": trainer}))

    with pytest.raises(InputError, match=r"select runs its fits in one process, .*leave them out"):
        select(["--config=x", "--k", "2", "3", f"--output={tmp_path / 'new'}"], fit)


@pytest.mark.parametrize(
    ("values", "chosen", "told"), [([3, 4, 5], 4, False), ([3, 4], 4, True), ([2, 3], 2, False), ([3], 3, False)]
)
def test_a_choice_at_the_edge_of_the_grid_is_told(
    values: list[int], chosen: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    _print_edges(Setting(chosen, 0.5, None), [Setting(k, 0.5, None) for k in values])
    assert (f"k={chosen} is at the edge" in capsys.readouterr().out) is told


def test_an_inputs_share_is_that_of_the_runs_which_kept_it() -> None:
    runs = [run([0], selected=["a", "b"]), run([0], selected=["b"]), run([0], selected=["b", "c"])]
    assert selection_shares(runs) == {"b": 1.0, "a": pytest.approx(1 / 3), "c": pytest.approx(1 / 3)}
    assert selection_shares([run([0])]) == {}


@pytest.mark.slow
def test_the_command_finds_the_number_of_clusters(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    data = (
        "--data.n_samples=300",
        "--data.separation=8",
        "--data.batch_size=16",
        "--trainer.accelerator=cpu",
        "--model.joint.max_epochs=5",
        "--features.file_name=null",  # a selection needs these files of its runs, and their logs, all the same
        "--trainer.logger=false",
        "--summary.file_name=other.npz",
        "--summary.embedding=false",
    )
    printed = lightning_dc_cli(
        *("select", "--config", "deeptype_synthetic", "--k", 3, 4, "--alpha", 0.8, "--resamples", 2),
        *("--output", "chosen", "--", *data),
    )
    assert "k=4 is at the edge of the values that were compared" in printed
    assert "Chosen: k 4, alpha 0.8" in printed
    assert "lightning-dc fit --config deeptype_synthetic --data.n_samples=300" in printed
    assert "--model.n_clusters=4" in printed
    folder = tmp_path / "chosen"
    with (folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["k"], row["chosen"]) for row in rows] == [("3", "0"), ("4", "1")]
    used = yaml.safe_load((folder / "runs/setting-1/version_0/config.yaml").read_text())["model"]["init_args"]
    ramp = used["pretraining"]["loss_weights"]["sparsity"]
    assert ramp["class_path"] == "lightning_dc.schedules.Exponential"
    assert (ramp["init_args"]["end"], ramp["init_args"]["time_constant"]) == (0.8, 5.0)
    assert used["joint"]["loss_weights"] == {"task": 1.0, "sparsity": 0.8, "distance": 0.1}
    assert float(rows[1]["stability"]) == pytest.approx(1.0)
    assert float(rows[1]["silhouette_before"]) > float(rows[0]["silhouette_before"])
    assert "beta" not in rows[0]
    assert float(rows[1]["loss"]) > 0
    assert (folder / "scores.png").stat().st_size > 1000
    with (folder / "features.csv").open() as file:
        shares = {row["feature"]: float(row["share"]) for row in csv.DictReader(file)}
    assert shares == {f"informative_{j}": 1.0 for j in range(5)}
    assert "holds another selection" in lightning_dc_cli.fails("select", "--config=x", "--k=3", "--output=chosen")


def write_blobs(path: Path, centers: int) -> None:
    """Write clusters of different sizes as a table, or samples of one normal distribution whose inputs correlate."""
    random = np.random.default_rng(centers)
    if centers == 1:
        x = random.normal(size=(400, 5)) @ random.normal(size=(5, 5))
    else:
        means = 5 * np.eye(5)[:centers]
        x = means[random.choice(centers, 400, p=[0.4, 0.3, 0.2, 0.1])] + random.normal(size=(400, 5))
    np.savetxt(path, x, delimiter=",", header="a,b,c,d,e", comments="")


@pytest.mark.slow
@pytest.mark.parametrize(("centers", "chosen"), [(4, {"4": "1"}), (1, {})])
def test_the_command_finds_unequal_clusters_and_that_there_are_none(
    lightning_dc_cli: CommandLine, tmp_path: Path, centers: int, chosen: dict[str, str]
) -> None:
    write_blobs(tmp_path / "blobs.csv", centers)
    printed = lightning_dc_cli(
        *("select", "--config", "table", "--k", 2, 3, 4, 5, "--resamples", 3, "--output", "chosen"),
        *("--", "--data.path=blobs.csv", "--trainer.accelerator=cpu"),
    )
    with (tmp_path / "chosen" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["k"]: row["chosen"] for row in rows if row["chosen"] != "0"} == chosen
    assert ("Chosen: none. The data have no clusters" in printed) is (not chosen)
    assert ("lightning-dc fit" in printed) is bool(chosen)
    assert (tmp_path / "chosen" / "scores.png").stat().st_size > 1000
    separations = [float(row["separation"]) for row in rows]
    assert max(separations) < 0.3 if not chosen else separations[2] > 0.6 > 0.3 > separations[3]
