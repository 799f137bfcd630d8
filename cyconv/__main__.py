"""The command line: `python -m cyconv COMMAND`, or `cyconv COMMAND`.

Only arguments are read here; each command is a module of cyconv/cli/, imported when it is asked for. Every error is one
line on stderr; the exit status is 2 for a command line that makes no sense, 1 for everything else that fails.
"""

import argparse
import os
import re
import sys

from . import __version__
from .cli import CommandError, kernels
from .problem import CONV_DTYPES, GPU_DTYPES, MAX_WORKSPACE, PADDING_MODES, PADDING_WORDS, PRECISIONS
from .select import ALGORITHMS

INTERRUPTED = 130  # 128 + SIGINT, and below 128 + SIGPIPE, as shells count
READER_GONE = 141
EXAMPLES = """\
examples:
  python -m cyconv demo                               a table, and a picture in cyconv-demo.png
  python -m cyconv demo holiday.jpg -o poster.png     the same with your own photograph
  python -m cyconv filter in.png out.png --kernel gaussian:31
  python -m cyconv explain 1x3x224x224 64x3x7x7 --stride 2 --padding 3
  python -m cyconv bench --plot times.png             every algorithm's time against kernel size
  python -m cyconv run model.onnx --input x.npy -o y.npy --profile
  python -m cyconv info
  python -m cyconv tune                               measures this machine, so that choices suit it
"""
KERNELS = f"""\
kernels (N is an odd number of pixels):
{kernels.names_text()}

A picture keeps its colours, its opacity and 8 bits: results are rounded and clipped to 0 ... 255. Where the list
says so, 128 is added first, so that negative results show. A .npy file gets floats as they are, nothing added.
"""
UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse would print the whole usage first."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (try {self.prog} --help)\n")


def main(arguments=None):
    """Runs one command line and returns the exit status."""
    status = _attempt(arguments)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()  # so that a closed pipe or a full disk shows here, not while Python shuts down
    except OSError as error:
        # What is left in the buffer goes nowhere, or Python would complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return READER_GONE
        return status or _fail(f"cannot write the output: {error.strerror}")
    return status


def _attempt(arguments):
    try:
        _run(_parser().parse_args(arguments))
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return READER_GONE
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error)
    except (CommandError, ValueError, TypeError, ImportError) as error:
        return _fail(error)
    except MemoryError as error:
        return _fail(f"not enough memory: {error}")
    return 0


def _fail(what, status=1):
    print(f"cyconv: {' '.join(str(what).split())}", file=sys.stderr)
    return status


def _run(given):
    if given.command == "demo":
        from .cli import demo

        demo.run(given.photo, given.out, given.runs)
    elif given.command == "filter":
        from .cli import filter

        print(filter.run(given.source, given.target, given.kernel, given.padding_mode, given.algorithm, given.force))
    elif given.command == "info":
        from .cli import info

        print(info.run())
    elif given.command == "tune":
        from .cli import tune

        print(tune.reset() if given.reset else tune.run(given.seconds))
    elif given.command == "explain":
        from .cli import explain

        options = {
            name: getattr(given, name)
            for name in ("stride", "padding", "dilation", "groups", "padding_mode", "algorithm", "precision", "max_workspace")
        }
        print(explain.run(given.input_shape, given.weight_shape, given.dtype, given.gpu, given.allow_tf32, **options))
    elif given.command == "run":
        from .cli import run

        print(run.run(given.model, given.input, given.out, given.profile, given.threads))
    elif given.command == "bench":
        from .cli import bench

        bench.run(given.csv, given.plot, given.seconds, given.threads, given.dtype)
    else:
        print(_parser().format_help(), end="")


# ---- what the words of a command line mean -------------------------------------------------------------------------------


def _argument(parse):
    """`parse` as argparse wants it: what it raises becomes argparse's message."""

    def checked(text):
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _shape(text):
    if not re.fullmatch(r"[0-9]+(x[0-9]+)*", text):
        raise ValueError(f"a shape is written like 1x3x224x224, got {text!r}")
    return tuple(map(int, text.split("x")))


def _per_axis(text):
    """An int for all axes, or one for each."""
    if not re.fullmatch(r"[0-9]+(x[0-9]+)*", text):
        raise ValueError(f"write one number for all axes (2) or one for each (2x1), got {text!r}")
    numbers = tuple(map(int, text.split("x")))
    return numbers[0] if len(numbers) == 1 else numbers


def _padding(text):
    if text in PADDING_WORDS:
        return text
    if not re.fullmatch(r"[0-9]+(\+[0-9]+)?(x[0-9]+(\+[0-9]+)?)*", text):
        words = ", ".join(PADDING_WORDS)
        raise ValueError(f"write a number (1), one per axis (1x2), before+after (1+0x2), or one of {words}; got {text!r}")
    sides = [tuple(map(int, axis.split("+"))) for axis in text.split("x")]
    axes = tuple(side if len(side) == 2 else side * 2 for side in sides)
    return axes[0][0] if len(axes) == 1 and len(sides[0]) == 1 else axes


def _bytes(text):
    found = re.fullmatch(r"([0-9]+) ?(B|KiB|MiB|GiB)?", text)
    if not found:
        raise ValueError(f"write bytes (1000000) or 64KiB, 64MiB, 1GiB; got {text!r}")
    return int(found[1]) * UNITS[found[2] or ""]


def _count(text):
    if not re.fullmatch(r"[0-9]+", text) or not 1 <= int(text) <= 1000:
        raise ValueError(f"write a number from 1 to 1000, got {text!r}")
    return int(text)


