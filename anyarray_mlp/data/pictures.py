"""Picture files, which Pillow reads: all of one size and mode, as bytes.

The headers of all files are read first: they decide size and mode, and how much memory the pictures take. What had to
be changed in a picture is counted and said.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from anyarray_mlp.checking.messages import counted, listed, memory, shown_path
from anyarray_mlp.checking.out_of_memory import exceeds_memory
from anyarray_mlp.errors import DataError, OutOfMemoryError
from anyarray_mlp.tables.files import unreadable
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset(
    f".{suffix}"
    for suffixes in ("png jpg jpeg jpe jfif bmp dib gif webp", "tif tiff pgm ppm pbm pnm ico")
    for suffix in suffixes.split()
)
#: Pictures of different sizes are brought to a square of at most this side, which keeps a network of layers small.
DEFAULT_SIDE = 64
#: A picture of more pixels than this is taken for one made to exhaust memory, as Pillow takes it.
MOST_PIXELS = 1 << 26
#: Inputs of a picture from which on a network is slow.
MANY_INPUTS = 50_000
ORIENTATION = 0x0112
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
DEEP_WHITE = 65535
CHANNELS = {"grey": 1, "rgb": 3}
#: Of what may have to be done to pictures, what is said of those to which it was done.
DONE = {
    "turned": "turned upright, as their EXIF says",
    "transparent": "laid on white where they are transparent",
    "deep": "brought from 16 bits to 8",
    "cmyk": "converted from CMYK",
    "frames": "of several frames, of which the first is taken",
    "greyed": "in colour, which is made grey",
    "coloured": "grey, with three equal channels here",
}


class Form(NamedTuple):
    """Height, width and mode, "grey" or "rgb", that all pictures of a set have."""

    height: int
    width: int
    mode: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w), or (h, w, 3)."""
        return (self.height, self.width) + ((3,) if self.mode == "rgb" else ())

    @property
    def inputs(self) -> int:
        """Bytes of one picture."""
        return self.height * self.width * CHANNELS[self.mode]

    def __str__(self) -> str:
        return f"{self.height} x {self.width}, {'grey' if self.mode == 'grey' else 'in colour'}"


class Header(NamedTuple):
    """What a file says of its picture before it is decoded, height and width as it is seen."""

    height: int
    width: int
    is_grey: bool


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures (n, h w) or (n, h w 3) of bytes, their form, and what was decided, a sentence each."""

    pixels: Host
    form: Form
    notes: tuple[str, ...]


def is_picture_name(name: str) -> bool:
    """Whether a file has the name of a picture."""
    return Path(name).suffix.lower() in SUFFIXES


def pillow() -> Any:
    """Pillow's module of images; `DataError` with the remedy if there is none."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            "pictures are read by Pillow, which is not installed: pip install 'anyarray-mlp[pictures]'"
        ) from None
    return Image


def read_pictures(files: Sequence[Path], reading: Reading, name: str) -> Pictures:
    """Pictures in the form that `reading` has, or that they have themselves; `name` is what messages call them.

    Raises `DataError` for files that hold no picture, naming them; `StorageError` for one that cannot be read;
    `OutOfMemoryError` before anything is decoded, if they do not fit in memory.
    """
    headers = [header for header in each_of(files, header_of, name) if header is not None]
    form, notes = form_of(headers, reading)
    size = len(files) * form.inputs
    if exceeds_memory(size):
        raise OutOfMemoryError(
            f"{name}: {counted(len(files), 'picture')} of {form} take {memory(size)}, which do not fit in memory: make "
            "them smaller, as with image_size=32x32"
        )
    done: Counter[str] = Counter()
    pixels = np.empty((len(files), form.inputs), dtype=np.uint8)

    def decode(image: Image) -> Host:
        return decoded(image, form, done)

    for row, picture in enumerate(each_of(files, decode, name)):
        pixels[row] = picture.reshape(-1)
    said = [
        f"{counted(done[key], 'picture')} {'is' if done[key] == 1 else 'are'} {text}"
        for key, text in DONE.items()
        if done[key]
    ]
    if (
        form.mode == "rgb"
        and reading.image_mode is None
        and not done["coloured"]
        and is_all_grey(pixels)
    ):
        pixels, form = np.ascontiguousarray(pixels[:, ::3]), form._replace(mode="grey")
        said.append("the pictures are in colour and have none: taken as grey")
    return Pictures(pixels, form, (*notes, *said))


def is_all_grey(pixels: Host) -> bool:
    """Whether the three channels of all pictures are equal."""
    colours = (picture.reshape(-1, 3) for picture in pixels)
    return all((each == each[:, :1]).all() for each in colours)


