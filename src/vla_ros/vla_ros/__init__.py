"""The ROS edge that the nodes share: a host that runs a node, lockstep, message codecs, parameters."""
