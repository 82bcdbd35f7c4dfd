"""LeRobotDataset: version 3.0 written and read, versions 2.0 and 2.1 read."""

from vla_recorder.formats.lerobot.dataset import LeRobotDataset, LeRobotEpisode
from vla_recorder.formats.lerobot.exporting import export_lerobot
from vla_recorder.formats.lerobot.importing import import_lerobot

__all__ = ["LeRobotDataset", "LeRobotEpisode", "export_lerobot", "import_lerobot"]
