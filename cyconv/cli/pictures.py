"""Picture files and .npy files as arrays of planes, and back.

A picture becomes uint8 planes (C, H, W) with 1 (grey), 2 (grey, alpha), 3 (colour) or 4 (colour, alpha) channels. A .npy
file holds (H, W) or (H, W, C), the layout of matplotlib and imageio, and its channels have no meaning.
"""

import io
import os
import warnings
from dataclasses import dataclass

import numpy as np

from . import CommandError

_KEPT = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Picture:
    planes: np.ndarray  # (C, H, W)
    has_alpha: bool  # whether the last plane is opacity
    flat: bool = False  # whether the file had (H, W), no channel axis


def pillow():
    """Pillow's Image module."""
    try:
        from PIL import Image, ImageOps  # noqa: F401  (ImageOps is used through the package)
    except ImportError:
        raise CommandError('reading and writing pictures needs pillow: pip install "cyconv[demo]"') from None
    return Image


def read(path):
    """The picture in a file: .npy by its ending, everything else by what pillow makes of it."""
    return _read_npy(path) if is_npy(path) else _read_picture(path)


def is_npy(path):
    return os.fspath(path).lower().endswith(".npy")


def load_npy(path):
    """The array in a .npy file; one of Python objects is refused, because reading it could run code."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray):
        raise CommandError(f"cannot read {path}: not a .npy file of numbers")
    return array


def _read_npy(path):
    array = load_npy(path)
    if array.ndim not in (2, 3):
        raise CommandError(f"{path} has shape {array.shape}; a picture in a .npy file has (H, W) or (H, W, C)")
    if array.dtype.kind not in "fiub":
        raise CommandError(f"{path} has dtype {array.dtype}; a picture in a .npy file has real numbers")
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return _not_empty(path, Picture(planes, False, array.ndim == 2))


def _not_empty(path, picture):
    if picture.planes.size == 0:
        raise CommandError(f"{path} holds no pixels: shape {picture.planes.shape}")
    return picture


def _read_picture(path):
    Image = pillow()
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and about pictures that are merely large
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened)
                image.load()
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    except Image.UnidentifiedImageError:
        raise CommandError(f"cannot read {path}: not a picture that pillow knows") from None
    except Exception as error:  # noqa: BLE001 - each of pillow's decoders has its own ways to fail on a broken file
        raise CommandError(f"cannot read {path}: {_one_line(error)}") from None
    if image.mode in ("P", "PA") or "transparency" in image.info:
        mode = "RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB"
    elif image.mode in _KEPT:
        mode = _KEPT[image.mode]
    else:
        raise CommandError(f"{path} has pixels of pillow's mode {image.mode}; only 8 bits per sample are read (or a .npy file)")
    pixels = np.asarray(image.convert(mode))
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return _not_empty(path, Picture(np.ascontiguousarray(planes), mode.endswith("A")))


def save_npy(path, planes, flat):
    """Writes planes (C, H, W) as (H, W, C), or as (H, W) if `flat`."""
    content = io.BytesIO()
    np.save(content, planes[0] if flat else np.ascontiguousarray(planes.transpose(1, 2, 0)))
    write_bytes(path, content)


def save_picture(path, planes, colours=0):
    """Writes planes of 0 to 255 as an 8-bit picture whose format the ending of `path` names; a .png of so many colours, if any."""
    write_bytes(path, encode(path, planes, colours))


def encode(path, planes, colours=0):
    """What `save_picture` writes, still in memory."""
    Image = pillow()
    if len(planes) not in _MODES:
        raise CommandError(f"cannot write {path}: a picture has 1 to 4 channels, this result has {len(planes)}; write a .npy file")
    bytes_ = np.rint(planes).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(bytes_[0] if len(bytes_) == 1 else np.ascontiguousarray(bytes_.transpose(1, 2, 0)))
    ending = os.path.splitext(path)[1].lower()
    name = Image.registered_extensions().get(ending)
    if name not in Image.SAVE:
        raise CommandError(f"cannot write {path}: its ending {ending!r} names no picture format; use .png, .jpg ...")
    if colours and name == "PNG":
        image = image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    content = io.BytesIO()
    try:
        image.save(content, format=name)
    except (OSError, ValueError) as error:
        if len(planes) in (2, 4):
            raise CommandError(f"cannot write {path}: {name} keeps no transparency; write a .png") from None
        raise CommandError(f"cannot write {path}: {_one_line(error)}") from None
    return content


def write_bytes(path, content):
    """Writes a finished file, so that what cannot be encoded leaves an older file of that name alone."""
    try:
        with open(path, "wb") as file:
            file.write(content.getbuffer())
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from None


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__
