"""The long proofs that money moves once, whatever breaks: `make reliability`. A short form of each is a test."""
