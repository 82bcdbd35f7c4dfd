from setuptools import find_packages, setup

setup(
    name="vla_policies",
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/vla_policies"]),
        ("share/vla_policies", ["package.xml"]),
    ],
    install_requires=[
        "setuptools",
        "vla_core",
        "numpy",
        "pyyaml",
        "scipy",
        "torch",
        "safetensors",
        "opencv-python-headless",
        "matplotlib",
        "typer",
        "rich",
    ],
    description="Policy families, normalisation, checkpoints and training on recorded episodes",
    maintainer="vla maintainers",
    maintainer_email="vla@example.org",
    license="Apache-2.0",
)
