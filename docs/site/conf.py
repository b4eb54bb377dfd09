"""How Sphinx makes the site; workflow_scripts/publishing writes the pages beside a copy of this file."""

project = "Closer Look"
extensions = ["myst_parser", "sphinx_design"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
smartquotes = False
exclude_patterns = ["extra"]
html_theme = "pydata_sphinx_theme"
html_title = "Closer Look"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["extra"]
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_sidebars = {"index": [], "verdicts": [], "missing": []}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "Closer Look"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "show_nav_level": 1,
    "secondary_sidebar_items": {"README": ["page-toc"], "docs/*": ["page-toc"]},  # what is wide needs the room
    "footer_start": [],
    "footer_center": [],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
