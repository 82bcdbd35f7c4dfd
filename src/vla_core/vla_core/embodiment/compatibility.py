"""Whether something made for one embodiment may be used on another."""

from __future__ import annotations

from vla_core.embodiment.schema import Embodiment
from vla_core.errors import EmbodimentMismatch


def require_compatible(made_for: Embodiment, used_on: Embodiment, what: str) -> None:
    """Refuses a checkpoint or an episode that does not fit the robot.

    What must agree is what gives numbers their meaning: the action space with its names and units, the proprioception with
    its names and units, the camera roles and the step rate. Topics, sizes of images, limits and controllers may differ.

    Args:
        made_for: the embodiment kept in the checkpoint or episode.
        used_on: the embodiment of this robot.
        what: names the checkpoint or episode in the error.

    Raises:
        EmbodimentMismatch: one line for each difference.
    """
    differences = [
        f"{label}: it has {theirs}, '{used_on.name}' has {ours}"
        for label, theirs, ours in (
            ("action space", made_for.action.kind, used_on.action.kind),
            ("rotations, frame and since", _conventions(made_for), _conventions(used_on)),
            ("actions", list(made_for.action_names), list(used_on.action_names)),
            ("action units", list(made_for.action_units), list(used_on.action_units)),
            *_proprioception(made_for, used_on),
            ("cameras", sorted(made_for.cameras), sorted(used_on.cameras)),
            ("step rate [Hz]", made_for.steps.rate_hz, used_on.steps.rate_hz),
        )
        if theirs != ours
    ]
    if differences:
        heading = f"{what} was made for the embodiment '{made_for.name}' and does not fit '{used_on.name}'"
        raise EmbodimentMismatch("\n  ".join([heading + ":", *differences]))


def _conventions(embodiment: Embodiment) -> tuple[str, ...]:
    """How the actions are to be read, beside their names and units."""
    action = embodiment.action
    rotation = (action.rotation,) if action.kind.startswith("tcp") else ()
    frame = (action.frame,) if action.kind == "tcp_delta" else ()
    since = (action.since,) if action.kind in ("tcp_delta", "joint_delta", "base_waypoints") else ()
    return (*rotation, *frame, *since)


def _proprioception(made_for: Embodiment, used_on: Embodiment) -> list[tuple[str, object, object]]:
    rows: list[tuple[str, object, object]] = []
    for group in sorted({*made_for.proprioception, *used_on.proprioception}):
        theirs, ours = made_for.proprioception.get(group, ()), used_on.proprioception.get(group, ())
        rows.append((f"proprioception {group}", list(made_for.names_of(theirs)), list(used_on.names_of(ours))))
        rows.append((f"units of {group}", list(made_for.units_of(theirs)), list(used_on.units_of(ours))))
    return rows
