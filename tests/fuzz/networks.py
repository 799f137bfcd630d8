"""Calls of what networks compute between convolutions and pools, of cyconv.nn, and of what sets threads and memory."""

import os
import tempfile

import numpy as np
from fuzz import convolutions, pools
from fuzz.calls import Call, Unchecked, close, eps, rounding, same
from fuzz.convolutions import arrays_of
from fuzz.values import FLOATS, INTEGERS, NUMBERS, array, native
from scipy import special

import cyconv
from cyconv import nn


def _shape(dice, least=0, most=4):
    return tuple(dice.choice([0, 1, 2, 3, 5, 9]) for _ in range(dice.randint(least, most)))


def _native_dtype(value):
    return np.asarray(value).dtype.newbyteorder("=")


# ---- functions -------------------------------------------------------------------------------------------------------------


def linear(dice):
    dtype, features, outputs = dice.choice(NUMBERS), dice.choice([0, 1, 2, 5, 33]), dice.choice([0, 1, 3, 8])
    a = {"input": array(dice, (*_shape(dice, 0, 3), features), dtype), "weight": array(dice, (outputs, features), dtype)}
    if dice.chance(0.5):
        a["bias"] = array(dice, (outputs,), dtype)
    if len({_native_dtype(value) for value in a.values()}) > 1:
        a = {name: native(np.asarray(value)).astype(dtype) for name, value in a.items()}

    def check(a, got):
        arrays_of(a, "input", "weight", "bias")
        wide = {"float16": np.float64, "float32": np.float64, "complex64": np.complex128}.get(a.input.dtype.name, a.input.dtype)
        want = a.input.astype(wide) @ a.weight.astype(wide).T
        want = (want if a.bias is None else want + a.bias.astype(wide)).astype(a.input.dtype)
        extra = 0 if a.bias is None or want.dtype.kind not in "fc" else eps(want.dtype) * float(np.abs(a.bias).max(initial=0))
        close(got, want, convolutions.spread(a.input, a.weight, want) + extra)

    return Call("linear", cyconv.linear, a, check)


def relu(dice):
    def check(a, got):
        arrays_of(a, "input")
        same(got, np.maximum(a.input, 0, dtype=a.input.dtype))

    return Call("relu", cyconv.relu, {"input": array(dice, _shape(dice), dice.choice(FLOATS + INTEGERS), special=dice.chance(0.3))}, check)


def softmax(dice, name="softmax"):
    shape = _shape(dice, 1)
    x = array(dice, shape, dice.choice(FLOATS), special=dice.chance(0.2))
    if dice.chance(0.15):
        x = np.where(dice.numpy.random(shape) < 0.5, -1, 1).astype(_native_dtype(x)) * np.finfo(_native_dtype(x)).max  # as far apart as they can be
    a = {"input": x}
    if dice.chance(0.6):
        a["dim"] = dice.randrange(-len(shape), len(shape))

    def check(a, got):
        arrays_of(a, "input")
        wide = a.input.astype(np.float64)
        if not a.input.size:
            return same(got, a.input)
        finite = np.isfinite(wide).all(axis=a.dim, keepdims=True) | (wide == -np.inf).any(axis=a.dim, keepdims=True)
        if not finite.all():
            raise Unchecked
        want = getattr(special, name)(wide, axis=a.dim).astype(a.input.dtype)
        size = np.where(np.isfinite(wide), np.abs(wide), 0).max() if name == "log_softmax" else 1
        if np.isfinite(want).all() and np.isfinite(got).all():
            close(got, want, 8 * rounding(want) + eps("float32" if want.itemsize == 2 else want.dtype) * 8 * (size + a.input.shape[a.dim]))

    return Call(name, getattr(cyconv, name), a, check)


def dropout(dice):
    a = {"input": array(dice, _shape(dice), dice.choice(FLOATS), special=dice.chance(0.2)), "p": dice.choice([0, 0.0, 0.3, 0.5, 1, 1.0, np.float32(0.25)])}
    a |= {"training": dice.chance(0.8), "seed": dice.choice([0, 5, 2**61])}

    def check(a, got):
        arrays_of(a, "input")
        p = float(a.p)
        assert got.shape == a.input.shape and got.dtype == a.input.dtype
        if not np.isfinite(a.input).all():
            return
        if not a.training or p == 0:
            same(np.array(got), a.input)
        elif p == 1:
            assert not got.any()
        else:
            kept = got != 0
            close(got[kept], (a.input.astype(np.float64) / (1 - p)).astype(got.dtype)[kept], 4 * rounding(got[kept]))

    return Call("dropout", cyconv.dropout, a, check)


