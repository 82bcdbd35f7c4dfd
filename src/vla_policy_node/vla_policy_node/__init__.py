"""policy_node infers action chunks; command_node executes them; replay_node plays recorded ones."""
