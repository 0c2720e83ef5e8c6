"""Training of the vision models. Never imported when serving: it needs the `train` extra (torch, monai)."""