def cross_entropy(dice):
    classes, batch = dice.choice([1, 2, 3, 7]), dice.choice([0, 1, 2, 5])
    more = dice.choice([(), (), (2,), (2, 3), (0,)])
    target = dice.numpy.integers(0, classes, (batch, *more)).astype(dice.choice(INTEGERS[:4]))
    a = {"input": array(dice, (batch, classes, *more), dice.choice(FLOATS)), "target": target}
    if dice.chance(0.4):
        a["weight"] = np.abs(native(np.asarray(array(dice, (classes,), dice.choice(FLOATS)))))
    if dice.chance(0.4):
        a["label_smoothing"] = dice.choice([0.0, 0.1, 1, 1.0])
    if dice.chance(0.4):
        a["ignore_index"] = dice.choice([0, 1, -100])
    a["reduction"] = dice.choice(["mean", "sum"])

    def check(a, got):
        arrays_of(a, "input", "target", "weight")
        assert type(got) is float
        log = special.log_softmax(a.input.astype(np.float64), axis=1)
        if not np.isfinite(log).all() or a.input.shape[1] == 0:
            raise Unchecked
        classes, counted = a.input.shape[1], a.target != a.ignore_index
        weight = np.ones(classes) if a.weight is None else a.weight.astype(np.float64)
        target = np.where(counted, a.target, 0).astype(int)
        hot = np.moveaxis(np.eye(classes)[target], -1, 1) * (1 - a.label_smoothing) + a.label_smoothing / classes
        terms = -(hot * log * weight.reshape(-1, *(1,) * (log.ndim - 2))).sum(axis=1) * counted
        together = (weight[target] * counted).sum()
        want = terms.sum() / together if a.reduction == "mean" and together else terms.sum() if a.reduction == "sum" else np.nan
        allowed = 1e-5 if a.input.dtype != np.float64 else 1e-10
        np.testing.assert_allclose(got, want, rtol=allowed, atol=allowed * (1 + np.abs(terms).sum()) / (together or 1 if a.reduction == "mean" else 1))

    return Call("cross_entropy", cyconv.cross_entropy, a, check)


def batch_norm(dice):
    dtype, channels = dice.choice(FLOATS), dice.choice([1, 2, 3, 17])
    shape = (dice.choice([2, 3, 5]), channels, *_shape(dice, 0, 2))
    own = dice.chance(0.6)
    running = None if own and dice.chance(0.5) else [native(np.asarray(array(dice, (channels,), dice.choice(FLOATS)))) for _ in range(2)]
    if own and 0 in shape:
        shape = (2, channels, 3)
    a = {"input": array(dice, shape, dtype), "running_mean": None, "running_var": None, "training": own}
    if running:
        a |= {"running_mean": running[0], "running_var": np.abs(running[1]) + running[1].dtype.type(0.1)}
    dtype = _native_dtype(a["input"])
    for name in ("weight", "bias"):
        if dice.chance(0.5):
            a[name] = native(np.asarray(array(dice, (channels,), dtype))).astype(dtype)

    def check(a, got):
        arrays_of(a, "input", "weight", "bias")
        x, axes = a.input.astype(np.float64), (0, *range(2, a.input.ndim))
        line = lambda v: np.asarray(v, np.float64).reshape(-1, *(1,) * (x.ndim - 2))  # noqa: E731
        whole = a.training or a.running_mean is None
        mean, var = (x.mean(axes), x.var(axes)) if whole else (a.running_mean, a.running_var)
        if (np.asarray(var) < 0).any() or not np.isfinite(x).all() or a.eps > 1:
            raise Unchecked
        scale = 1 / np.sqrt(line(var) + a.eps) * (1 if a.weight is None else line(a.weight))
        want = ((x - line(mean)) * scale + (0 if a.bias is None else line(a.bias))).astype(a.input.dtype)
        size = (np.abs(x).max(initial=0) + np.abs(np.asarray(mean, float)).max(initial=0)) * np.abs(scale).max(initial=0)
        close(got, want, 8 * rounding(want) + 64 * eps("float32" if want.itemsize == 2 else want.dtype) * (size + 1))
        if a.training and a.running_mean is not None and call.right:
            count = x.size // x.shape[1]
            for live, before, new in ((call.arguments["running_mean"], a.running_mean, mean), (call.arguments["running_var"], a.running_var, var * count / (count - 1))):
                moved = before + a.momentum * (new - before)
                near = 1e-2 if min(live.itemsize, x.itemsize, a.input.itemsize) == 2 else 1e-5
                np.testing.assert_allclose(live.astype(float), moved, rtol=near, atol=near * (1 + np.abs(new).max()))

    call = Call("batch_norm", cyconv.batch_norm, a, check, repeats=not running, changes=("running_mean", "running_var"))
    return call


