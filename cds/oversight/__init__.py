"""Looking after the models: the order of reading, verdicts, feedback, silence and promotion, figures over time."""
