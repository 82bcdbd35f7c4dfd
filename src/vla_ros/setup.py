from setuptools import find_packages, setup

setup(
    name="vla_ros",
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/vla_ros"]),
        ("share/vla_ros", ["package.xml"]),
    ],
    package_data={"vla_ros": ["*.xml"]},
    install_requires=["setuptools", "vla_core"],
    zip_safe=False,
)