# ---- threads and memory ----------------------------------------------------------------------------------------------------


def set_num_threads(dice):
    before = cyconv.get_num_threads()

    def check(a, got):
        now = cyconv.get_num_threads()
        cyconv.set_num_threads(before)
        assert got is None and now == a.n

    return Call("set_num_threads", cyconv.set_num_threads, {"n": dice.randint(1, 1024)}, check, repeats=False)


def threads(dice):
    def check(a, got):
        before = cyconv.get_num_threads()
        with got:
            assert cyconv.get_num_threads() == a.n
        assert cyconv.get_num_threads() == before

    return Call("threads", _entered, {"n": dice.randint(1, 1024)}, check, repeats=False)


def _entered(n):
    """`threads` looks at its argument when the block is entered."""
    with cyconv.threads(n):
        pass
    return cyconv.threads(n)


def plain(name, expected):
    def make(dice):
        def check(a, got):
            assert isinstance(got, expected), got

        return Call(name, getattr(cyconv, name), {}, check, repeats=False)

    return make


# ---- layers ----------------------------------------------------------------------------------------------------------------


def _from(make, cls, rename=(), drop=(), rank=None):
    """A layer from the arguments of a function: `make(dice)` is a right call of it."""

    def layer(dice):
        call = make(dice)
        x, options = call.arguments["input"], {k: v for k, v in call.arguments.items() if k not in ("input", "out", *drop)}
        dtype = _native_dtype(x)
        more = {}
        if "weight" in options:
            w = np.asarray(options.pop("weight"))
            groups = int(options.get("groups", 1))
            ours = (w.shape[1] * groups, w.shape[0]) if "Transpose" not in cls else (w.shape[0], w.shape[1] * groups)
            more = {"in_channels": ours[0], "out_channels": ours[1], "kernel_size": w.shape[2:], "dtype": dtype.name, "seed": 0}
            options["bias"] = options.pop("bias", None) is not None
        kind = getattr(nn, cls)
        names = ("padding_mode",) if "Transpose" in cls else ()
        options = {k: v for k, v in options.items() if k not in names and k not in ("algorithm", "max_workspace", "precision")}

        def check(a, module):
            assert isinstance(module, nn.Module) and cls in repr(module)
            if call.name.startswith("conv"):
                if a.dtype != dtype.name:
                    raise Unchecked
                given = {k: v for k, v in vars(a).items() if k in ("stride", "padding", "output_padding", "dilation", "groups") and k in _of(call)}
                if "padding_mode" in _of(call):
                    given["padding_mode"] = a.padding_mode
                want = call.function(native(np.asarray(x)), np.asarray(module.weight), None if module.bias is None else np.asarray(module.bias), **given)
            else:
                want = call.function(native(np.asarray(x)), **{k: v for k, v in vars(a).items() if k in _of(call)})
            got = module(native(np.asarray(x)))
            for one, other in zip(got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,), strict=True):
                close(np.asarray(one), np.asarray(other), rounding(np.asarray(other)))
            first = got[0] if isinstance(got, tuple) else got
            if first.dtype.kind == "f":
                back = module.backward(np.ones_like(first))
                assert back.shape == np.shape(x) and back.dtype == dtype

        return Call(f"nn.{cls}", kind, {**more, **options}, check, repeats=False, right=not set(options) & {"algorithm"})

    return layer


def _of(call):
    from fuzz.calls import parameters

    return parameters(call.function)


def _floating(make):
    """Right calls on arrays that layers take."""

    def made(dice):
        while True:
            call = make(dice)
            x = call.arguments["input"]
            some = 0 not in np.shape(np.asarray(call.arguments.get("weight", np.ones((1, 1)))))[:2]
            if some and call.right and isinstance(x, np.ndarray) and x.dtype.newbyteorder("=").name in ("float32", "float64"):
                return call

    return made


def _simple(cls, arguments, shape, want):
    """A layer with arguments that are drawn by `arguments(dice)`, called on an array."""

    def layer(dice):
        x = native(np.asarray(array(dice, shape, "float32")))

        def check(a, module):
            got = module(x)
            expected = want(x, a, module)
            if expected is not None:
                close(np.asarray(got), np.asarray(expected), 1e-4)
            back = module.backward(np.ones_like(got))
            assert back.shape == x.shape and back.dtype == x.dtype

        return Call(f"nn.{cls}", getattr(nn, cls), arguments(dice), check, repeats=False)

    return layer


