"""Has atheris look for arguments that the argument layer cannot stand, or makes the wrong problem of.

    python tests/fuzz/arguments.py --seconds 600 --seed 1 [--random]

Bytes become the arguments of one of cyconv's problems: shapes and dtypes, and options of all kinds. Guided by what is executed of cyconv's
Python modules, atheris changes the bytes. A problem that is made must be that of the obvious formulas (formulas.py), arguments that make sense must
not be refused, and nothing but ValueError, TypeError and MemoryError may be raised. `--random` takes random bytes, and needs no atheris.
"""

import argparse
import collections
import importlib.util
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[2]))  # last: an installed cyconv comes before the source tree
os.environ.setdefault("CYCONV_TUNING", "off")

TOLD = 20_000  # calls between two lines about what was found
LENGTH = 96  # bytes at most


class Shaped:
    """An array without elements to look at."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)

    def __repr__(self):
        return f"<{self.shape} {self.dtype}>"

    def with_length(self, axis, length):
        """The same with one axis of another length, if there is that axis."""
        return Shaped((*self.shape[:axis], length, *self.shape[axis + 1 :]), self.dtype) if axis < self.ndim else self


class Bytes:
    """Choices, taken from bytes one after the other; zeros when they are used up."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def pick(self, values):
        return values[self.byte() % len(values)]

    def number(self, least=0):
        """Mostly a small one."""
        code = self.byte()
        if code < 225:
            return least + code % 4
        return ODD[code - 225] if code - 225 < len(ODD) else code

    def option(self, least=0, rank=2):
        """What a caller may pass for a stride (at least 1) or a padding."""
        code = self.byte()
        if code < 120:
            return self.number(least)
        if code < 200:
            return self.pick((tuple, tuple, list))(self.number(least) for _ in range(rank if code < 180 else 1 + code % 4))
        if code < 215:
            return tuple((self.number(least), self.number(least)) for _ in range(rank if code < 210 else 1 + code % 3))
        return self.pick(WORDS) if code < 230 else self.pick(NONSENSE)

    def shape(self, ndim):
        return tuple(abs(self.number()) + (self.byte() % 6) for _ in range(ndim))

    def array(self, ndim, dtype):
        """What an array looks like to those who look at its shape and dtype."""
        ndim = ndim if (code := self.byte()) < 230 else code % 7
        return Shaped(self.shape(ndim), DTYPES[dtype] if self.byte() < 240 else self.pick(list(DTYPES.values())))

    def flag(self):
        code = self.byte()
        return code % 2 == 1 if code < 200 else self.option()


