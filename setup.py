"""The compiled code, which is optional: where it cannot be built, its Python twins do the work."""

from pathlib import Path
from runpy import run_path

from setuptools import Extension, setup

source_digest = run_path("relay/mail/native_sources.py")["source_digest"]

setup(
    ext_modules=[
        Extension(
            f"relay.{package}._native",
            [f"relay/{package}/_native.pyx"],
            depends=[str(path) for path in Path("relay", package).glob("*.pxi")],
            # Code that was built from other sources is not used (relay/mail/native_loader.py).
            define_macros=[("RELAY_SOURCES", f'"{source_digest(Path("relay", package))}"')],
            extra_compile_args=["-g0"],  # debug information names the folder it was built in
            optional=True,
        )
        for package in ("mail", "rewrite")
    ]
)
