"""The packages, as setuptools finds them: three folders are one namespace (see package-dir in pyproject.toml)."""

from setuptools import find_namespace_packages, setup

packages = []
for name, folder in {"coreheads": "harness", "coreheads.adapters": "adapters", "coreheads.tasks": "tasks"}.items():
    inner = find_namespace_packages(folder, exclude=["*__pycache__*"])
    packages += [name, *(f"{name}.{package}" for package in inner)]
setup(packages=packages)