def load():
    """The argument layer, instrumented by whoever has set that up."""
    global np, formulas, PROBLEMS, ODD, WORDS, NONSENSE, DTYPES
    import numpy as np
    from fuzz import formulas
    from fuzz.values import EVERY_DTYPE

    from cyconv import (
        arguments,
        filter_problem,
        fold_problem,
        gradient_problem,
        pool_problem,
        problem,
        scatter_problem,
        spread_problem,
    )

    ODD = (-1, -2, 9, 10, 16, 31, 64, 100, 127, 128, 255, 1000, 2**31 - 1, 2**31, 2**32, 2**40, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63))
    WORDS = ("valid", "same", "same_upper", "same_lower", "full", "zeros", "reflect", "replicate", "circular", "default", "strict")
    WORDS += ("Same", "", "wrap", "mirror", "nearest", "constant")
    NONSENSE = (
        None, True, False, 1.0, 0.5, float("nan"), float("inf"), b"same", (), [], {}, (None,), (1.0,), (True, 1), ((1,),), ((1, 2), 3), ((1, 2, 3),), np.int64(2), np.uint8(255),
        np.int8(-1), np.array(2), np.array([1, 2]), np.array([[1, 2]]), np.array([1.5]), np.str_("same"), object(), 1j, range(2), 10**400, np.float32(2), np.bool_(True),
    )  # fmt: skip
    DTYPES = {name: np.dtype(name) for name in EVERY_DTYPE if ">" not in name}  # arrays are native when problems are made

    def dtype_of(b):
        return b.pick(("float32", "float32", "float64", "int8", "complex64", "uint16", "float16", "bool"))

    def conv(b):
        rank, dtype = 1 + b.byte() % 3, dtype_of(b)
        x, w = b.array(rank + 1 + b.byte() % 2, dtype), b.array(rank + 2, dtype)
        if b.byte() < 200:  # channels that fit
            x, w = x.with_length(x.ndim - rank - 1, 2), w.with_length(1, 2)
        bias = None if b.byte() < 128 else b.array(1, dtype)
        more = b.pick(("zeros", "reflect", "replicate", "circular")) if b.byte() < 230 else b.option(), b.pick(("default", "strict", b.option()))
        arguments = (rank, x, w, bias, b.option(1, rank), b.option(0, rank), b.option(1, rank), 1 if b.byte() < 150 else b.option(1))
        arguments += (*more, 2**28 if b.byte() < 200 else b.option())
        return problem.conv_problem, arguments, formulas.conv

    def conv_transpose(b):
        rank, dtype = 1 + b.byte() % 3, dtype_of(b)
        x, w = b.array(rank + 1 + b.byte() % 2, dtype), b.array(rank + 2, dtype)
        if b.byte() < 200:
            x, w = x.with_length(x.ndim - rank - 1, 2), w.with_length(0, 2)
        for axis in range(2, w.ndim):  # as many phases as taps, each of them a problem
            w = w.with_length(axis, min(w.shape[axis], 20))
        bias = None if b.byte() < 128 else b.array(1, dtype)
        extra = 0 if b.byte() < 100 else b.option(0, rank)
        arguments = (rank, x, w, bias, b.option(1, rank), b.option(0, rank), extra, 1 if b.byte() < 150 else b.option(1), b.option(1, rank))
        return problem.conv_transpose_problem, (*arguments, b.pick(("default", "strict", b.option())), 2**28 if b.byte() < 200 else b.option()), formulas.conv_transpose

    def max_pool(b):
        rank = 1 + b.byte() % 3
        arguments = (rank, b.array(rank + 1 + b.byte() % 2, dtype_of(b)), *_window(b, rank), b.option(1, rank) if b.byte() < 128 else 1, b.flag(), b.flag())
        return pool_problem.max_pool_problem, arguments, formulas.max_pool

    def avg_pool(b):
        rank = 1 + b.byte() % 3
        divisor = None if b.byte() < 128 else b.option()
        arguments = (rank, b.array(rank + 1 + b.byte() % 2, dtype_of(b)), *_window(b, rank), b.flag(), b.flag(), divisor)
        return pool_problem.avg_pool_problem, arguments, formulas.avg_pool

    def lp_pool(b):
        rank = 1 + b.byte() % 3
        norm = b.pick((1, 2, 3.5, -1, float("inf"), b.option()))
        return pool_problem.lp_pool_problem, (rank, b.array(rank + 1 + b.byte() % 2, dtype_of(b)), norm, b.option(1, rank), b.option(1, rank), b.flag()), formulas.lp_pool

    def adaptive(b):
        rank = 1 + b.byte() % 3
        arguments = (rank, b.array(rank + 1 + b.byte() % 2, dtype_of(b)), b.pick(("max", "average")), b.option(0, rank), b.flag())
        return pool_problem.adaptive_pool_problem, arguments, formulas.adaptive

    def unfold(b):
        rank = 1 + b.byte() % 3
        return fold_problem.unfold_problem, (b.array(rank + 1 + b.byte() % 2, dtype_of(b)), *_columns(b, rank)), formulas.unfold

    def fold(b):
        return fold_problem.fold_problem, (b.array(2 + b.byte() % 2, dtype_of(b)), b.option(1), *_columns(b, 2)), None

    def filters(b):
        x = b.array(b.byte() % 5, dtype_of(b))
        mode = b.pick(("reflect", "constant", "wrap", b.option(), [b.pick(WORDS), b.pick(WORDS)]))
        arguments = (b.pick(("max", "min", "average")), x, b.option(1, x.ndim), None if b.byte() < 230 else b.option(), None, mode)
        arguments += (b.pick((0, 0, 1.5, b.option())), b.pick((0, 0, b.option())))
        return filter_problem.filter_problem, (*arguments, None if b.byte() < 128 else b.option()), None

    def unpool(b):
        rank = 1 + b.byte() % 3
        x = b.array(rank + 1 + b.byte() % 2, dtype_of(b))
        indices = Shaped(x.shape, DTYPES["int64"]) if b.byte() < 200 else b.array(rank + 2, "int32")
        return scatter_problem.unpool_problem, (rank, x, indices, *_window(b, rank), None if b.byte() < 100 else b.option(1, rank)), None

    def shape(b):
        return tuple(abs(b.number()) for _ in range(b.byte() % 6)) if b.byte() < 200 else b.option()

    def max_pool_input(b):
        rank = 1 + b.byte() % 3
        g = b.array(rank + 2, dtype_of(b))
        indices = Shaped(g.shape, DTYPES["int32"]) if b.byte() < 200 else b.array(rank + 2, "int32")
        return scatter_problem.max_pool_input_problem, (rank, shape(b), indices, g), None

    def avg_pool_input(b):
        rank = 1 + b.byte() % 3
        arguments = (rank, shape(b), b.array(rank + 2, dtype_of(b)), *_window(b, rank), b.flag(), b.flag(), None)
        return spread_problem.avg_pool_input_problem, arguments, None

    def unfold_input(b):
        return spread_problem.unfold_input_problem, (shape(b), b.array(3, dtype_of(b)), *_columns(b, 2)), None

    def conv_gradient(b):
        rank, dtype = 1 + b.byte() % 3, dtype_of(b)
        lead = [arguments.shape_of("input_size", each, "ints") for each in (shape(b), shape(b))]
        more = b.pick(("zeros", "reflect", "circular", b.option())), b.pick(("default", "strict"))
        rest = (b.option(1, rank), b.option(0, rank), b.option(1, rank), 1 if b.byte() < 150 else b.option(), *more, 2**28)
        return gradient_problem.conv_gradient_problem, (rank, *lead, b.array(rank + 2, dtype), *rest), None

    def conv_transpose_gradient(b):
        rank, dtype = 1 + b.byte() % 3, dtype_of(b)
        lead = [arguments.shape_of("input_size", each, "ints") for each in (shape(b), shape(b))]
        lead[1] = (*lead[1][:2], *[min(n, 20) for n in lead[1][2:]])
        rest = (b.option(1, rank), b.option(0, rank), 0 if b.byte() < 150 else b.option(), 1 if b.byte() < 150 else b.option(), b.option(1, rank), "default", 2**28)
        return gradient_problem.conv_transpose_gradient_problem, (rank, *lead, b.array(rank + 2, dtype), *rest), None

    PROBLEMS = (
        conv, conv, conv_transpose, max_pool, avg_pool, lp_pool, adaptive, unfold, fold, filters, unpool, max_pool_input, avg_pool_input, unfold_input, conv_gradient,
        conv_transpose_gradient,
    )  # fmt: skip


