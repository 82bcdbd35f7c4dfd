"""Where configuration files are: in the repository, or where the package was installed."""

from __future__ import annotations

from pathlib import Path

from vla_core.errors import ConfigError, VlaError, choice


class NotACheckout(VlaError):
    """A command that works on the sources was called from an installed package."""


def checkout() -> Path:
    """The root of the checkout that this file belongs to.

    Raises:
        NotACheckout: this package was installed without it.
    """
    here = Path(__file__).resolve()
    for parent in here.parents:
        if (parent / "requirements").is_dir() and (parent / "pyproject.toml").is_file():
            return parent
    raise NotACheckout(f"expected to run from a checkout of vla, found {here.parent}: use ./vla there")


def config_folder() -> Path:
    """The folder ``config``: of the checkout that this file belongs to, else of the installed package."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "config" / "embodiments").is_dir():
            return parent / "config"
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("vla")) / "config"


def named_config(kind: str, name: str) -> Path:
    """A configuration file by its name (``fr3``) or its path.

    Args:
        kind: folder below ``config``: embodiments, policies, controllers or tasks.
        name: a name without suffix, or a path that ends in ``.yaml``.

    Raises:
        ConfigError: there is no such file; the message lists those that exist.
    """
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise ConfigError(f"{kind}: expected a file, found nothing at {name}")
        return Path(name).resolve()
    folder = config_folder() / kind
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"{kind}: expected {choice(sorted(p.stem for p in folder.glob('*.yaml')))}, found '{name}'")
    return path


def shipped_policy(task: str) -> Path:
    """The checkpoint folder that comes with the suite for a task.

    Raises:
        ConfigError: there is none.
    """
    path = config_folder().parent / "checkpoints" / Path(task).stem
    if not path.is_dir():
        raise ConfigError(f"expected a shipped policy for '{task}' at {path}, found none; name one with --policy")
    return path


def named_policy(name: str, task: str) -> str:
    """A policy as a command is given it: a checkpoint folder, a server's address, ``fake``, or nothing for the shipped one.

    Args:
        name: what was given.
        task: whose shipped policy is meant.

    Raises:
        ConfigError: there is no such folder.
    """
    from vla_policy_node.fake import FAKE
    from vla_policy_node.remote import is_remote

    if not name:
        return str(shipped_policy(task))
    if name != FAKE and not is_remote(name) and not Path(name).is_dir():
        raise ConfigError(f"policy: expected a checkpoint folder, ws://HOST:PORT or '{FAKE}', found no folder {name}")
    return name
