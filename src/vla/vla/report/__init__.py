"""The report of a run: one HTML file that needs nothing else, from plain values and recorded episodes. No ROS in it."""

from vla.report.content import About, Replay, Report, ReportedEpisode
from vla.report.page import render, write_report

__all__ = ["About", "Replay", "Report", "ReportedEpisode", "render", "write_report"]