def _window(b, rank):
    """Kernel, stride and padding."""
    return b.option(1, rank), None if b.byte() < 80 else b.option(1, rank), 0 if b.byte() < 80 else b.option(0, rank)


def _columns(b, rank):
    """Kernel, dilation, padding and stride."""
    return b.option(1, rank), 1 if b.byte() < 100 else b.option(1, rank), b.option(0, rank), b.option(1, rank)


found = collections.Counter()
begin = time.monotonic()


def target(data):
    """One problem from bytes."""
    b = Bytes(data)
    make = b.pick(PROBLEMS)
    try:
        function, arguments, formula = make(b)
    except (ValueError, TypeError):  # shapes that shape_of refuses
        return
    errors, problem = [], None
    for _ in range(2 if b.byte() % 4 == 0 else 1):  # the second time it is known
        try:
            problem = function(*arguments)
            errors.append(None)
        except (ValueError, TypeError, MemoryError) as error:
            errors.append(str(error))
        except Exception as error:
            raise AssertionError(f"{function.__name__}{arguments}: {type(error).__name__}: {error}") from error
    try:
        assert len(set(errors)) == 1 and errors[0] != "", f"said {errors}"
        if formula:
            formula(problem, *map(_plain, arguments))
            found["compared"] += 1
    except AssertionError as error:
        raise AssertionError(f"{function.__name__}{arguments}: {error}; cyconv says {errors[0] or problem}") from error
    found["made" if errors[0] is None else "refused"] += 1
    calls = found["made"] + found["refused"]
    if calls % TOLD == 0:
        print(told(), flush=True)


def told():
    counts = f"{found['made']} made, {found['refused']} refused, {found['compared']} compared with the formulas"
    return f"{found['made'] + found['refused']} problems: {counts}; {time.monotonic() - begin:.0f} s"


def _plain(value):
    """An option that is an array as a list."""
    return value.tolist() if isinstance(value, np.ndarray) and value.ndim else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="random bytes, not guided by anything")
    options = parser.parse_args()
    if options.random:
        load()
        dice = random.Random(options.seed)
        while time.monotonic() - begin < options.seconds:
            target(dice.randbytes(LENGTH))
        print(told() + "; no failure")
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("arguments.py needs atheris (pip install atheris); with --random it does without", file=sys.stderr)
        return 1
    import atheris

    with atheris.instrument_imports(include=["cyconv"]):
        load()
    limits = [f"-max_total_time={options.seconds}", f"-max_len={LENGTH}", "-len_control=0", "-rss_limit_mb=0", "-timeout=60"]
    atheris.Setup([sys.argv[0], *limits, f"-seed={options.seed}", f"-artifact_prefix={tempfile.gettempdir()}/"], target)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