def _seconds(text):
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not 0 < float(text) <= 86400:
        raise ValueError(f"write seconds, above 0 and at most 86400; got {text!r}")
    return float(text)


# ---- the parser ----------------------------------------------------------------------------------------------------------


def _parser():
    # argparse would show "__main__.py"; what is typed is this.
    prog = "cyconv" if os.path.basename(sys.argv[0]).startswith("cyconv") else "python -m cyconv"
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog=prog, description="Convolution and pooling for NumPy arrays, and CuPy's on a GPU.", epilog=EXAMPLES, formatter_class=raw, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"cyconv {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name, text, **more):
        return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False, **more)

    demo = command("demo", "convolve and pool a photograph: prints a table, writes a picture")
    demo.add_argument("photo", nargs="?", metavar="PHOTO", help="a picture file (default: a portrait that matplotlib ships)")
    demo.add_argument("-o", "--out", default="cyconv-demo.png", metavar="OUT.png", help="the picture to write (%(default)s)")
    demo.add_argument("--runs", type=_argument(_count), default=7, metavar="N", help="runs that each median is of (%(default)s)")

    filter_ = command("filter", "apply one kernel to every channel of a picture", formatter_class=raw, epilog=KERNELS)
    filter_.add_argument("source", metavar="IN", help="a picture file, or a .npy file of shape (H, W) or (H, W, C)")
    filter_.add_argument("target", metavar="OUT", help="a picture file, or a .npy file that gets the result unrounded")
    filter_.add_argument("--kernel", required=True, type=_argument(kernels.parse), metavar="KERNEL", help="one of the list below")
    filter_.add_argument("--padding-mode", default="reflect", choices=PADDING_MODES, help="what lies outside (%(default)s)")
    _add_algorithm(filter_)
    filter_.add_argument("--force", action="store_true", help="allow OUT to be IN itself")

    command("info", "print version, processor level, threads, BLAS, GPU and where predicted times come from")

    tune = command("tune", "measure this machine, so that choices suit it (under two minutes), and keep that in your configuration folder")
    tune.add_argument("--seconds", type=_argument(_count), default=75, metavar="N", help="time to measure for (%(default)s)")
    tune.add_argument("--reset", action="store_true", help="remove what was kept, and measure nothing")

    explain = command("explain", "print what every algorithm says to a convolution of these shapes")
    explain.add_argument("input_shape", type=_argument(_shape), metavar="INPUT_SHAPE", help="(N, C, ...) or (C, ...): 1x3x224x224")
    explain.add_argument("weight_shape", type=_argument(_shape), metavar="WEIGHT_SHAPE", help="(out, in / groups, ...): 64x3x7x7")
    for name in ("stride", "dilation"):
        explain.add_argument(f"--{name}", type=_argument(_per_axis), default=1, help="one number (2) or one per axis (2x1)")
    words = ", ".join(PADDING_WORDS)
    text = f"a number (1), one per axis (1x2), before+after (1+0x2), or {words}"
    explain.add_argument("--padding", type=_argument(_padding), default=0, help=text)
    explain.add_argument("--groups", type=int, default=1)
    explain.add_argument("--dtype", default="float32", choices=GPU_DTYPES, metavar="DTYPE", help=f"{', '.join(CONV_DTYPES)}, with --gpu also bfloat16 (%(default)s)")
    explain.add_argument("--padding-mode", default="zeros", choices=PADDING_MODES, help="what lies outside (%(default)s)")
    _add_algorithm(explain)
    explain.add_argument("--precision", default="default", choices=PRECISIONS, help="strict: as exact as the plain sum, or more")
    explain.add_argument("--gpu", action="store_true", help="what those of the GPU say; there need not be one")
    explain.add_argument("--allow-tf32", action="store_true", help="of the GPU's tensor cores, in float32")
    text = f"bytes, or 64MiB ({MAX_WORKSPACE // 2**20}MiB)"
    explain.add_argument("--max-workspace", type=_argument(_bytes), default=MAX_WORKSPACE, help=text)

    run = command("run", "run an ONNX model on .npy files")
    run.add_argument("model", metavar="MODEL.onnx")
    text = "a .npy file for the next input, or for the one of this name; or a .npz file with several"
    run.add_argument("--input", action="append", default=[], metavar="[NAME=]X.npy", help=text)
    text = "where the next output goes, or the one of this name; .npz: all of them"
    run.add_argument("-o", "--out", action="append", default=[], metavar="[NAME=]Y.npy", help=text)
    run.add_argument("--profile", action="store_true", help="print each node's time, and the algorithm of convolutions, of a second run")
    run.add_argument("--threads", type=_argument(_count), metavar="N", help="default: as `info` says")

    bench = command("bench", "time every algorithm, other libraries and the automatic choice against kernel size")
    bench.add_argument("--plot", metavar="OUT.png", help="draw the times, too")
    bench.add_argument("--csv", metavar="OUT.csv", help="write them, too: one line for each kernel and contender")
    bench.add_argument("--seconds", type=_argument(_seconds), default=60.0, metavar="S", help="how long it takes, about (%(default)g)")
    bench.add_argument("--threads", type=_argument(_count), default=1, metavar="N", help="for everybody (%(default)s)")
    bench.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    return parser


def _add_algorithm(parser):
    names = ("auto", *ALGORITHMS)
    parser.add_argument("--algorithm", default="auto", choices=names, metavar="NAME", help=f"{', '.join(names)} (%(default)s)")


if __name__ == "__main__":
    sys.exit(main())
