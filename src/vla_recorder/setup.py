from setuptools import find_packages, setup

setup(
    name="vla_recorder",
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/vla_recorder"]),
        ("share/vla_recorder", ["package.xml"]),
    ],
    entry_points={
        "console_scripts": [
            "recorder_node = vla_recorder.recorder_node:main",
            "recorder_console = vla_recorder.console_node:main",
            "playback_node = vla_recorder.playback_node:main",
        ]
    },
    package_data={"vla_recorder.pages": ["templates/*"]},
    install_requires=["setuptools", "vla_core", "vla_ros", "rich", "rosbags", "jinja2", "pyarrow", "av"],
    description="Records demonstrations and rollouts, and plays recordings back",
    maintainer="vla maintainers",
    maintainer_email="vla@example.org",
    license="Apache-2.0",
)
