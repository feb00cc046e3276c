"""Tests of texts beside arrays: their terms and documents, against pandas and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.feature_extraction.text import TfidfVectorizer

from datamodules import ArrayDataModule
from datamodules.documents import TextsBeside
from lightning_dc import GaussianMixture, Identity, MergedKMeans
from lightning_dc.errors import InputError
from lightning_dc.heads import PrototypeHead
from lightning_dc.reports import DocumentTable
from lightning_dc.reports.document_table import _Best
from lightning_dc.reports.top_terms import top_terms_of_documents
from lightning_dc.training import ClusteringModule
from tests.conftest import CommandLine
from tests.helpers.command_line import QUICK
from tests.helpers.fake_files import texts, write_fake_texts
from tests.helpers.methods import trainer

RUN = Path("runs/run/version_0")
N = 60
GROUP = np.arange(N) % 3
X = (np.random.default_rng(0).normal(size=(N, 5)) + 8 * GROUP[:, None]).astype("f4")
TEXTS = [f'{text} "row {i}", ä' for i, text in enumerate(texts(N))]
FIT = ("fit", "--model=DEC", "--model.n_clusters=3", *QUICK)
HARD = (
    *("fit", "--model=AEKMeans", "--model.n_clusters=3", "--model.autoencoder=Identity"),
    *("--model.pretraining.max_epochs=0", "--trainer.accelerator=cpu"),
)


def write_files(folder: Path) -> tuple[str, ...]:
    np.save(folder / "x.npy", X)
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n", "utf-8")
    return ("--data=ArrayDataModule", "--data.x=x.npy", "--data.texts=texts.txt", "--data.batch_size=16")


@pytest.mark.parametrize("held_out", [0.0, 0.3])
def test_documents_are_the_surest_of_each_cluster(
    lightning_dc_cli: CommandLine, tmp_path: Path, held_out: float
) -> None:
    data = write_files(tmp_path)
    lightning_dc_cli(*FIT, *data, f"--data.val_fraction={held_out}", "--documents.n_documents=4")
    clusters, found = pd.read_parquet(RUN / "clusters.parquet"), pd.read_csv(RUN / "documents.csv")
    assert len(clusters) == round((1 - held_out) * N)
    best = clusters.sort_values(["cluster", "confidence", "index"], ascending=[True, False, True])
    best = best.groupby("cluster").head(4)
    assert found.columns.tolist() == ["cluster", "rank", "index", "confidence", "text"]
    assert found[["cluster", "index"]].to_numpy().tolist() == best[["cluster", "index"]].to_numpy().tolist()
    np.testing.assert_allclose(found["confidence"], best["confidence"], rtol=1e-5)
    assert found["text"].tolist() == [TEXTS[row] for row in best["index"]]
    assert found["rank"].tolist() == (best.groupby("cluster").cumcount() + 1).tolist()


def test_documents_of_hard_clusters_are_nearest_to_the_centroid(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    lightning_dc_cli(*HARD, *write_files(tmp_path), "--data.scaling=none")
    clusters, found = pd.read_parquet(RUN / "clusters.parquet"), pd.read_csv(RUN / "documents.csv")
    z = clusters.filter(regex="^z_").to_numpy(float)
    means = pd.DataFrame(z).groupby(clusters["cluster"].to_numpy()).transform("mean").to_numpy()
    clusters["distance"] = np.linalg.norm(z - means, axis=1)
    best = clusters.sort_values(["cluster", "distance"]).groupby("cluster").head(10)
    assert found[["cluster", "index"]].to_numpy().tolist() == best[["cluster", "index"]].to_numpy().tolist()
    np.testing.assert_allclose(found["distance"], best["distance"], rtol=1e-3)


def write_table(model: ClusteringModule, folder: Path, x: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Fit, and return the table of documents and the clusters."""
    data = ArrayDataModule(x.astype("f4"), texts=[f"text {i}" for i in range(len(x))], scaling="none", batch_size=16)
    trainer(folder, DocumentTable(n_documents=4), logger=CSVLogger(folder, name="", version="run")).fit(model, data)
    assert model.final is not None
    return pd.read_csv(folder / "run/documents.csv"), model.final.labels.numpy()


def test_documents_of_merged_clusters_are_nearest_to_a_prototype(tmp_path: Path) -> None:
    model = MergedKMeans((5,), 3, autoencoder=Identity, n_prototypes=6)
    found, labels = write_table(model, tmp_path, X)
    head = model.model.head
    assert isinstance(head, PrototypeHead)
    apart = X[:, None].astype(float) - head.prototypes.detach().numpy()
    nearest = pd.DataFrame({"distance": np.linalg.norm(apart, axis=2).min(1), "cluster": labels})
    best = nearest.sort_values(["cluster", "distance"]).groupby("cluster").head(4)
    assert found["index"].tolist() == best.index.tolist()
    np.testing.assert_allclose(found["distance"], best["distance"], rtol=1e-4, atol=1e-5)
    assert found["distance"].nunique() > 3


