from pathlib import Path

from setuptools import find_packages, setup

package_name = "vla"


def tree(folder):
    """The files below share/FOLDER, as data files of the same layout.

    There it is a link to the folder at the root of the workspace, where people look for it.
    """
    by_folder = {}
    for path in sorted(Path("share", folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            by_folder.setdefault(f"share/{package_name}/{path.parent.relative_to('share')}", []).append(str(path))
    return list(by_folder.items())


setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        *tree("launch"),
        *tree("config"),
        *tree("checkpoints"),
    ],
    package_data={"vla.report": ["templates/*"]},
    python_requires=">=3.10",
    install_requires=["vla_core", "numpy", "typer>=0.15", "rich>=13", "jinja2", "matplotlib", "av", "rosbags"],
    extras_require={"test": ["pytest", "hypothesis"]},
    entry_points={"console_scripts": ["vla = vla.cli:main"]},
    maintainer="vla maintainers",
    maintainer_email="vla@example.org",
    description="Launch files, configuration and command line of the vla suite",
    license="Apache-2.0",
)
