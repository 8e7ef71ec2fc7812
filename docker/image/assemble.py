"""Puts the folder /opt/pyinit together: a Python of its own, the modules that pyinit imports, and nothing else.

Runs in the build stage of the Dockerfile, with the interpreter that goes into the folder:

    python3.11 assemble.py SITE DOWNLOADS FOLDER

SITE is what `pip install --target` made (pyinit, its dependencies, bin/), DOWNLOADS holds the source of python-prctl,
FOLDER is where the result goes and where it must stay in other images (/opt/pyinit).

    bin/pyinit, bin/pyinitctl        the launcher, and a link to it, which starts
    bin/pyinit-main                  this, with the interpreter that its first line names:
    bin/python3.11                   Debian's, which finds its libraries by an rpath in
    lib/lib*.so.*                    what the interpreter and its modules need besides glibc
    lib/python3.11/                  the standard library, as far as pyinit imports it
    lib/python3.11/lib-dynload/      its modules in C
    lib/python3.11/site-packages/    pyinit, structlog and python-prctl, as far as pyinit imports them
    share/doc/                       the licence of each of them

Modules are bare `.pyc` files without docstrings, never checked against a source: that is smaller, and each import takes
two system calls less than from `__pycache__`. Sources would only serve to show lines in a traceback.
"""

# ruff: noqa: INP001, S603, T201  (a program of the image build, not a package; it runs the tools of the build stage)

from __future__ import annotations

import _imp
import importlib.machinery
import os
import pathlib
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tempfile

import modules

TAG = f"python{sys.version_info.major}.{sys.version_info.minor}"

# Frozen into the interpreter, and there all the same: by this file the interpreter knows its folder.
LANDMARK = "os"

# What every glibc image brings, and must not come from another one than the dynamic loader does.
GLIBC = ("libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libutil.so", "libresolv.so", "ld-linux")


def traced(site: pathlib.Path) -> set[str]:
    """Return the names of all modules that pyinit imports when it runs from SITE with Debian's whole Python."""
    with tempfile.TemporaryDirectory() as scratch:
        python = pathlib.Path(scratch, "python")
        python.write_text(f'#!/bin/sh\nexec {sys.executable} -X importtime "$@"\n')
        python.chmod(0o755)
        shutil.copytree(site, f"{scratch}/site")
        place_script(site, pathlib.Path(scratch, "site", "bin"), python)
        return modules.imported(pathlib.Path(scratch, "site", "bin", "pyinit"), sys.executable, str(site))


def place_script(site: pathlib.Path, folder: pathlib.Path, python: pathlib.Path) -> None:
    """Put pyinit-main into `folder`, with `python` as the interpreter that the launcher is to start."""
    script = (site / "bin" / "pyinit-main").read_bytes().partition(b"\n")[2]
    target = folder / "pyinit-main"
    target.write_bytes(f"#!{python}\n".encode() + script)
    target.chmod(0o755)


def with_parents(names: set[str]) -> set[str]:
    """Add the packages that the modules are in."""
    return {".".join(name.split(".")[: count + 1]) for name in names for count in range(name.count(".") + 1)}


def find(name: str, folders: list[str]) -> importlib.machinery.ModuleSpec | None:
    """Return the spec of a module that lies in one of `folders`, without importing anything."""
    path: list[str] | None = folders
    spec = None
    parts = name.split(".")
    for count in range(len(parts)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: count + 1]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec


def optimization_of(source: str) -> int:
    """Return 2 (no docstrings), unless that costs more than it saves: dataclass makes a missing one with `inspect`."""
    return 1 if b"@dataclass" in pathlib.Path(source).read_bytes() else 2


def place_modules(names: set[str], source: list[str], target: pathlib.Path, native: pathlib.Path) -> list[pathlib.Path]:
    """Write the modules that lie in the folders `source`: Python below `target`, C into `native`; return the latter."""
    extensions = []
    for name in sorted(names):
        spec = find(name, source)
        if spec is None or spec.origin is None or (_imp.is_frozen(name) and name != LANDMARK):
            continue
        relative = pathlib.PurePath(*name.split("."))
        if spec.submodule_search_locations is not None:
            relative /= "__init__"
        if not spec.origin.endswith(".py"):
            extensions.append(native / pathlib.Path(spec.origin).name)
            shutil.copy(spec.origin, extensions[-1])
            continue
        compiled = target / relative.with_suffix(".pyc")
        compiled.parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(
            spec.origin,
            cfile=str(compiled),
            dfile=str(target / relative.with_suffix(".py")),
            doraise=True,
            optimize=optimization_of(spec.origin),
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    return extensions


def output(*words: str | pathlib.Path) -> str:
    """Run a tool of the build stage and return what it printed."""
    return subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True).stdout


