"""The problem files: one line names one problem.

    NAME  FUNCTION  INPUT  [WEIGHT]  [key=value ...] [flag ...]      # comment

    vgg1_2        conv2d      1x64x224x224   64x64x3x3  padding=1
    pool_max_2x2  max_pool2d  16x64x112x112  kernel=2 stride=2 indices

INPUT and WEIGHT are shapes, batch and channels first; WEIGHT stands for convolutions alone. Values that take one number
per axis are written 2 or 2x3. Keys and flags are those of `KEYS`; what is left out is the function's default. With `gaussian`,
every kernel is a product of Gaussians, one along each axis, in place of random numbers. `goal=1.9` is no part of the problem: the
best peer's time over cyconv's that the table compares with.
"""

import re
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

PROBLEMS = Path(__file__).parent / "problems"

_CONV = {"stride": "sizes", "padding": "sizes or a word", "dilation": "sizes", "groups": "number", "dtype": "dtype",
         "padding_mode": "word", "bias": "flag", "gaussian": "flag"}  # fmt: skip
_WINDOW = {"kernel": "sizes", "stride": "sizes", "padding": "sizes", "ceil_mode": "flag", "dtype": "dtype"}
_ADAPTIVE = {"output": "sizes", "dtype": "dtype"}
KEYS = {  # of each kind of function, without its 1d, 2d or 3d: what a line may say, and how it is written
    "conv": _CONV,
    "max_pool": _WINDOW | {"dilation": "sizes", "indices": "flag"},
    "avg_pool": _WINDOW | {"exclude_pad": "flag", "divisor": "number"},
    "adaptive_avg_pool": _ADAPTIVE,
    "adaptive_max_pool": _ADAPTIVE | {"indices": "flag"},
}
_NEEDED = {"max_pool": "kernel", "avg_pool": "kernel", "adaptive_avg_pool": "output", "adaptive_max_pool": "output"}
_DTYPES = ("float16", "float32", "float64", "complex64", "complex128", "int8", "uint8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Row:
    """One problem."""

    name: str
    kind: str  # the function's name without its rank
    rank: int
    input_shape: tuple
    weight_shape: tuple | None
    options: dict = field(default_factory=dict, hash=False)
    line: str = ""  # as it was written, without its comment and goal
    goal: float | None = None  # time of the best peer over cyconv's

    @property
    def function(self):
        return f"{self.kind}{self.rank}d"

    @property
    def is_conv(self):
        return self.kind == "conv"

    @property
    def dtype(self):
        return self.options.get("dtype", "float32")

    def per_axis(self, key, default):
        """The option as a tuple of one int per spatial axis."""
        value = self.options.get(key, default)
        return value if isinstance(value, tuple) else (value,) * self.rank

    def problem(self):
        """The ConvProblem, or None for pooling. Raises ValueError if the line describes nothing that can be computed."""
        if not self.is_conv:
            self._check_pool()
            return None
        from cyconv.problem import MAX_WORKSPACE, conv_problem

        def stand_in(shape):  # only shape and dtype are looked at
            return np.broadcast_to(np.zeros((), self.dtype), shape)

        get = self.options.get
        bias = stand_in((self.weight_shape[0],)) if get("bias") else None
        return conv_problem(
            self.rank, stand_in(self.input_shape), stand_in(self.weight_shape), bias, get("stride", 1), get("padding", 0),
            get("dilation", 1), get("groups", 1), get("padding_mode", "zeros"), "default", MAX_WORKSPACE,
        )  # fmt: skip

    def _check_pool(self):
        size = self.input_shape[-self.rank :]
        if "output" in self.options:
            return
        kernel = self.per_axis("kernel", None)
        for axis, (n, k, p, d) in enumerate(
            zip(size, kernel, self.per_axis("padding", 0), self.per_axis("dilation", 1))
        ):
            if 2 * p > k:
                raise ValueError(f"padding {p} is more than half of kernel {k} along axis {axis}")
            if n + 2 * p < d * (k - 1) + 1:
                raise ValueError(
                    f"kernel {k} with dilation {d} is larger than the padded input, {n + 2 * p}, along axis {axis}"
                )


def _sizes(text):
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise ValueError(f"{text!r} is no size: write 3 or 3x5")
    values = tuple(map(int, text.split("x")))
    return values if len(values) > 1 else values[0]


def _shape(text, axes, what):
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise ValueError(f"{what} {text!r} is no shape: write it as 1x64x56x56")
    shape = tuple(map(int, text.split("x")))
    if len(shape) != axes:
        raise ValueError(f"{what} {text} has {len(shape)} axes, not {axes}")
    if prod(shape) == 0:
        raise ValueError(f"{what} {text} is empty")
    return shape


def _value(written, text):
    if written == "number":
        if not text.isdecimal():
            raise ValueError(f"{text!r} is no number")
        return int(text)
    if written == "dtype":
        if text not in _DTYPES:
            raise ValueError(f"dtype {text!r} is none of {', '.join(_DTYPES)}")
        return text
    if written == "word" or (written == "sizes or a word" and text.isalpha()):
        return text
    return _sizes(text)


def parse_line(line):
    """The Row of one line; ValueError says what is wrong with it."""
    line = line.partition("#")[0].strip()
    name, *rest = line.split()
    if len(rest) < 2:
        raise ValueError(f"{line!r} is too short: NAME FUNCTION INPUT [WEIGHT] [key=value ...]")
    function, *words = rest
    match = re.fullmatch(r"(\w+?)([123])d", function)
    if match is None or match[1] not in KEYS:
        raise ValueError(
            f"{function!r} is no function; there are {', '.join(f'{kind}Nd' for kind in KEYS)} with N from 1 to 3"
        )
    kind, rank = match[1], int(match[2])
    keys = KEYS[kind]
    input_shape, weight_shape = _shape(words.pop(0), rank + 2, "the input's shape"), None
    if kind == "conv":
        if not words:
            raise ValueError("a convolution needs the weight's shape after the input's")
        weight_shape = _shape(words.pop(0), rank + 2, "the weight's shape")
    options, goal = {}, None
    for word in words:
        key, equals, text = word.partition("=")
        if key == "goal":
            if goal is not None or not re.fullmatch(r"\d+(\.\d+)?", text):
                raise ValueError(f"{word!r}: goal is a number, given once")
            goal, line = float(text), line.replace(word, "").strip()
            continue
        if key not in keys or key in options:
            raise ValueError(
                f"{key!r} is {'given twice' if key in options else 'not for ' + function}; allowed: {', '.join(keys)}"
            )
        if bool(equals) == (keys[key] == "flag"):
            raise ValueError(
                f"{word!r}: {key} is {'a flag and takes no value' if equals else 'written as ' + key + '=VALUE'}"
            )
        options[key] = _value(keys[key], text) if equals else True
        if isinstance(options[key], tuple) and len(options[key]) != rank:
            raise ValueError(f"{word!r} has {len(options[key])} values; {function} has {rank} spatial axes")
    if _NEEDED.get(kind, "dtype") not in options and kind in _NEEDED:
        raise ValueError(f"{function} needs {_NEEDED[kind]}=")
    return Row(name, kind, rank, input_shape, weight_shape, options, line, goal)


def parse(text, where):
    """The rows of a file's text. Every line is also checked to describe a problem that exists."""
    rows = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.partition("#")[0].strip():
            continue
        try:
            row = parse_line(line)
            row.problem()
            if row.name in rows:
                raise ValueError(f"the name {row.name!r} is taken by {rows[row.name].line!r}")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{where}, line {number}: {error}") from None
        rows[row.name] = row
    return list(rows.values())


def read(names):
    """The rows of problem files, given by name ("peers", "tiny") or path."""
    rows = []
    for name in names:
        path = PROBLEMS / f"{name}.txt" if (PROBLEMS / f"{name}.txt").exists() else Path(name)
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in PROBLEMS.glob("*.txt")))
            raise ValueError(f"there is no problem file {name!r}; give a path, or one of {there}")
        rows += parse(path.read_text(), path.name)
    return rows
