"""Who may do what, and what has been decided. Knows nothing of Slack or Ottu."""
