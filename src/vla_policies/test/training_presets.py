"""Presets of runs with two robots, as they stand in a YAML file: an arm with a gripper and two cameras, and one with less."""

ARM, BARE = "fr3_sim", "bare_arm"

OPTIMISATION = {"steps": 4, "batch_size": 8, "learning_rate": 1e-3, "warmup_steps": 2, "ema_decay": 0.9}

CROSSFORMER = {
    "schema": "vla/training/1",
    "name": "mixed",
    "family": "crossformer",
    "action_horizon": 6,
    "optimisation": {**OPTIMISATION, "embodiments_loss": "sum"},
    "data": {"validation_share": 0.2, "validation_windows": 16},
    "reporting": {"log_every": 1, "checkpoint_every": 4},
    "network": {
        "trunk": {
            "token_dim": 32,
            "layers": 2,
            "mlp_dim": 48,
            "heads": 4,
            "dropout": 0.0,
            "max_horizon": 1,
            "language_dim": 16,
            "encoder": {"width": 8, "units": [1, 1], "norm_groups": 4},
        },
        "ends": {
            "images": {
                "front": {"tokens": 1, "key_points": 4},
                "hand": {"tokens": 1, "key_points": 4},
            },
            "vectors": {"arm_and_gripper": {"size": 8}, "arm": {"size": 7}},
            "readouts": {"gripping": {"horizon": 6, "action_dim": 8}, "pushing": {"horizon": 4, "action_dim": 7}},
        },
    },
    "embodiments": {
        ARM: {
            "weight": 3.0,
            "network": {"head": "gripping", "state": "arm_and_gripper", "cameras": ["front", "hand"]},
        },
        BARE: {"action_horizon": 4, "network": {"head": "pushing", "state": "arm", "cameras": ["front"]}},
    },
}

GROOT = {
    **{key: value for key, value in CROSSFORMER.items() if key != "embodiments"},
    "family": "groot",
    "optimisation": OPTIMISATION,
    "cameras": {"scene": {"width": 32, "height": 24}},
    "network": {
        "backbone": "small",
        "small": {"key_points": 4, "prompt_length": 8},
        "head": {
            "backbone_dim": 32,
            "hidden_dim": 32,
            "heads": 4,
            "head_dim": 8,
            "layers": 2,
            "vl_heads": 4,
            "vl_layers": 1,
            "future_tokens": 2,
            "positions": 6,
            "embodiments": 2,
            "state_dim": 8,
            "action_dim": 8,
            "horizon": 6,
            "dropout": 0.0,
        },
    },
    "embodiments": {
        ARM: {"network": {"embodiment": 0}},
        BARE: {"network": {"embodiment": 1}, "action_horizon": 4},
    },
}
