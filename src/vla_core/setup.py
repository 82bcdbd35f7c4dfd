from setuptools import find_packages, setup

package_name = "vla_core"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["numpy>=1.26", "pydantic>=2.6", "pyyaml", "h5py", "scipy", "ruckig", "opencv-python-headless"],
    extras_require={"kinematics": ["mujoco", "mink", "daqp"], "test": ["pytest", "hypothesis"]},
    maintainer="vla maintainers",
    maintainer_email="vla@example.org",
    description="The core of vla, without ROS and without torch",
    license="Apache-2.0",
)
