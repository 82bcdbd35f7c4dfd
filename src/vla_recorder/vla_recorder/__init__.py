"""Recording of demonstrations and rollouts: the session, the operator's console, and the node that joins them to ROS."""
