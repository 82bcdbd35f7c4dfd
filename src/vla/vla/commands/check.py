"""Check the sources in half a minute: lint, format, types, architecture."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command()
def check() -> None:
    """Check the sources in half a minute: lint, format, types, architecture.

    Ends with 1 if something is to be mended.
    """
    from vla.paths import checkout
    from vla.source_checks import run_checks

    failed = 0
    for result in run_checks(checkout()):
        mark = typer.style("ok", fg="green") if result.passed else typer.style("failed", fg="red")
        typer.echo(f"{result.name:14}{mark}  {result.seconds:.0f} s")
        if not result.passed:
            failed += 1
            typer.echo(result.output)
    raise typer.Exit(min(failed, 1))
