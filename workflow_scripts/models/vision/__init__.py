"""The image networks of both papers, their layers and their initialisation."""
