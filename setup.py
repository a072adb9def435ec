"""The compiled code, which is optional: where it cannot be built, its Python twins do the work."""

from pathlib import Path

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            f"relay.{package}._native",
            [f"relay/{package}/_native.pyx"],
            depends=[str(path) for path in Path("relay", package).glob("*.pxi")],
            extra_compile_args=["-g0"],  # debug information names the folder it was built in
            optional=True,
        )
        for package in ("mail", "rewrite")
    ]
)