def each_of(files: Sequence[Path], take: Any, name: str) -> Iterator[Any]:
    """What `take` makes of each picture, in order; a `DataError` at the end names those that could not be read."""
    damaged: list[tuple[Path, str]] = []
    for path in files:
        try:
            with opened(path) as image:
                found = take(image)
        except DamagedPicture as error:
            damaged.append((path, str(error)))
        else:
            yield found
    if damaged:
        path, reason = damaged[0]
        whose = "1 file holds" if len(damaged) == 1 else f"{len(damaged):,} files hold"
        also = f", and {listed(each.name for each, _ in damaged[1:])}" if len(damaged) > 1 else ""
        raise DataError(
            f"{name}: {whose} no picture that can be read: {shown_path(path)} ({reason}){also}; fetch them again, or "
            "delete them"
        )


class DamagedPicture(Exception):
    """A file that holds no picture that can be used; why."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The picture in a file; `DamagedPicture` for whatever Pillow says of it."""
    module = pillow()
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise DataError(
            f"{shown_path(path)}: no such file; check the spelling and the folder"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from error
    with stream, warnings.catch_warnings():
        # Of large pictures and odd metadata.
        warnings.simplefilter("ignore")
        try:
            with module.open(stream) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise DamagedPicture(
                        f"{height:,} x {width:,} pixels, more than the {MOST_PIXELS:,} allowed"
                    )
                if not width * height:
                    raise DamagedPicture("no pixels")
                yield image
        except (DamagedPicture, MemoryError):
            raise
        except Exception as error:  # Pillow's plugins raise all kinds
            reason = "not a picture" if "cannot identify" in str(error) else str(error)
            raise DamagedPicture(" ".join(reason.split())[:100] or type(error).__name__) from error


def header_of(image: Image) -> Header:
    """The header of a picture that is open."""
    width, height = image.size
    if image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
        width, height = height, width
    return Header(height, width, is_grey(image))


def is_grey(image: Image) -> bool:
    """Whether a picture's mode, or its palette, has no colours."""
    if image.mode != "P":
        return image.mode in GREY_MODES
    palette = image.getpalette("RGB") or []
    return palette[0::3] == palette[1::3] == palette[2::3]


def form_of(headers: Sequence[Header], reading: Reading) -> tuple[Form, list[str]]:
    """The form that pictures are brought to, and what to say of it."""
    notes = []
    sizes = Counter((header.height, header.width) for header in headers)
    size = reading.image_size
    if size is None and len(sizes) == 1:
        (size,) = sizes
    elif size is None:
        side = min(DEFAULT_SIDE, max(map(max, sizes)))
        size = (side, side)
    others = len(headers) - sizes[size]
    if others:
        smallest, largest = (by(sizes, key=lambda each: each[0] * each[1]) for by in (min, max))
        found = f"are {smallest[0]} x {smallest[1]}"
        if len(sizes) > 1:
            found = f"have {len(sizes):,} sizes, from {smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]}"
        asked = "" if reading.image_size is not None else " (another size with image_size=HxW)"
        notes.append(
            f"the pictures {found}: {others:,} of them stretched or shrunk to {size[0]} x {size[1]}{asked}"
        )
    mode = reading.image_mode
    if mode is None:
        mode = "grey" if all(header.is_grey for header in headers) else "rgb"
    form = Form(*size, mode)
    if form.inputs > MANY_INPUTS and reading.image_size is None:
        notes.append(
            f"each picture is {form.inputs:,} inputs, which train slowly; fewer with image_size={DEFAULT_SIDE}x"
            f"{DEFAULT_SIDE}"
        )
    return form, notes


def decoded(image: Image, form: Form, done: Counter[str]) -> Host:
    """A picture in a form, (h, w) or (h, w, 3) of bytes; `done` counts what was done to it."""
    from PIL import ImageOps

    module = pillow()
    grey = is_grey(image)
    done["frames"] += getattr(image, "n_frames", 1) > 1
    done["turned"] += image.getexif().get(ORIENTATION, 1) in range(2, 9)
    done["cmyk"] += image.mode == "CMYK"
    picture: Any = ImageOps.exif_transpose(image)
    if picture.mode == "F":
        raise DamagedPicture("holds fractions, which have no white: save it with 8 bits")
    if picture.mode in DEEP_MODES:
        picture = in_bytes(picture)
        done["deep"] += 1
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        done["transparent"] += picture.getchannel("A").getextrema()[0] < 255
        white = module.new("RGBA", picture.size, "white")
        picture = module.alpha_composite(white, picture)
    done["greyed" if form.mode == "grey" else "coloured"] += grey != (form.mode == "grey")
    picture = picture.convert("L" if form.mode == "grey" else "RGB")
    if picture.size != (form.width, form.height):
        picture = picture.resize((form.width, form.height), module.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def in_bytes(picture: Any) -> Any:
    """A picture of 16 bits with 8, white staying white."""
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > DEEP_WHITE:
        raise DamagedPicture("holds more than 16 bits: save it with 8 bits")
    bright = (values * 255 + DEEP_WHITE // 2) // DEEP_WHITE
    return pillow().fromarray(bright.astype(np.uint8))
