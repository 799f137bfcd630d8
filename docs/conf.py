"""Sphinx's settings. `python -m sphinx -W --keep-going docs build/docs` makes HTML of the guide and of the docstrings of the cyconv that works:
the checkout's if it is built in place, else the installed one. Nothing is downloaded.

Chapters are Markdown (MyST), as README.md is, so that they can be read where they lie; pages of the reference are reStructuredText, as
docstrings are.
"""

import contextlib
import functools
import io
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).resolve().parent
if not list(HERE.parent.glob("cyconv/_platform.*.so")):  # `python -m` puts the checkout first, where nothing may be compiled
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE.parent]
os.environ["CYCONV_TUNING"] = "off"
os.environ |= {"COLUMNS": "105", "NO_COLOR": "1"}  # for what argparse prints

import cyconv
import cyconv.__main__
import cyconv.onnx
import cyconv.plot

project, author = "cyconv", "the cyconv developers"
project_copyright = "2026, the cyconv developers"
version = release = cyconv.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser"]
exclude_patterns = ["_build"]
needs_sphinx = "8.1"
nitpicky = True
default_role = "py:obj"  # of single backticks in docstrings
add_module_names = False
toc_object_entries = False  # the tables on the pages are enough
smartquotes = False  # 'same' is typed with these
autosummary_generate = False
autodoc_inherit_docstrings = False  # methods of layers are described once, in Module
autodoc_typehints = "none"  # the docstrings tell them, with their shapes
numpydoc_show_class_members = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

html_theme = "alabaster"
html_theme_options = {
    "description": "Convolution and pooling for NumPy arrays",
    "page_width": "1240px",
    "sidebar_width": "240px",
    "fixed_sidebar": True,
    "show_powered_by": False,
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_static_path = ["static"]
html_css_files = ["guide.css"]
html_copy_source = html_show_sourcelink = False


# ---- names in backticks ----------------------------------------------------------------------------------------------------------

MODULES = (cyconv, cyconv.grad, cyconv.nn, cyconv.signal, cyconv.plot, cyconv.onnx)
PUBLIC = {f"{module.__name__}.{name}" for module in MODULES for name in module.__all__ if not isinstance(getattr(module, name), ModuleType)}


@functools.cache
def full_name(text, module=None):
    """The public name that a text in backticks means, or None. Names without a module are cyconv's, or layers, or of the module around."""
    text = re.sub(r"\(.*\)$", "", text)
    places = [module, "cyconv", *["cyconv.nn"] * text[:1].isupper()]
    return next((name for name in [text, *(f"{place}.{text}" for place in places)] if name in PUBLIC), None)


def link_names(app, doctree):
    """Names in the chapters become links: Markdown has no roles that other readers would understand."""
    for literal in list(doctree.findall(nodes.literal)):
        name = full_name(literal.astext())
        if name and not isinstance(literal.parent, (nodes.title, nodes.reference, addnodes.pending_xref)):
            link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=name)
            literal.replace_self(link)
            link += literal


def resolve(app, env, node, contnode):
    """Names in docstrings, which leave out modules; what is no public name is a parameter, an attribute or another library's."""
    if node["reftype"] != "obj":
        return None
    name = full_name(node["reftarget"], node.get("py:module"))
    if name is None or name == node["reftarget"]:
        return contnode if name is None else None
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)


# ---- directives ------------------------------------------------------------------------------------------------------------------


NUMPYS = ", ".join(name for name in dir(np.ndarray) if not name.startswith("_"))  # what a Parameter has as any array


class Api(SphinxDirective):
    """Names of a module, one a line: a table of them, then what their docstrings say. tests/test_docs.py holds that no name is missing."""

    required_arguments = 1
    has_content = True

    def run(self):
        module = sys.modules[self.arguments[0]]
        text = [f".. currentmodule:: {module.__name__}", "", ".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in self.content), ""]
        for name in self.content:
            kind = "autoclass" if isinstance(getattr(module, name), type) else "autofunction"
            members = ["   :members:", f"   :exclude-members: {NUMPYS}"] if kind == "autoclass" else []
            text += [f".. {kind}:: {name}", *members, ""]
        return self.parse_text_to_nodes("\n".join(text))


class CommandHelp(SphinxDirective):
    """What a command prints with --help."""

    optional_arguments = 1

    def run(self):
        with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
            cyconv.__main__.main([*self.arguments, "--help"])
        return [nodes.literal_block("", text.getvalue(), language="text")]


def setup(app):
    app.add_directive("api", Api)
    app.add_directive("command-help", CommandHelp)
    app.connect("doctree-read", link_names)
    app.connect("missing-reference", resolve)
