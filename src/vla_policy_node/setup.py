from setuptools import find_packages, setup

setup(
    name="vla_policy_node",
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/vla_policy_node"]),
        ("share/vla_policy_node", ["package.xml"]),
    ],
    install_requires=["setuptools", "vla_core", "msgpack", "pyzmq", "websockets>=15"],
    entry_points={
        "console_scripts": [
            "policy_node = vla_policy_node.policy_node:main",
            "command_node = vla_policy_node.command_node:main",
            "replay_node = vla_policy_node.replay_node:main",
        ]
    },
    zip_safe=True,
)
