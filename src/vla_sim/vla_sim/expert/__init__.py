"""Scripted experts: they do a task as a careful teleoperator would, so that a policy can be taught from what they do."""

from vla_sim.expert.pick_place import ExpertCommand, ExpertSettings, PickPlaceExpert

__all__ = ["ExpertCommand", "ExpertSettings", "PickPlaceExpert"]
