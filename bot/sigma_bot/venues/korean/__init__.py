"""What Upbit and Bithumb have in common: no venue by itself."""
