"""Findings about what is installed: pinned versions, ROS, rendering, video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vla.doctor.finding import Finding, ProbeFailed, run_probe
from vla.environment import reserved_domain_id

_MANY = 4

_RENDER_PROBE = """
import json, mujoco
from OpenGL import GL
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom type='sphere' size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data)
    brightest = int(renderer.render().max())
    print(json.dumps({"brightest": brightest, "renderer": GL.glGetString(GL.GL_RENDERER).decode()}))
"""


def examine_pins(requirements: Iterable[Path], installed: Mapping[str, str] | None = None) -> Finding:
    """Compares what is installed with what is asked for.

    Args:
        requirements: requirement and lock files.
        installed: distribution name to version; of this interpreter if None.
    """
    versions = installed_versions() if installed is None else installed
    wanted = [Requirement(line) for path in requirements for line in _lines(path)]
    applying = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    known = [(one, versions.get(canonicalize_name(one.name))) for one in applying]
    wrong = [
        f"{one.name} {version} (expected {one.specifier})"
        for one, version in known
        if version is not None and not one.specifier.contains(version, prereleases=True)
    ]
    if not wrong:
        return Finding("versions", "ok", f"{sum(1 for _, version in known if version)} packages as pinned")
    more = f" and {len(wrong) - _MANY} more" if len(wrong) > _MANY else ""
    return Finding("versions", "warn", ", ".join(wrong[:_MANY]) + more, "./vla setup --force")


def examine_missing(requirements: Iterable[Path], installed: Mapping[str, str] | None = None) -> Finding:
    """Looks for what is asked for directly and is not installed."""
    versions = installed_versions() if installed is None else installed
    names = [Requirement(line).name for path in requirements for line in _lines(path)]
    missing = [name for name in names if canonicalize_name(name) not in versions]
    if missing:
        return Finding("packages", "fail", f"missing: {', '.join(missing)}", "./vla setup --force")
    return Finding("packages", "ok", f"{len(names)} there")


def installed_versions() -> dict[str, str]:
    """Distribution name (canonical) to version, of this interpreter."""
    return {canonicalize_name(one.metadata["Name"]): one.version for one in distributions() if one.metadata["Name"]}


def _lines(path: Path) -> list[str]:
    stripped = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in stripped if line]


def examine_ros() -> Finding:
    """Whether a message goes out and comes back, over DDS on this machine."""
    kind = f"{os.environ['ROS_DISTRO']} of this machine" if os.environ.get("ROS_DISTRO") else "jazzy from PyPI"
    try:
        with reserved_domain_id() as domain_id:
            answer = run_probe(["-m", "vla.ros.loopback"], timeout_s=60, domain_id=domain_id)
    except ProbeFailed as error:
        return Finding("ros", "fail", f"{kind}: {error}", "./vla setup --force; a firewall may block UDP on lo")
    found = f"{kind}, {answer['rmw']}: a message came back after {answer['discovery_s']:.1f} s"
    return Finding("ros", "ok", found)


def examine_interfaces() -> Finding:
    """Whether the interfaces can be imported and fit the sources."""
    try:
        answer = run_probe(["-m", "vla.ros.interfaces"], timeout_s=60)
    except ProbeFailed as error:
        return Finding("interfaces", "fail", str(error), "./vla setup --force")
    return Finding("interfaces", "ok", f"{answer['count']} types of {', '.join(answer['packages'])}")


def examine_network() -> Finding:
    """Who can see this machine's topics."""
    discovery = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST (default of vla)")
    found = f"domain {os.environ.get('ROS_DOMAIN_ID', '0')}, discovery {discovery}"
    if os.environ.get("ROS_LOCALHOST_ONLY", "0") not in ("", "0"):
        return Finding("network", "warn", f"{found}, ROS_LOCALHOST_ONLY", "unset it: it overrides the discovery range")
    return Finding("network", "ok", found)


def examine_rendering() -> Finding:
    """Whether the simulated cameras see something."""
    try:
        answer = run_probe(["-c", _RENDER_PROBE], timeout_s=60)
    except ProbeFailed as error:
        advice = "sudo apt-get install libegl1 libopengl0 libgl1-mesa-dri; or MUJOCO_GL=osmesa with libosmesa6"
        return Finding("rendering", "warn", f"no simulated cameras: {error}", advice)
    if answer["brightest"] == 0:
        return Finding("rendering", "warn", f"{answer['renderer']} draws black", "try MUJOCO_GL=osmesa with libosmesa6")
    return Finding("rendering", "ok", answer["renderer"])


def examine_video() -> Finding:
    """Whether videos can be written."""
    try:
        import av
    except ImportError as error:
        return Finding("video", "warn", f"PyAV: {error}", "./vla setup --force")
    if "libx264" not in av.codecs_available:
        return Finding("video", "warn", f"PyAV {av.__version__} without H.264", "./vla setup --force")
    return Finding("video", "ok", f"PyAV {av.__version__} with H.264")
