"""Calls whose sizes are beyond all bounds, by chance: each raises ValueError, TypeError or MemoryError at once, or returns a result of the right shape.

    python tests/limits/sizes.py --calls 20000

Arrays are views of one number, so that shapes may be as large as NumPy allows. A child process makes the calls, within 2 GiB of address space;
one that dies or takes longer than --seconds is reported with the call that did it. Exits with 1 if anything was wrong.

What may take long is a call that is large and possible: a few outputs of windows of 2**40 samples. Such calls are not counted as wrong, but as
`long`: those whose work, told from the shapes, is above WORK.
"""

import argparse
import random
import resource
import selectors
import subprocess
import sys
from math import prod

import numpy as np

import cyconv
from cyconv import grad, nn, signal

SMALL = (1, 1, 1, 2, 3, 5)
LARGE = (2**16 + 1, 2**20, 2**31 - 1, 2**31, 2**32 + 1, 2**40, 2**53 + 1, 2**61 - 1, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**64)
DTYPES = "float16 float32 float64 complex64 complex128 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()
WORK = 5e7  # elementary steps above which a call may take its time
ADDRESSES = 2 * 2**30


class Draw:
    """Random arguments."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.huge = self.random.choice((0.1, 0.25, 0.5))  # how often a number is a large one

    def number(self, huge=None):
        pool = LARGE if self.random.random() < (self.huge if huge is None else huge) else SMALL
        return self.random.choice(pool)

    def numbers(self, rank, huge=None):
        return tuple(self.number(huge) for _ in range(rank)) if self.random.random() < 0.7 else self.number(huge)

    def maybe_zero(self, rank):
        return self.random.choice((0, 0, 1, self.numbers(rank)))

    def shape(self, axes, huge=None):
        return tuple(self.number(huge) if self.random.random() < 0.97 else 0 for _ in range(axes))

    def array(self, shape, dtype):
        """None where NumPy has no such array."""
        try:
            return np.broadcast_to(np.ones((), dtype), shape)
        except ValueError:
            return None

    def word(self, *words):
        return self.random.choice(words)


def per_axis(value, rank):
    return value if isinstance(value, tuple) else (value,) * rank


def a_call(seed):
    """(name, function, arguments, options, the shape of the result if it is known, work) of a random call; None if there is none."""
    d = Draw(seed)
    rank, dtype = d.random.randint(1, 3), d.word(*DTYPES)
    return d.word(convolution, convolution, transposed, pool, pool, adaptive, unpool, windows, gradients, filters, signals, networks, others)(d, rank, dtype)


def lengths(size, kernel, stride, dilation, padding):
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in zip(size, kernel, stride, dilation, padding))


def convolution(d, rank, dtype):
    x, w = d.shape(rank + 2), d.shape(rank + 2, 0.1)
    groups = d.number() if d.random.random() < 0.1 else 1
    if d.random.random() < 0.9:
        w = (w[0], x[1] // max(groups, 1), *w[2:])
    s, di, p = d.numbers(rank), d.numbers(rank), d.maybe_zero(rank)
    out = (x[0], w[0], *lengths(x[2:], w[2:], per_axis(s, rank), per_axis(di, rank), per_axis(p, rank)))
    options = {"algorithm": d.word("auto", "auto", "direct", "depthwise", "im2col", "fft", "winograd", "separable", "implicit_gemm", "dots", "channel_lanes")}
    if d.random.random() < 0.2:
        options |= {"padding_mode": d.word("reflect", "replicate", "circular")}
    if d.random.random() < 0.2:
        options |= {"max_workspace": d.number()}
    x, w = d.array(x, dtype), d.array(w, dtype)
    name = d.word(f"conv{rank}d", f"conv{rank}d", "explain", "plan_conv")
    if name == "plan_conv" and x is not None:
        return name, cyconv.plan_conv, (x.shape, w, None), options | {"stride": s, "padding": p, "dilation": di, "groups": groups}, None, size(w)
    return name, getattr(cyconv, name), (x, w, None, s, p, di, groups), options, out if name[:4] == "conv" else None, work(out, w) + size(w)


def size(array):
    return prod(array.shape) if array is not None else 0


def work(out, kernel):
    """Steps of so many outputs."""
    return prod(out) * max(prod(kernel) if isinstance(kernel, tuple) else size(kernel), 1)


def transposed(d, rank, dtype):
    x, w = d.shape(rank + 2, 0.1), d.shape(rank + 2, 0.1)
    w = (x[1], *w[1:])
    s, p, di = (per_axis(v, rank) for v in (d.numbers(rank), d.maybe_zero(rank), d.numbers(rank)))
    extra = d.maybe_zero(rank)
    out = (x[0], w[1], *((n - 1) * t - 2 * b + e * (k - 1) + a + 1 for n, k, t, b, e, a in zip(x[2:], w[2:], s, p, di, per_axis(extra, rank))))
    x, w = d.array(x, dtype), d.array(w, dtype)
    return f"conv_transpose{rank}d", getattr(cyconv, f"conv_transpose{rank}d"), (x, w, None, s, p, extra, 1, di), {}, out, work(out, w) + size(w)


def pool(d, rank, dtype):
    kind, x, k = d.word("max", "min", "avg", "lp"), d.shape(rank + 2), d.numbers(rank)
    s = d.word(None, d.numbers(rank))
    array = d.array(x, dtype)
    ks, ss = per_axis(k, rank), per_axis(k if s is None else s, rank)
    if kind == "lp":
        out = (*x[:2], *lengths(x[2:], ks, ss, (1,) * rank, (0,) * rank))
        return f"lp_pool{rank}d", getattr(cyconv, f"lp_pool{rank}d"), (array, 2, k, s), {}, out, work(out, ks)
    p = d.maybe_zero(rank)
    ps = per_axis(p, rank)
    if kind == "avg":
        out = (*x[:2], *lengths(x[2:], ks, ss, (1,) * rank, ps))
        return f"avg_pool{rank}d", getattr(cyconv, f"avg_pool{rank}d"), (array, k, s, p), {}, out, work(out, ks)
    di, indices = d.numbers(rank), d.word(False, True)
    out = (*x[:2], *lengths(x[2:], ks, ss, per_axis(di, rank), ps))
    return f"{kind}_pool{rank}d", getattr(cyconv, f"{kind}_pool{rank}d"), (array, k, s, p, di, False, indices), {}, out, work(out, ks)


def adaptive(d, rank, dtype):
    x, out, name = d.shape(rank + 2), d.numbers(rank), f"adaptive_{d.word('max', 'avg')}_pool{rank}d"
    return name, getattr(cyconv, name), (d.array(x, dtype), out), {}, (*x[:2], *per_axis(out, rank)), size(d.array(x, dtype)) + prod(x[:2]) * prod(per_axis(out, rank))


def unpool(d, rank, dtype):
    x, k, s, p = d.shape(rank + 2, 0.1), d.numbers(rank), d.word(None, d.numbers(rank)), d.maybe_zero(rank)
    ks, ss, ps = (per_axis(v, rank) for v in (k, k if s is None else s, p))
    out = (*x[:2], *((n - 1) * t + j - 2 * b for n, j, t, b in zip(x[2:], ks, ss, ps)))
    indices = d.array(x, "int64")
    return f"max_unpool{rank}d", getattr(cyconv, f"max_unpool{rank}d"), (d.array(x, dtype), indices if indices is None or indices.size > 1e6 else indices * 0, k, s, p), {}, out, prod(x) + prod(out)  # noqa: E501


def windows(d, rank, dtype):
    k, di, p, s = tuple(d.shape(rank)), *(per_axis(v, rank) for v in (d.numbers(rank), d.maybe_zero(rank), d.numbers(rank)))
    if d.random.random() < 0.5:
        x = d.shape(rank + 2)
        out = (x[0], x[1] * prod(k), prod(lengths(x[2:], k, s, di, p)))
        return "unfold", cyconv.unfold, (d.array(x, dtype), k, di, p, s), {}, out, prod(out)
    image = d.shape(rank)
    columns = prod(lengths(image, k, s, di, p))
    x = (d.number(0.1), prod(k) * d.number(0.1), max(columns, 0))
    out = (x[0], x[1] // max(prod(k), 1), *image)
    return "fold", cyconv.fold, (d.array(x, dtype), image, k, di, p, s), {}, out, prod(out) + prod(x)


def gradients(d, rank, dtype):
    x, w, g = d.shape(rank + 2), d.shape(rank + 2, 0.1), d.shape(rank + 2, 0.1)
    s, p, di = (per_axis(v, rank) for v in (d.numbers(rank, 0.1), d.maybe_zero(rank), d.numbers(rank, 0.1)))
    k = w[2:]
    kind = d.word("conv_input", "conv_weight", "conv_bias", "conv_transpose_input", "conv_transpose_weight", "avg", "adaptive", "lp", "max", "max_unpool", "unfold", "fold")
    if kind.startswith("conv"):
        name = kind.replace("_input", f"{rank}d_input").replace("_weight", f"{rank}d_weight").replace("_bias", f"{rank}d_bias")
        function = getattr(grad, name)
        if kind == "conv_bias":
            return name, function, (d.array(g, dtype),), {}, (g[1],), prod(g)
        lead = (x[1], w[1]) if "transpose" in kind else (w[0], x[1])
        w = (*lead, *k)
        if "transpose" in kind:
            out = (x[0], w[1], *((n - 1) * t - 2 * b + e * (j - 1) + 1 for n, j, t, b, e in zip(x[2:], k, s, p, di)))
        else:
            out = (x[0], w[0], *lengths(x[2:], k, s, di, p))
        other = (1, di) if "transpose" in kind else (di,)
        g = d.array(tuple(max(n, 0) for n in out), dtype)
        arguments = (s, p, 0, *other) if "transpose" in kind else (s, p, *other)
        if kind.endswith("weight"):
            return name, function, (d.array(x, dtype), w, g, *arguments), {}, w, prod(x) * prod(w)
        return name, function, (x, d.array(w, dtype), g, *arguments), {}, x, prod(x) * prod(w)
    if kind == "avg":
        out = (*x[:2], *lengths(x[2:], k, s, (1,) * rank, (0,) * rank))
        return "avg", getattr(grad, f"avg_pool{rank}d_input"), (x, d.array(tuple(max(n, 0) for n in out), dtype), k, s), {}, x, prod(x) + work(out, k)
    if kind == "adaptive":
        g = (*x[:2], *g[2:])
        return "adaptive", getattr(grad, f"adaptive_avg_pool{rank}d_input"), (x, d.array(g, dtype)), {}, x, prod(x) + prod(g)
    if kind == "lp":
        out = (*x[:2], *lengths(x[2:], k, s, (1,) * rank, (0,) * rank))
        return "lp", getattr(grad, f"lp_pool{rank}d_input"), (d.array(x, dtype), d.array(tuple(max(n, 0) for n in out), dtype), 2, k, s), {}, x, prod(x) + work(out, k)
    if kind in ("max", "max_unpool"):
        zeros = np.zeros(g if max(g) <= 5 else (1,) * len(g), np.int64)
        values = d.array(zeros.shape, dtype)
        x = (*zeros.shape[:2], *x[2:])
        if kind == "max":
            return "max", getattr(grad, f"max_pool{rank}d_input"), (x, zeros, values), {}, x, prod(x)
        return "max_unpool", getattr(grad, f"max_unpool{rank}d_input"), (d.array(x, dtype), zeros), {}, zeros.shape, 1
    if kind == "unfold":
        g = (x[0], x[1] * prod(k), max(prod(lengths(x[2:], k, s, di, p)), 0))
        return "unfold", grad.unfold_input, (x, d.array(g, dtype), k, di, p, s), {}, x, prod(x) + prod(g)
    return "fold", grad.fold_input, (d.array(x, dtype), k, di, p, s), {}, None, prod(x) * prod(k) + prod(lengths(x[2:], k, s, di, p)) * prod(k) * prod(x[:2])


def filters(d, rank, dtype):
    x, k = d.shape(rank), d.numbers(rank)
    name = d.word("maximum_filter", "minimum_filter", "uniform_filter")
    return name, getattr(cyconv, name), (d.array(x, dtype), k), {"mode": d.word("reflect", "constant", "wrap", "mirror", "nearest")}, x, prod(x) * min(prod(per_axis(k, rank)), 4 * prod(x))  # noqa: E501


def signals(d, rank, dtype):
    a, b, mode = d.shape(rank), d.shape(rank, 0.1), d.word("full", "same", "valid")
    if rank == 2 and d.random.random() < 0.4:
        name, boundary = d.word("convolve2d", "correlate2d"), d.word("fill", "wrap", "symm")
        return name, getattr(signal, name), (d.array(a, dtype), d.array(b, dtype), mode, boundary), {}, None, prod(a) * prod(b) * 16
    name = d.word("convolve", "correlate", "fftconvolve", "oaconvolve", "choose_conv_method", "match_template", "correlation_lags")
    if name == "correlation_lags":
        n, k = d.number(), d.number()
        return name, signal.correlation_lags, (n, k, mode), {}, None, n + k
    if name == "match_template":
        return name, signal.match_template, (d.array(a, dtype), d.array(b, dtype)), {}, None, prod(a) * 8 + prod(b)
    return name, getattr(signal, name), (d.array(a, dtype), d.array(b, dtype), mode), {}, None, prod(a) + prod(b)


def networks(d, rank, dtype):
    channels, others = d.number(), d.number()
    kind = d.word("Conv", "ConvTranspose", "BatchNorm", "MaxPool", "AvgPool", "Linear")
    if kind == "Linear":
        return kind, nn.Linear, (channels, others), {}, None, channels * others
    layer = getattr(nn, f"{kind}{rank}d")
    if kind == "BatchNorm":
        return kind, layer, (channels,), {}, None, channels
    k = d.numbers(rank)
    x = d.shape(rank + 2)
    if "Pool" in kind:
        return kind, lambda: nn.summary(nn.Sequential(layer(k, stride=d.numbers(rank))), x), (), {}, None, 1
    x = (x[0], 1, *x[2:])

    def summed():
        net = nn.Sequential(layer(1, 1, d.numbers(rank, 0), stride=d.numbers(rank)))
        return nn.summary(net, x), nn.receptive_field(net, (0,) * rank)

    return kind, summed, (), {}, None, 1


def others(d, rank, dtype):
    x = d.shape(rank)
    name = d.word("relu", "softmax", "log_softmax", "dropout", "linear", "batch_norm", "cross_entropy", "convolve_blockwise")
    function, array = getattr(cyconv, name), d.array(x, dtype)
    if name == "linear":
        w = (d.number(0.1), x[-1])
        return name, function, (array, d.array(w, dtype)), {}, (*x[:-1], w[0]), prod(x) * w[0] + prod(w)
    if name == "batch_norm":
        c = np.ones(x[1] if rank > 1 and x[1] < 1000 else 1, dtype)
        return name, function, (array, c, c), {}, None, prod(x)
    if name == "cross_entropy":
        return name, function, (array, d.array((x[0],), "int64")), {}, None, prod(x)
    if name == "convolve_blockwise":
        volume, w = d.array(d.shape(rank + 1), dtype), d.array((1, 1, *(d.number(0.1) for _ in range(rank))), dtype)
        out = np.zeros((1,) * (rank + 1), dtype)
        return name, function, (volume, w, out), {"padding": d.maybe_zero(rank), "max_memory": d.number()}, None, size(volume)
    return name, function, (array,), {}, x if name != "dropout" else None, prod(x)


# ---- the child that makes the calls ------------------------------------------------------------------------------------------


def make_calls(seed, first, last):
    """Prints a line before each call and one after it."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    for i in range(first, last):
        call = a_call(f"{seed}:{i}")
        name, function, arguments, options, shape, steps = call
        if any(each is None for each in arguments[:2]):
            print("skipped", i, flush=True)
            continue
        print("begun", i, "long" if steps > WORK else "short", name, flush=True)
        print(outcome(function, arguments, options, shape), i, name, flush=True)