def _unpool(rank):
    def layer(dice):
        call = _floating(lambda dice: pools.max_unpool(dice, rank))(dice)
        a = call.arguments
        options = {name: a[name] for name in ("kernel_size", "stride", "padding")}

        def check(b, module):
            want = call.function(a["input"], a["indices"], b.kernel_size, b.stride, b.padding)
            same(module(a["input"], a["indices"]), want)

        return Call(f"nn.MaxUnpool{rank}d", getattr(nn, f"MaxUnpool{rank}d"), options, check, repeats=False)

    return layer


def _loss(cls):
    def make(dice):
        x, target = dice.numpy.standard_normal((4, 3)), dice.numpy.integers(0, 3, 4)
        other = target if cls == "CrossEntropyLoss" else dice.numpy.standard_normal((4, 3))

        def check(a, module):
            got = module(x, other)
            if cls == "MSELoss":
                np.testing.assert_allclose(got, ((x - other) ** 2).mean() if a.reduction == "mean" else ((x - other) ** 2).sum())
            else:
                np.testing.assert_allclose(got, cyconv.cross_entropy(x, other, a.weight, a.ignore_index, a.reduction, a.label_smoothing))
            assert module.backward().shape == x.shape

        a = {"reduction": dice.choice(["mean", "sum"])}
        if cls == "CrossEntropyLoss":
            a |= {"label_smoothing": dice.choice([0, 0.1]), "ignore_index": dice.choice([0, -100]), "weight": dice.choice([None, np.ones(3)])}
        return Call(f"nn.{cls}", getattr(nn, cls), a, check, repeats=False)

    return make


def _optimizer(cls, arguments):
    def make(dice):
        parameter = nn.Parameter(np.ones(3))

        def check(a, optimizer):
            parameter.grad = np.ones(3)
            optimizer.step()
            assert parameter.shape == (3,)
            optimizer.zero_grad()
            assert parameter.grad is None or not parameter.grad.any()

        return Call(f"nn.{cls}", getattr(nn, cls), {"parameters": [parameter], **arguments(dice)}, check, repeats=False)

    return make


def _called(layer, shape):
    """An own layer's forward, so that its arguments are spoiled, too."""

    def make(dice):
        module = layer()

        def forward(input):
            return module(input)

        name = type(module).__name__
        return Call(f"nn.{name}", forward, {"input": native(np.asarray(array(dice, shape, "float32")))}, lambda a, got: _shaped(got), repeats=False)

    return make


def _shaped(got):
    assert isinstance(got, np.ndarray)


def parameter(dice):
    def check(a, got):
        close(np.asarray(got), np.asarray(a.data), 0)

    return Call("nn.Parameter", nn.Parameter, {"data": native(np.asarray(array(dice, (2, 3), dice.choice(FLOATS)))), "requires_grad": dice.chance(0.5)}, check)


def _net():
    return nn.Sequential(nn.Conv2d(1, 2, 3, seed=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2, seed=0))


def summary(dice):
    return Call("nn.summary", nn.summary, {"model": _net(), "input_size": (2, 1, 8, 8)}, lambda a, got: _printed(got), repeats=False)


def _printed(got):
    assert str(got)


def receptive_field(dice):
    def check(a, got):
        assert len(got) == 2 and all(isinstance(each, slice) for each in got)

    return Call("nn.receptive_field", nn.receptive_field, {"model": _net()[:3], "position": dice.ints(2, 0, 2)}, check, repeats=False)


def save(dice):
    path = os.path.join(tempfile.gettempdir(), f"cyconv-fuzz-{os.getpid()}.npz")

    def check(a, got):
        assert set(nn.load(path)) == set(a.state.state_dict() if isinstance(a.state, nn.Module) else a.state)
        os.remove(path)

    return Call("nn.save", lambda state: nn.save(state, path), {"state": _net()}, check, repeats=False)


def load(dice):
    path = os.path.join(tempfile.gettempdir(), f"cyconv-fuzz-load-{os.getpid()}.npz")
    nn.save(_net(), path)
    with open(path, "r+b") as file:
        if damaged := dice.chance(0.7):
            content = bytearray(file.read())
            for _ in range(dice.randint(1, 20)):
                content[dice.randrange(len(content))] = dice.randrange(256)
            file.seek(0)
            file.write(content[: dice.randrange(len(content))] if dice.chance(0.3) else content)
            file.truncate()

    def read():
        try:
            return nn.load(path)
        finally:
            os.remove(path)

    return Call("nn.load", read, {}, lambda a, got: None, repeats=False, right=not damaged)


