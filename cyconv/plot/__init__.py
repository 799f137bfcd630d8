"""Pictures of what convolution and pooling do: filters, maps, windows, receptive fields and curves of learning.

Each function returns a matplotlib Figure, or draws into one that it is given. pyplot has no part in it: no window opens, no display
is needed, nothing has to be closed. A notebook shows the figure that a cell ends with; ``figure.savefig("name.png")`` writes it.
matplotlib is imported by the first call, not with this module.

Several pictures in one: make ``Figure(layout="constrained")``, cut it by its ``subfigures()``, and pass one of these as ``figure`` to
each call. Colours are the same everywhere: blue is negative, orange positive or what is pointed at.
"""

from .curves import learning_curve
from .panels import activation_maps, filters
from .windows import pooled, receptive_field

__all__ = ["activation_maps", "filters", "learning_curve", "pooled", "receptive_field"]
