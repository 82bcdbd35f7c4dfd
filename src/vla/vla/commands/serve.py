"""Serve a policy to robots on other machines, in openpi's protocol: there, policy:=ws://THIS_MACHINE:8000.

It listens on this machine alone unless --host says otherwise. See docs/remote.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vla_core.embodiment import Embodiment
    from vla_core.ports import Policy
    from vla_policy_node.remote.server import PolicyServer

app = typer.Typer()

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@app.command()
def serve(
    policy: Annotated[
        str, typer.Option(help="Checkpoint folder, or fake: a slow wave of one joint; by default the shipped one.")
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that clients must present; else the environment's.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    embodiment: Annotated[
        str, typer.Option(help="Robot of a foreign checkpoint or of fake: name in config/embodiments, or a file.")
    ] = "",
) -> None:
    import asyncio
    import logging
    import os

    from vla_policy_node.remote.address import TOKEN_VARIABLE, read_token
    from vla_policy_node.remote.server import PolicyServer

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    loaded, robot = _loaded(policy, device, embodiment)
    token = read_token(token_file) if token_file else os.environ.get(TOKEN_VARIABLE, "")
    typer.echo(f"{loaded.policy_id} for '{robot.name}', warmed up in {loaded.warm_up():.2f} s")
    asyncio.run(_run(PolicyServer(loaded, robot, token), host, port, open_to_all=not token and host not in _LOOPBACK))


def _loaded(name: str, device: str, embodiment: str) -> tuple[Policy, Embodiment]:
    """The policy, and the robot that it was trained with."""
    from vla.paths import named_config, named_policy
    from vla_core.embodiment import load_embodiment
    from vla_policy_node.fake import FAKE, FakePolicy

    if name == FAKE:
        robot = load_embodiment(named_config("embodiments", embodiment or "fr3_sim"))
        return FakePolicy(robot), robot
    from vla_policies import load

    given = load_embodiment(named_config("embodiments", embodiment)) if embodiment else None
    policy = load(named_policy(name, "pick_place"), device=device, embodiment=given)
    return policy, policy.embodiment


async def _run(server: PolicyServer, host: str, port: int, open_to_all: bool) -> None:
    import asyncio
    import signal

    def listening(bound: int) -> None:
        if open_to_all:
            typer.echo(f"anybody who reaches {host} may ask: there is no token (--token-file)", err=True)
        typer.echo(f"serving at ws://{host}:{bound}")

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.run(host, port, listening, stop)
