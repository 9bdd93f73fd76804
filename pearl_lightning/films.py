"""Encoding of pictures as animations and videos."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

_GIF_COLOURS, _SAMPLED_FRAMES = 64, 8


def gif_bytes(
    frames: Iterator[Image.Image], frames_per_second: float, colours: Sequence[tuple[int, ...]] = ()
) -> bytes:
    """Encode an endless animation as GIF. The format stores times in hundredths of a second.

    All frames share one palette, because the background would flicker with one palette per frame.

    Args:
        frames: The pictures, at least one.
        frames_per_second: Frame rate.
        colours: Colours (red, green, blue) that the palette must contain, because they cover only few pixels.
    """
    pictures = list(frames)
    palette = _palette(pictures, colours)
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    file = io.BytesIO()
    shown = round(1000 / frames_per_second)  # milliseconds
    first.save(file, "GIF", save_all=True, append_images=others, duration=shown, loop=0, optimize=True)
    return file.getvalue()


def _palette(pictures: Sequence[Image.Image], colours: Sequence[tuple[int, ...]]) -> Image.Image:
    """Palette of the given colours and of the most common ones of some pictures."""
    sample = pictures[:: max(1, len(pictures) // _SAMPLED_FRAMES)]
    pixels = np.concatenate([np.asarray(picture.convert("RGB")) for picture in sample])  # [row, column, channel]
    left = _GIF_COLOURS - len(colours)
    common = Image.fromarray(pixels).quantize(left).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([channel for colour in colours for channel in colour] + common[: 3 * left])
    return palette


def video_codec() -> ModuleType:
    """Import PyAV, which encodes videos.

    Raises:
        ImportError: PyAV is not installed; the message contains the command that installs it.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install 'pearl-lightning[video]'") from error
    return av


def write_video(frames: Iterator[Image.Image], path: Path, frames_per_second: Fraction) -> None:
    """Write at least one frame, all of the same size, as H.264 to an MP4 file. Odd sizes are cropped by one pixel.

    Raises:
        ImportError: PyAV is not installed.
    """
    av, first = video_codec(), next(frames)
    width, height = (size - size % 2 for size in first.size)
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=frames_per_second)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in (first, *frames):
            file.mux(stream.encode(av.VideoFrame.from_image(picture.crop((0, 0, width, height)))))
        file.mux(stream.encode(None))
