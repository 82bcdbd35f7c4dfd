from setuptools import find_packages, setup

setup(
    name="vla_sim",
    version="0.1.0",
    description="A simulated Franka Research 3 that takes commands as ros2_control does, tasks for it and scripted experts",
    license="Apache-2.0",
    author="vla maintainers",
    author_email="vla@example.org",
    packages=find_packages(exclude=["test"]),
    package_data={"vla_sim.models": ["*.xml", "*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/vla_sim"]),
        ("share/vla_sim", ["package.xml"]),
    ],
    install_requires=["setuptools", "vla_core", "numpy", "pyyaml", "mujoco", "mink", "daqp"],
    entry_points={
        "console_scripts": [
            "sim_node = vla_sim.sim_node:main",
            "expert_node = vla_sim.expert_node:main",
        ]
    },
    zip_safe=False,
)
