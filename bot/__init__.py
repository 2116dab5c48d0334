"""The Slack bot: translates between people, approvals and Ottu; decides nothing itself."""