def outcome(function, arguments, options, shape):
    try:
        with np.errstate(all="ignore"):
            result = function(*arguments, **options)
    except (ValueError, MemoryError, TypeError) as error:
        return type(error).__name__
    except BaseException as error:
        return f"wrong: {type(error).__name__}: {error}"[:200].replace("\n", " ")
    result = result[0] if isinstance(result, tuple) else result
    if shape is not None and isinstance(result, np.ndarray) and result.shape != tuple(shape):
        return f"wrong: shape {result.shape} and not {tuple(shape)}"
    return "returned"


# ---- the parent --------------------------------------------------------------------------------------------------------------


def watch(seed, calls, seconds):
    """Counts of outcomes, and what was wrong."""
    counts, wrong, first = {}, [], 0
    while first < calls:
        child = subprocess.Popen([sys.executable, __file__, "--child", str(seed), str(first), str(calls)], stdout=subprocess.PIPE, text=True)
        begun = None
        for line in lines_of(child, seconds):
            kind, _i, *rest = line.split(" ", 2) if line.startswith(("begun", "skipped")) else ("done", first, line)
            if kind == "begun":
                begun = rest[0]
                continue
            text = "skipped" if kind == "skipped" else line.split(" ")[0]
            counts[text] = counts.get(text, 0) + 1
            if text == "wrong:":
                wrong.append(line)
            first, begun = first + 1, None
        code = child.poll()
        child.kill()
        child.communicate()
        if begun is None and first < calls and code != 0:
            wrong.append(f"the child ended with {code} before call {first}")
            first += 1
        elif begun is not None:
            why = "long" if code is None and begun.startswith("long") else "late" if code is None else f"died ({code})"
            counts[why] = counts.get(why, 0) + 1
            if why != "long":
                wrong.append(f"{why}: call {seed}:{first} {begun}")
            first += 1
    return counts, wrong


def lines_of(child, seconds):
    """The child's lines, until it ends or is silent for so long (longer at its start)."""
    selector = selectors.DefaultSelector()
    selector.register(child.stdout, selectors.EVENT_READ)
    patience, rest = 60, b""
    stream = child.stdout.buffer
    while selector.select(patience):
        block = stream.read1(65536)
        if not block:
            child.wait()
            return
        *whole, rest = (rest + block).split(b"\n")
        yield from (line.decode() for line in whole)
        patience = seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", help="print the call of this seed (seed:number) and make it here")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        make_calls(*map(int, options.child))
        return 0
    if options.show:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        name, function, arguments, more, shape, steps = a_call(options.show)
        for each in arguments:
            print(f"array {each.shape} {each.dtype}" if isinstance(each, np.ndarray) else each)
        print(name, more, "result", shape, f"work {steps:.3g}")
        print(function(*arguments, **more))
        return 0
    counts, wrong = watch(options.seed, options.calls, options.seconds)
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1])))
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