def libraries_of(binaries: list[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Return the shared libraries that the binaries load, by the name that they ask for, less those of glibc."""
    found = {}
    for binary in binaries:
        for line in output("ldd", binary).splitlines():
            name, arrow, where = line.strip().partition(" => ")
            if arrow and not name.startswith(GLIBC):
                found[name] = pathlib.Path(where.split(" (")[0]).resolve(strict=True)
    return found


def place_binaries(folder: pathlib.Path, extensions: list[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Copy the interpreter and the libraries; return where in Debian the libraries were."""
    interpreter = folder / "bin" / TAG
    shutil.copy(pathlib.Path(sys.executable).resolve(), interpreter)
    libraries = libraries_of([interpreter, *extensions])
    for name, source in libraries.items():
        shutil.copy(source, folder / "lib" / name)
    for binary in [interpreter, *extensions, *(folder / "lib" / name for name in libraries)]:
        output("strip", "--strip-unneeded", binary)
    # DT_RPATH and not DT_RUNPATH: it serves the modules in C, too, and it comes before LD_LIBRARY_PATH, so that no
    # library of the container gets between them.
    output("patchelf", "--force-rpath", "--set-rpath", "$ORIGIN/../lib", interpreter)
    return libraries


def place_licences(
    site: pathlib.Path, downloads: pathlib.Path, doc: pathlib.Path, libraries: list[pathlib.Path]
) -> None:
    """Copy the licence of everything that is in the folder, and the source of python-prctl."""
    debian = pathlib.Path("/usr/share/doc")
    # The launcher is linked with the C library, so that one's licence is there as well.
    packages = {TAG, "libc6"}
    packages.update(output("dpkg", "-S", f"*/{file.name}").partition(":")[0] for file in libraries)
    for package in packages:
        (doc / package).mkdir(parents=True)
        shutil.copy(debian / package / "copyright", doc / package / "copyright")
    for info in site.glob("*.dist-info"):
        ours = doc / info.name.split("-")[0].replace("_", "-").lower()
        for file in info.rglob("*"):
            if file.is_file() and file.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE", "COPYING")):
                ours.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, ours / file.name)
    # python-prctl names its licence and does not bring the text. Whoever passes on the folder passes on its source.
    prctl = doc / "python-prctl"
    prctl.mkdir()
    shutil.copy("/usr/share/common-licenses/GPL-3", prctl / "GPL-3")
    for source in downloads.glob("python-prctl-*.tar.gz"):
        shutil.copy(source, prctl / source.name)


def main() -> None:
    """Put the folder together, check it, and print what it weighs."""
    site, downloads, folder = (pathlib.Path(argument).absolute() for argument in sys.argv[1:])
    library = folder / "lib" / TAG
    packages, native = library / "site-packages", library / "lib-dynload"
    for new in (folder / "bin", packages, native):
        new.mkdir(parents=True)

    names = with_parents(traced(site)) | {LANDMARK}
    missed = modules.unmet(site / "pyinit", names | set(sys.builtin_module_names))
    if missed:
        raise SystemExit("No run of modules.py imports these; add one that does:\n" + "\n".join(missed))
    stdlib = sysconfig.get_path("stdlib")
    extensions = place_modules(names, [stdlib, f"{stdlib}/lib-dynload"], library, native)
    extensions += place_modules(names, [str(site)], packages, packages)
    for file in (site / "pyinit").rglob("*.schema.json"):
        copied = packages / file.relative_to(site)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copied)

    libraries = place_binaries(folder, extensions)
    shutil.copy(site / "bin" / "pyinit", folder / "bin" / "pyinit")
    (folder / "bin" / "pyinitctl").symlink_to("pyinit")
    place_script(site, folder / "bin", folder / "bin" / TAG)
    place_licences(site, downloads, folder / "share" / "doc", list(libraries.values()))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.parent == folder / "bin" else 0o644)

    # As any user and in any image there is nothing but the folder: what it lacks must show here.
    modules.check(folder / "bin" / "pyinit", str(folder / "bin" / TAG), str(packages))
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in sorted(files):
        print(f"{path.stat().st_size:>9} {path.relative_to(folder)}")
    print(f"{len(files)} files; du -sb: {output('du', '-sb', folder).split()[0]} bytes in {folder}", flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    main()
