"""A real Chromium that opens a report of Snakemake and looks at what every section of it shows."""

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="there is no chromium with chromium-driver (Debian's packages) to open pages with"
)
PATIENCE = 15  # seconds that a browser has to show something


@contextmanager
def chromium():
    """A browser without a window, which reaches no network."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--window-size=1600,1100", "--proxy-server=127.0.0.1:9"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def read_report(report, screenshots=None):
    """Click through a report as a reader does.

    Returns what it shows, {category: {section: [(label, shown), ...]}} in the order in which it is listed, and the
    errors of its scripts. `shown` is the width of a picture in pixels or the text of a page; None where nothing came.
    With a folder `screenshots`, every section's first result goes there as a picture.
    """
    with chromium() as browser:
        found, errors = {}, []
        for category in _opened(browser, report)[3:]:  # after workflow, statistics and about
            found[category] = {}
            for section in _opened(browser, report, category):
                _opened(browser, report, category, section)
                found[category][section] = _results(browser)
                errors += [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
                if screenshots is not None:
                    browser.save_screenshot(str(screenshots / f"{sum(map(len, found.values())):02}.png"))
    return found, errors


def _opened(browser, report, *entries):
    """Load the report and open one entry of its menu after the other; what the menu has then."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(report.resolve().as_uri())
    for entry in entries:  # which a busy machine shows a moment after the click before
        WebDriverWait(browser, PATIENCE).until(lambda _, entry=entry: entry in _menu(browser))
        browser.find_elements("css selector", "nav ul a")[_menu(browser).index(entry)].click()
    return _menu(browser)


def _menu(browser):
    return browser.execute_script(
        "return [...document.querySelectorAll('nav ul a span')].map(entry => entry.textContent)"
    )


def _results(browser):
    """(label, shown) of every row of a section's table, each opened by its button."""
    labels = browser.execute_script(
        "return [...document.querySelectorAll('nav tbody tr')].map("
        "row => [...row.cells].slice(0, -1).map(cell => cell.textContent).join(' | '))"
    )
    return [(label, _shown(browser, number)) for number, label in enumerate(labels)]


def _shown(browser, number):
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    before = _content(browser)
    browser.find_elements("css selector", "nav tbody tr")[number].find_elements("css selector", "a")[0].click()
    try:
        WebDriverWait(browser, PATIENCE).until(lambda _: _content(browser) != before)
        return WebDriverWait(browser, PATIENCE).until(_measure)
    except TimeoutException:
        return None


def _content(browser):
    """What the middle of the report holds: the address of a picture or a page."""
    return browser.execute_script(
        "return document.querySelector('div.grow.h-screen img, div.grow.h-screen iframe')?.src"
    )


def _measure(browser):
    """The width of the picture or the text of the page that is shown; nothing while it is being loaded."""
    if pictures := browser.find_elements("css selector", "div.grow.h-screen img"):
        return browser.execute_script("return arguments[0].naturalWidth", pictures[0])
    (frame,) = browser.find_elements("css selector", "div.grow.h-screen iframe")
    browser.switch_to.frame(frame)
    text = browser.find_element("css selector", "body").text.strip()
    browser.switch_to.default_content()
    return text
