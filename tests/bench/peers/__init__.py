"""One module a peer that compares and times, and a script that runs inside the peer's environment."""
