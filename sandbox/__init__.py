"""A local Ottu and a local Slack, as strict as the real ones, so that everything runs with neither."""
