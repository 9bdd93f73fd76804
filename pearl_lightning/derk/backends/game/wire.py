"""Messages between a backend and its game process: a JSON header, followed by the bytes of float32 arrays."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def pack(header: dict[str, Any], *arrays: Array) -> bytes:
    """Encode one message. The header contains the shapes of the arrays."""
    head = json.dumps({**header, "shapes": [array.shape for array in arrays]}).encode()
    body = [np.ascontiguousarray(array, dtype=np.float32).tobytes() for array in arrays]
    return b"".join([len(head).to_bytes(4, "little"), head, *body])


def unpack(message: bytes) -> tuple[dict[str, Any], list[Array]]:
    """Decode the header and the arrays of a message; the arrays are writable copies.

    Raises:
        ValueError: The length of the message does not match its header.
    """
    start = 4 + int.from_bytes(message[:4], "little")
    header = json.loads(message[4:start])
    shapes = [tuple(shape) for shape in header.pop("shapes")]
    if start + 4 * sum(int(np.prod(shape)) for shape in shapes) != len(message):
        raise ValueError(f"a message of {len(message)} bytes does not hold arrays of shapes {shapes}")
    arrays = []
    for shape in shapes:
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(message, np.float32, count, start).reshape(shape).copy())
        start += 4 * count
    return header, arrays
