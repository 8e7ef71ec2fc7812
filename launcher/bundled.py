"""Gives the modules of pyinit that every run imports, out of two files: the head of one, see launcher/bundle.py.

Only pyinit-main imports this. Whoever else imports pyinit gets each module from its own file.
"""

import sys

_FOLDER, _, _SUFFIX = __file__.rpartition("/_before")

# Each module's name, and the function that its text has become. The text behind this one fills these.
MODULES = {}
# The names of those that are in the other file.
BEHIND = set()
PACKAGES = set()


class _Loader(type(__spec__.loader)):
    """Knows the module's own file, for all that is asked about it, and runs the code that is here."""

    def exec_module(self, module):
        """See importlib.abc.Loader. Each module is given once: a second time it comes from its own file."""
        exec(MODULES.pop(module.__name__).__code__, module.__dict__)


class _Finder:
    """Knows where each module is, without a look at any folder."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        """See importlib.abc.MetaPathFinder."""
        if name in BEHIND:
            BEHIND.clear()
            from pyinit import _behind

            MODULES.update(_behind.MODULES)
            _behind.MODULES.clear()
        if name not in MODULES:
            return None
        is_package = name in PACKAGES
        folder = _FOLDER + name.removeprefix("pyinit").replace(".", "/")
        file = (f"{folder}/__init__" if is_package else folder) + _SUFFIX
        spec = type(__spec__)(name, _Loader(name, file), origin=file, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations.append(folder)
        return spec


sys.meta_path.insert(0, _Finder)
