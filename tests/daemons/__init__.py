"""Daemons from Debian tried under pyinit in containers: the recipes, what tries them, and what makes the document."""
