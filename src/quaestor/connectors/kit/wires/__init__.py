"""Wires: how bytes travel. They send once, record what went over, and decide nothing."""
