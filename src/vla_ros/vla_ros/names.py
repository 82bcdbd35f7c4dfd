"""Names of the topics, services and actions between the suite's own nodes; relative, so that a namespace moves them all."""

ACTION_CHUNK = "policy/action_chunk"
POLICY_STATUS = "policy/status"
LOAD_POLICY = "policy/load"
SET_POLICY_PROMPT = "policy/set_prompt"
RUN_POLICY = "policy/run"

COMMAND_STATUS = "command/status"
ARM = "command/arm"
DISARM = "command/disarm"
HOLD = "command/hold"
RESUME = "command/resume"
STOP = "command/stop"
CLEAR_FAULT = "command/clear_fault"
SET_SPEED = "command/set_speed"
RECOVER = "command/recover"
CHUNK_LEDGER = "command/chunk_ledger"
LATENCY_LEDGER = "command/latency_ledger"

RECORDER_STATUS = "recorder/status"
START_EPISODE = "recorder/start_episode"
STOP_EPISODE = "recorder/stop_episode"
SET_RECORDER_PROMPT = "recorder/set_prompt"
MARK_FAILURE = "recorder/mark_failure"
MARK_SUCCESS = "recorder/mark_success"

REPLAY_EPISODE = "replay/episode"

PLAYBACK_STATUS = "playback/status"
START_PLAYBACK = "playback/start"

SIM_STATUS = "sim/status"
RESET_WORLD = "sim/reset_world"
RUN_SIMULATION = "sim/run"
OBJECT_POSES = "sim/object_poses"

EXPERT_ACT = "expert/act"