def module(dice):
    def check(a, got):
        assert got.training and list(got.parameters()) == []

    return Call("nn.Module", nn.Module, {}, check, repeats=False)


def _either(*makers):
    return lambda dice: dice.choice(makers)(dice)


# ---- the table -------------------------------------------------------------------------------------------------------------

TABLE = {
    "linear": linear,
    "relu": relu,
    "softmax": softmax,
    "log_softmax": lambda dice: softmax(dice, "log_softmax"),
    "dropout": dropout,
    "cross_entropy": cross_entropy,
    "batch_norm": batch_norm,
    "set_num_threads": set_num_threads,
    "threads": threads,
    "get_num_threads": plain("get_num_threads", int),
    "release_memory": plain("release_memory", int),
    "nn.Linear": _either(
        _simple("Linear", lambda d: {"in_features": 4, "out_features": d.randint(1, 5), "seed": 1}, (3, 4), lambda x, a, m: cyconv.linear(x, m.weight, m.bias)),
        _called(lambda: nn.Linear(4, 2, seed=0), (3, 4)),
    ),
    "nn.ReLU": _either(_simple("ReLU", lambda d: {"inplace": False}, (3, 4), lambda x, a, m: np.maximum(x, 0)), _called(nn.ReLU, (2, 3))),
    "nn.Dropout": _simple("Dropout", lambda d: {"p": d.choice([0, 0.5, 1]), "seed": 0}, (3, 4), lambda x, a, m: None),
    "nn.Flatten": _either(
        _simple("Flatten", lambda d: {"start_dim": d.choice([1, 0, -2]), "end_dim": -1}, (3, 4, 5), lambda x, a, m: None), _called(nn.Flatten, (2, 3, 4))
    ),
    "nn.Identity": _either(_simple("Identity", lambda d: {}, (3, 4), lambda x, a, m: x), _called(nn.Identity, (2, 3))),
    "nn.Sequential": _called(_net, (2, 1, 8, 8)),
    "nn.BasicBlock": _either(
        _simple("BasicBlock", lambda d: {"in_channels": 2, "out_channels": d.randint(1, 3), "stride": d.randint(1, 2), "seed": 0}, (2, 2, 6, 6), lambda x, a, m: None),
        _called(lambda: nn.BasicBlock(2, 3, seed=0), (2, 2, 5, 5)),
    ),
    "nn.CrossEntropyLoss": _loss("CrossEntropyLoss"),
    "nn.MSELoss": _loss("MSELoss"),
    "nn.SGD": _optimizer("SGD", lambda d: {"lr": 0.1, "momentum": d.choice([0, 0.9]), "weight_decay": d.choice([0, 0.1])}),
    "nn.Adam": _optimizer("Adam", lambda d: {"lr": 0.1, "betas": d.choice([(0.9, 0.99), [0, 0]])}),
    "nn.Parameter": parameter,
    "nn.Module": module,
    "nn.summary": summary,
    "nn.receptive_field": receptive_field,
    "nn.save": save,
    "nn.load": load,
}
for _rank in (1, 2, 3):
    _shapes = (4, 3, *(5, 4, 3)[:_rank])
    TABLE[f"nn.BatchNorm{_rank}d"] = _either(
        _simple(f"BatchNorm{_rank}d", lambda d: {"num_features": 3, "affine": d.chance(0.5), "momentum": d.choice([0.1, None, 1])}, _shapes, lambda x, a, m: None),
        _called(lambda rank=_rank: getattr(nn, f"BatchNorm{rank}d")(3), _shapes),
    )
    TABLE[f"nn.MaxUnpool{_rank}d"] = _unpool(_rank)
    for _cls, _make in {
        "Conv": convolutions.conv,
        "ConvTranspose": convolutions.conv_transpose,
        "MaxPool": pools.max_pool,
        "AvgPool": pools.avg_pool,
        "LPPool": pools.lp_pool,
        "AdaptiveMaxPool": lambda dice, rank: pools.adaptive(dice, rank, "max"),
        "AdaptiveAvgPool": lambda dice, rank: pools.adaptive(dice, rank, "average"),
    }.items():
        TABLE[f"nn.{_cls}{_rank}d"] = _from(_floating(lambda dice, make=_make, rank=_rank: make(dice, rank)), f"{_cls}{_rank}d")
