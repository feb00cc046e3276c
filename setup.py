"""Build of the compiled inner loops of k-means, which pyproject.toml cannot describe yet."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "lightning_dc.kmeans._lloyd",
            ["lightning_dc/kmeans/_lloyd.cpp"],
            depends=["lightning_dc/kmeans/_lloyd.h"],
            extra_compile_args=["-O3", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-pthread"],
            extra_link_args=["-pthread"],
            optional=True,  # without a compiler, PyTorch replaces them
        )
    ]
)
