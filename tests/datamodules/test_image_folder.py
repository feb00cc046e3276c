"""Tests of images of a folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import ImageFolderDataModule
from datamodules.loading.tensor_rows import TensorRows
from lightning_dc import DEC, Identity, InputError, MLPAutoencoder
from tests.helpers.damage import damaged, read_or_refuse
from tests.helpers.fake_files import pictures, write_fake_images

ALL = 1 << 30


def module(folder: Path, **arguments: Any) -> ImageFolderDataModule:
    data = ImageFolderDataModule(str(folder), **{"scaling": "none", "size": (12, 10), **arguments})
    data.setup("fit")
    return data


def pixels(folder: Path, **arguments: Any) -> np.ndarray:
    return module(folder, **arguments).predict_dataloader().read(0, ALL).x.numpy()


@pytest.mark.parametrize("flat", [False, True])
def test_images_are_bytes_with_classes_by_folder(tmp_path: Path, flat: bool) -> None:
    data = module(write_fake_images(tmp_path / "images", flat=flat))
    loader = data.predict_dataloader()
    batch = loader.read(0, ALL)
    by_class = [*range(2, 30, 3), *range(1, 30, 3), *range(0, 30, 3)]  # blue, green, red
    expected = pictures() if flat else pictures()[by_class]
    np.testing.assert_array_equal(batch.x, expected.transpose(0, 3, 1, 2))
    assert isinstance(loader.x, TensorRows)
    assert loader.x.dtype == torch.uint8
    assert data.input_shape == (3, 12, 10)
    assert data.classes == ([] if flat else ["blue", "green", "red"])
    assert loader.ids is not None
    assert loader.ids[0] == ("000.png" if flat else "blue/002.png")
    if flat:
        assert batch.y is None
    else:
        np.testing.assert_array_equal(batch.y, np.repeat(range(3), 10))


def test_grey_values_are_luma(tmp_path: Path) -> None:
    folder = write_fake_images(tmp_path / "images", flat=True)
    expected = pictures() @ [0.299, 0.587, 0.114]  # ITU-R 601-2
    np.testing.assert_allclose(pixels(folder, color="grey")[:, 0], expected, atol=1)


def test_images_are_resized_with_averaging(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    checks = np.indices((16, 16)).sum(0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).save(folder / "checks.png")
    Image.fromarray(np.full((5, 40), 255, np.uint8)).save(folder / "white.png")
    small = pixels(folder, size=4, color="grey")
    assert small.shape == (2, 1, 4, 4)
    np.testing.assert_allclose(small[0], 127.5, atol=8)  # without averaging it would be 0 and 255
    np.testing.assert_array_equal(small[1], 255)


def save(folder: Path, name: str, image: Image.Image, **arguments: Any) -> Path:
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **arguments)
    return folder


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_images_of_any_mode_are_taken(tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 10, dtype=np.uint8), (12, 1))
    if mode == "I;16":
        image = Image.fromarray(ramp.astype(np.uint16) * 257)
        assert image.mode == mode
    else:
        image = Image.fromarray(ramp).convert(mode)
    name = "ramp.tif" if mode in ("CMYK", "I;16") else "ramp.png"
    folder = save(tmp_path / "images", name, image)
    save(folder, "white.png", Image.new("L", (10, 12), 255))
    x = pixels(folder, color="rgb")
    assert x.shape == (2, 3, 12, 10)
    if mode != "1":
        np.testing.assert_allclose(x[0], np.broadcast_to(ramp, (3, 12, 10)), atol=3)


def test_the_camera_says_what_is_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter of a circle
    half = np.zeros((10, 12), np.uint8)
    half[5:] = 255  # white below
    folder = save(tmp_path / "images", "turned.png", Image.fromarray(half), exif=exif)
    save(folder, "white.png", Image.new("L", (10, 12), 255))
    x = pixels(folder, color="grey", size=(12, 10))
    assert (x[0, 0, :, 0] == 255).all()  # turned clockwise: what was below is on the left
    assert (x[0, 0, :, -1] == 0).all()


def test_size_and_colour_travel(tmp_path: Path) -> None:
    trained = module(write_fake_images(tmp_path / "images"), size=(4, 6), color="grey", scaling="rms")
    trained.train_dataloader()
    new = ImageFolderDataModule(str(write_fake_images(tmp_path / "new", 5, seed=1)))
    new.load_preprocessing_state(trained.preprocessing_state())
    assert new.input_shape == (1, 4, 6)
    assert new.predict_dataloader().read(0, ALL).x.shape == (5, 1, 4, 6)


@pytest.mark.parametrize("encoder", [Identity, MLPAutoencoder])
def test_encoders_of_vectors_take_images(tmp_path: Path, encoder: Any) -> None:
    data = module(write_fake_images(tmp_path / "images"), scaling="rms")
    model = DEC(input_shape=data.input_shape, n_clusters=3, autoencoder=encoder)
    x = data.predict_dataloader().read(0, ALL).x
    assert model(x).shape == (30, 3)
    assert model.model.network.decode(model.embed(x)).shape == x.shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size=0 must be one number, or height and width, of at least 1"),
        ({"size": [3, 4, 5]}, r"size=\[3, 4, 5\] must be"),
        ({"color": "gray"}, "color='gray' is unknown; choose from rgb, grey"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageFolderDataModule("images", **arguments)


def test_truncated_and_foreign_files_are_named(tmp_path: Path) -> None:
    folder = write_fake_images(tmp_path / "images")
    file = folder / "green/004.png"
    content = file.read_bytes()
    for cut in (0, 10, len(content) // 2):
        file.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"images/green/004\.png: can't be read \(.*get the file again"):
            module(folder)
    save(folder / "green", "005.tif", Image.fromarray(np.ones((4, 4), np.float32)))
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"green/005\.tif: can't be read \(its pixels are of mode F"):
        module(folder)
    with pytest.raises(InputError, match=r"topics: is no folder"):
        module(tmp_path / "topics")


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_fake_images(tmp_path / "images", flat=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"images/000\.png: can't be read \(Image size \(120 pixels\) exceeds limit"):
        module(folder)


def test_an_image_of_many_pixels_is_refused_whatever_pillow_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path / "images", "large.png", Image.new("1", (1 << 14, (1 << 12) + 1)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some programs do
    with pytest.raises(
        InputError, match=r"large\.png: can't be read \(it has 16384 x 4097 pixels, more than the limit of 67108864"
    ):
        module(folder)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n"
FOREIGN = {
    "eps": POSTSCRIPT,
    "eps with a preview": b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + bytes(24) + POSTSCRIPT,
    "pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
    "ppm": b"P6 2 2 255\n" + bytes(12),
    "xbm": b"#define a_width 8\n#define a_height 1\nstatic char a_bits[] = {0x00};",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "gif"])
def test_no_format_but_those_that_are_told_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, ending: str
) -> None:
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("was given to Ghostscript"))
    folder = write_fake_images(tmp_path / "images", 3, flat=True)
    (folder / f"z.{ending}").write_bytes(FOREIGN[kind])
    with pytest.raises(InputError, match=rf"z\.{ending}: can't be read \(cannot identify image file"):
        module(folder)


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPEG", "dib", "apng"])
def test_other_endings_of_the_same_formats_are_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    folder = write_fake_images(tmp_path / "images", 3, flat=True)
    kind = {"dib": "DIB", "apng": "PNG"}.get(ending, "JPEG")
    save(folder, f"z.{ending}", Image.fromarray(pictures(1)[0]), format=kind)
    with caplog.at_level(logging.INFO):
        assert pixels(folder).shape == (4, 3, 12, 10)
    assert f"4 files of several endings are read (3 .png, 1 .{ending.lower()})" in caplog.text


def test_files_that_are_left_out_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_fake_images(tmp_path / "images")
    for name in ("red/a.heic", "red/b.HEIC", "green/c.psd", "green/d", "Thumbs.db", ".hidden.heic"):
        (folder / name).write_bytes(b"")
    with caplog.at_level(logging.INFO):
        assert len(pixels(folder)) == 30
    assert "images: 4 files are left out for their endings (2 .heic, 1 .psd, 1 without an ending)" in caplog.text


@pytest.mark.parametrize(
    ("names", "classes", "told"),
    [
        (["train/a", "train/b", "test/b", "test/c"], ["a", "b", "c"], "'test', 'train' hold parts of the data"),
        (["TRAIN/a", "Val/b", "valid/c"], ["a", "b", "c"], "hold parts of the data and are no classes"),
        (["seg_train/a", "seg_test/b"], ["a", "b"], "hold parts of the data"),
        (["archive/train/a", "archive/test/b"], ["a", "b"], "'archive' hold parts of the data"),
        (["unzipped/a", "unzipped/b"], ["a", "b"], "'unzipped' hold parts of the data"),
        (["train", "test"], [], "hold parts of the data"),
        (["train", "ship"], ["ship", "train"], None),
        (["10", "9", "1"], ["1", "9", "10"], None),
        (["a/x", "a/y", "b"], ["a", "b"], None),
    ],
)
def test_folders_of_the_parts_of_a_data_set_are_no_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], classes: list[str], told: str | None
) -> None:
    for i, name in enumerate(names):
        (tmp_path / "root" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures(len(names))[i]).save(tmp_path / "root" / name / "1.png")
    with caplog.at_level(logging.INFO):
        data = module(tmp_path / "root")
    assert data.classes == classes
    batch = data.predict_dataloader().read(0, ALL)
    ids = data.predict_dataloader().ids
    assert ids is not None
    if classes:
        level = next(i for i, part in enumerate(ids[0].split("/")) if part in classes)
        assert [classes[y] for y in batch.y.tolist()] == [name.split("/")[level] for name in ids]
    else:
        assert batch.y is None
    assert told in caplog.text if told else "no classes" not in caplog.text


def test_parts_of_which_one_has_no_classes_are_refused(tmp_path: Path) -> None:
    write_fake_images(tmp_path / "root" / "train", 6)
    write_fake_images(tmp_path / "root" / "test", 6, flat=True)
    with pytest.raises(InputError, match=r"root: holds 'test/000\.png' and 5 others beside folders"):
        module(tmp_path / "root")


def test_files_come_in_natural_order(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for i in (10, 9, 1):
        save(folder, f"x{i}.png", Image.fromarray(pictures(11)[i]))
    ids = module(folder).predict_dataloader().ids
    assert ids is not None
    assert ids.tolist() == ["x1.png", "x9.png", "x10.png"]


@given(st.data(), st.sampled_from(["png", "jpg", "gif", "bmp", "tif", "webp"]))
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_ends_in_samples_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, ending: str
) -> None:
    folder = write_fake_images(tmp_path_factory.mktemp("images"), 3, flat=True)
    file = folder / f"damaged.{ending}"
    Image.fromarray(pictures(1)[0]).save(file)
    file.write_bytes(damaged(data, file.read_bytes()))
    read_or_refuse(ImageFolderDataModule(str(folder), size=5), folder)
