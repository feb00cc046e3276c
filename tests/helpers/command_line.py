"""Arguments of short runs, and files of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

QUICK = (
    "--model.autoencoder.hidden_dims=[8]",
    "--model.autoencoder.latent_dim=4",
    "--model.layerwise.max_steps=3",
    "--model.pretraining.max_steps=5",
    "--model.clustering.max_steps=6",
    "--model.refresh.every_n_steps=2",
    "--model.kmeans.n_init=2",
    "--trainer.log_every_n_steps=2",
    "--trainer.accelerator=cpu",
)
DIGITS = ("fit", "--config", "dec_digits", *QUICK)
RUN = Path("runs/dec_digits/version_0")
CHECKPOINT = RUN / "checkpoints/last.ckpt"


def scalars(folder: Path) -> dict[str, list[Any]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}


DATA = ("--data=SyntheticDataModule", "--data.n_samples=200", "--data.batch_size=64", "--trainer.accelerator=cpu")
WIDTHS = (
    "--model.autoencoder=MLPAutoencoder",
    "--model.autoencoder.hidden_dims=[8]",
    "--model.autoencoder.latent_dim=3",
)


def fit_of(method: str, *flags: object) -> tuple[object, ...]:
    """Run a fit without a configuration file."""
    clustering = () if method == "AEKMeans" else ("--model.clustering.max_steps=3",)
    steps = ("--model.pretraining.max_steps=4", *clustering)
    return ("fit", f"--model={method}", "--model.n_clusters=4", *WIDTHS, *DATA, *steps, *flags)


def version(number: int) -> Path:
    return Path(f"runs/run/version_{number}")
