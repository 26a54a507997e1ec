"""One module a peer that compares and times, and beside it the script that runs inside the peer's environment."""
