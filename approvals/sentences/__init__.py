"""Every sentence, label and word that a person in Slack reads: one module for each subject, and none stands elsewhere.

A fixed text is a constant, or an entry of a table; one with values is a function that puts them in their places, with
plurals and parts that may be missing, and decides nothing. To translate the bot is to rewrite this package.

The sentences of refusals are plain text, in which people stand as `@U012ABC` and times as they are stored
(`2026-11-24T09:42:47.956Z`); whoever shows them escapes them, and makes mentions and times in the reader's zone. The
texts of Slack's messages (`cards`, `endings`, `private`) hold its mark-up, and their values come ready to be shown.
What a file, a setting or a command of the operator's says stands where it is said.
"""
