"""Upbit over its wire protocol."""
