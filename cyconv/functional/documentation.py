"""One docstring for the one-, two- and three-dimensional form of a function."""

import inspect

AXES = {1: "L", 2: "H, W", 3: "D, H, W"}
KERNEL_AXES = {1: "kL", 2: "kH, kW", 3: "kD, kH, kW"}


def documented(template, rank, **words):
    """Decorator: the function's docstring is `template` with <rank>, <axes>, <kernel> and each <word> filled in."""
    words |= {"rank": str(rank), "axes": AXES[rank], "kernel": KERNEL_AXES[rank]}
    text = inspect.cleandoc(template)
    for word, value in words.items():
        text = text.replace(f"<{word}>", inspect.cleandoc(value))

    def decorate(function):
        function.__doc__ = text
        return function

    return decorate