def test_documents_of_equal_confidence_are_nearest_to_the_mean(tmp_path: Path) -> None:
    model = GaussianMixture((5,), 3, autoencoder=Identity)
    found, labels = write_table(model, tmp_path, X + 92 * GROUP[:, None])  # groups that no sample is unsure about
    assert (found["confidence"] == 1).all()
    x = X + 92 * GROUP[:, None]
    means = pd.DataFrame(x.astype(float)).groupby(labels).transform("mean").to_numpy()
    apart = pd.DataFrame({"distance": np.linalg.norm(x - means, axis=1), "cluster": labels})
    best = apart.sort_values(["cluster", "distance"]).groupby("cluster").head(4)
    assert found["index"].tolist() == best.index.tolist()


def test_the_best_of_pieces_are_the_best_of_all() -> None:
    random = np.random.default_rng(0)
    whole = pd.DataFrame(
        {
            "cluster": random.integers(0, 7, 500),
            "badness": random.integers(0, 9, 500) / 8,
            "distance": random.integers(0, 3, 500) / 2,
        }
    )
    best = _Best.none()
    for start in range(0, 500, 90):
        piece = whole.iloc[start : start + 90]
        columns = (piece["cluster"], -piece["badness"], piece["distance"], piece.index)
        own = _Best(*(column.to_numpy() for column in columns))
        best = best.joined(own, 5)
    expected = whole.sort_values(["cluster", "badness", "distance"], kind="stable").groupby("cluster").head(5)
    assert best.place.tolist() == expected.index.tolist()
    assert best.ranks().tolist() == (expected.groupby("cluster").cumcount() + 1).tolist()


def test_terms_are_those_of_the_texts(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    printed = lightning_dc_cli(*HARD, *write_files(tmp_path), "--summary.n_terms=3")
    clusters, found = pd.read_parquet(RUN / "clusters.parquet"), pd.read_csv(RUN / "terms.csv")
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    weights = pd.DataFrame(vectorizer.fit_transform(TEXTS).toarray(), columns=vectorizer.get_feature_names_out())
    label = clusters["cluster"].to_numpy()
    for k, own in found.groupby("cluster"):
        mean, rest = weights[label == k].mean(), weights[label != k].mean()
        best = (mean - rest).sort_values(ascending=False).head(3)
        assert own["term"].tolist() == best.index.tolist()
        np.testing.assert_allclose(own["mean"], mean[best.index], rtol=1e-4)
        np.testing.assert_allclose(own["mean_of_rest"], rest[best.index], rtol=1e-4, atol=1e-6)
        group = GROUP[label == k]
        assert (group == group[0]).all()
        assert all(term.startswith(f"group{group[0]}word") for term in own["term"])
        row = next(line for line in printed.splitlines() if f"│ terms of {k} " in line)
        assert " ".join(own["term"]) in row
    assert found.groupby("cluster").size().tolist() == [3, 3, 3]


def test_a_cluster_without_samples_has_no_terms() -> None:
    documents, labels = TextsBeside(["oil prices", "oil grain", "grain harvest"]), torch.tensor([0, 0, 2])
    found = top_terms_of_documents(documents, torch.arange(3), labels, 4, 10)
    assert {term.cluster for term in found} == {0, 2}
    assert top_terms_of_documents(documents, torch.arange(3), torch.zeros(3, dtype=torch.int32), 1, 10) == []


def test_texts_that_are_inputs_have_documents_too(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    folder = write_fake_texts(tmp_path / "notes")
    lightning_dc_cli(*FIT, "--data=TextDataModule", f"--data.path={folder}", "--data.n_words=50")
    clusters, found = pd.read_parquet(RUN / "clusters.parquet"), pd.read_csv(RUN / "documents.csv")
    names = clusters.set_index("index")["id"]
    assert found["text"].tolist() == [(folder / names[row]).read_text() for row in found["index"]]


def test_documents_can_be_left_out(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    lightning_dc_cli(*HARD, *write_files(tmp_path), "--documents.file_name=null", "--summary.n_terms=0")
    assert not list(tmp_path.rglob("documents.csv"))
    assert not list(tmp_path.rglob("terms.csv"))
    lightning_dc_cli(*HARD, "--data=ArrayDataModule", "--data.x=x.npy")
    assert not list(tmp_path.rglob("documents.csv"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"file_name": "documents.txt"}, r"documents\.file_name='documents\.txt' must end in \.csv"),
        ({"n_documents": 0}, r"documents\.n_documents=0 must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DocumentTable(**arguments)  # type: ignore[arg-type]


def test_texts_of_another_number_are_refused_before_training(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    data = write_files(tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS[:-1]))
    message = lightning_dc_cli.fails(*FIT, *data)
    assert "texts='texts.txt' holds 59 texts, but x has 60 samples; give one text a sample" in message
    assert not list(tmp_path.rglob("*.ckpt"))
    with pytest.raises(InputError, match="texts holds 3 texts, but x has 60 samples"):
        ArrayDataModule(X, texts=["a", "b", "c"]).setup("fit")
