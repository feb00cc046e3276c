"""DataModule of the images of a folder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from datamodules.folder import find_files
from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.messages import unreadable_file
from lightning_dc.errors import InputError

Color = Literal["rgb", "grey"]
_ENDINGS = (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp")
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP")  # PostScript would go to Ghostscript, which runs it
_MOST_PIXELS = 1 << 26


class ImageForm:
    """Size and colour that all images of a data set are brought to.

    Args:
        size: height and width, in pixels.
        color: ``rgb`` or ``grey``.
    """

    def __init__(self, size: Sequence[int], color: Color) -> None:
        self.height, self.width = size
        self.color = color

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return 3 if self.color == "rgb" else 1, self.height, self.width

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Read an image.

        The image is rotated as its camera says, resized without regard to its proportions, and loses its transparency.

        Returns:
            Pixels from 0 to 255, (C, H, W).

        Raises:
            InputError: the image cannot be read, is truncated, of another format or too large, or its pixels have
                neither 8 nor 16 bits.
        """
        from PIL import Image, ImageOps

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                warnings.filterwarnings("ignore", category=UserWarning)  # about metadata
                with Image.open(path, formats=_FORMATS) as file:
                    _check_pixels(file.size)
                    image = self._eight_bits(ImageOps.exif_transpose(file))
                    image = image.resize((self.width, self.height), Image.Resampling.BILINEAR)
                    pixels = np.asarray(image, dtype=np.uint8)
        except Exception as error:  # damaged files make the decoders fail in many ways
            raise unreadable_file(path, error) from error
        return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))

    def _eight_bits(self, image: Any) -> Any:
        from PIL import Image

        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.mode in ("I", "F"):
            raise ValueError(f"its pixels are of mode {image.mode}, neither 8 nor 16 bits")
        return image.convert("RGB" if self.color == "rgb" else "L")

    def state_dict(self) -> dict[str, Any]:
        """Return size and colour."""
        return {"size": [self.height, self.width], "color": self.color}


def _check_pixels(size: tuple[int, int]) -> None:
    """Check the size of an image before its pixels are decompressed.

    Raises:
        ValueError: it has more than 2^26 pixels.
    """
    if size[0] * size[1] > _MOST_PIXELS:
        raise ValueError(f"it has {size[0]} x {size[1]} pixels, more than the limit of {_MOST_PIXELS}; shrink it")


class ImageFolderDataModule(LearningDataModule[ImageForm]):
    """Images of a folder that is flat or has one folder for each class.

    Images are kept as bytes, (N, C, H, W), and become floating-point numbers in a batch. Size and colour travel with
    the checkpoint. The id of an image is the path of its file.

    Args:
        path: the folder, with ``.png``, ``.jpg``, ``.bmp``, ``.gif`` (the first picture), ``.tif`` or ``.webp`` files
            of at most 2^26 pixels. Folders such as ``train`` and ``test`` are no classes; the folders in them are.
        size: height and width that images are resized to, in pixels; one number stands for both.
        color: ``rgb`` or ``grey``.
        batch_size: number of images in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`.
        val_fraction: share of the images that is held out for validation.
        keep_on_device: hold the images on the accelerator.
        labels: give the labels, for evaluation.

    Raises:
        InputError: an argument is out of range, the folder has no images, or an image cannot be read.
    """

    learned_name = "images"

    def __init__(
        self,
        path: str,
        size: int | Sequence[int] = 32,
        color: Color = "rgb",
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        sizes = [size, size] if isinstance(size, int) else list(size)
        if len(sizes) != 2 or min(sizes) < 1:
            raise InputError(f"size={size} must be one number, or height and width, of at least 1")
        if color not in get_args(Color):
            raise InputError(f"color={color!r} is unknown; choose from {', '.join(get_args(Color))}")
        self.path = Path(path).expanduser()
        self.labels = labels
        self.learned = ImageForm(sizes, color)

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.ensure_learned().shape

    @property
    def classes(self) -> Sequence[str]:
        """Name of each class; empty if the folder is flat."""
        return find_files(self.path, _ENDINGS).classes

    def restore(self, state: dict[str, Any]) -> ImageForm:
        return ImageForm(**state)

    def load(self) -> Samples:
        form, files = self.ensure_learned(), find_files(self.path, _ENDINGS)
        x = np.empty((len(files.paths), *form.shape), np.uint8)
        for row, path in enumerate(files.paths):
            x[row] = form.read(path)
        return Samples(x, files.y if self.labels else None, ids=np.array(files.ids))
