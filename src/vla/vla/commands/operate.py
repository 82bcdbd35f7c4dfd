"""Work a robot that is up: arm, let the policy run, disarm, see the state; in simulation also reset and demonstrate.

For a bringup with a policy, in another terminal: ./vla operate run --seconds 20 arms the robot, lets the policy run, and
disarms it. Control-C stops the arm in a controlled way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vla.ros.operator import Operator

app = typer.Typer(no_args_is_help=True)


@app.command("arm")
def arm(shadow: Annotated[bool, typer.Option("--shadow", help="Decide everything, send nothing.")] = False) -> None:
    """Let command_node command the arm; it holds still until chunks come."""
    with _operator() as operator:
        operator.arm(shadow)
    typer.echo("armed in shadow mode" if shadow else "armed")


@app.command("disarm")
def disarm() -> None:
    """Bring the arm to a controlled stop, and clear a fault."""
    with _operator() as operator:
        operator.disarm("asked for by ./vla operate")
    typer.echo("disarmed")


@app.command("hold")
def hold() -> None:
    """Slow the arm down and hold, whatever the policy says; it stays armed."""
    with _operator() as operator:
        operator.hold()
    typer.echo("holding")


@app.command("resume")
def resume() -> None:
    """Go on after a hold."""
    with _operator() as operator:
        operator.resume()
    typer.echo("armed")


@app.command("stop")
def stop() -> None:
    """Stop the arm as fast as its limits allow. Nothing moves it again before clear-fault and arm."""
    with _operator() as operator:
        operator.stop_arm()
    typer.echo("stopped")


@app.command("clear-fault")
def clear_fault() -> None:
    """Clear a fault whose cause is gone; the arm is disarmed then."""
    with _operator() as operator:
        operator.clear_fault()
    typer.echo("cleared")


@app.command("speed")
def speed(share: Annotated[float, typer.Argument(help="Above 0, at most 1.")]) -> None:
    """Pass what the policy asks for at a share of its speed."""
    with _operator() as operator:
        operator.set_speed(share)
    typer.echo(f"speed {share:g}")


@app.command("recover")
def recover() -> None:
    """Recover the robot from an error of its own (a Franka's reflex): hardware and controllers are activated again."""
    with _operator() as operator:
        operator.recover()
    typer.echo("recovered; the arm is disarmed")


@app.command("run")
def run(
    seconds: Annotated[float, typer.Option(min=0.1, help="How long [s].")] = 30.0,
    prompt: Annotated[str, typer.Option(help="Language instruction; the one set before by default.")] = "",
    shadow: Annotated[bool, typer.Option("--shadow", help="Decide everything, send nothing.")] = False,
) -> None:
    """Arm, let the policy run for a time, disarm."""
    from vla.ros.operator import OperatorError

    with _operator() as operator:
        operator.arm(shadow)
        try:
            goal = operator.start_policy(prompt, seconds)
            result = _result_of(operator, goal, seconds + 30.0)
            fault = operator.command.message
        finally:
            operator.disarm("the run is over")
    if result.message or fault:
        raise OperatorError(result.message or fault)
    typer.echo(f"{result.chunks} chunks in {result.duration_s:.1f} s")


@app.command("expert")
def expert() -> None:
    """Let the scripted expert demonstrate the task once (simulation, expert:=true)."""
    with _operator() as operator:
        operator.let_expert_act()
    typer.echo("the expert acts")


@app.command("reset")
def reset(seed: Annotated[int, typer.Option(min=0, help="Which world.")] = 0) -> None:
    """Put the simulated world back to its start."""
    with _operator() as operator:
        operator.reset_world(seed)
    typer.echo(f"world {seed}")


@app.command("status")
def status() -> None:
    """The state of the policy and of the commands."""
    from vla.ros.live import live_statuses
    from vla_core.execution import ExecutorState
    from vla_policy_node.runner import RunnerState

    with _operator() as operator:
        policy, command = live_statuses(operator)
    typer.echo(f"policy: {RunnerState(policy.state).name} {policy.message}".rstrip())
    typer.echo(f"command: {ExecutorState(command.state).name} {command.message}".rstrip())


def _result_of(operator: Operator, goal: Any, within_s: float) -> Any:
    """The result of a run. One that nobody waits for any longer is ended, as soon as the arm has been told to stop."""
    try:
        return operator.result_of(goal, within_s)
    except BaseException:
        typer.echo("stopping")
        operator.disarm("the run was interrupted")
        operator.end_policy(goal)
        raise


def _operator() -> Operator:
    import os

    from vla.environment import child_environment

    os.environ.update(child_environment())
    from vla.ros.operator import Operator

    return Operator()
