"""The site: what has been found, page by page, and the documentation, made by Sphinx to be read from files."""
