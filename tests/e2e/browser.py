"""The agent's page in a real browser."""
from pathlib import Path

import pytest

selenium = pytest.importorskip(
    "selenium.webdriver", reason="python3-selenium, chromium and chromium-driver are not installed"
)
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402, F401

from harness import wait_for  # noqa: E402

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
if not (Path(CHROMIUM).exists() and Path(DRIVER).exists()):
    pytest.skip("chromium and chromium-driver are not installed", allow_module_level=True)


def start_browser(directory):
    """Chromium without a window, that keeps what it is told by the page."""
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "--headless=new",
        "--no-sandbox",  # root has none, in a container nobody
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={directory / 'profile'}",
        "--window-size=1280,1000",
        "--host-resolver-rules=MAP evil.example 127.0.0.1",  # a name that leads here (DNS rebinding)
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(DRIVER, log_path=str(directory / "driver.log"))
    return selenium.Chrome(options=options, service=service)


class Tab:
    """The page as a person sees it."""

    def __init__(self, driver, scheme="light"):
        """A new tab, the only one, of a browser whose user likes this color scheme."""
        self.driver = driver
        before = driver.window_handles
        driver.switch_to.new_window("tab")
        own = driver.current_window_handle
        for handle in before:
            driver.switch_to.window(handle)
            driver.close()
        driver.switch_to.window(own)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        driver.set_window_size(1280, 1000)
        driver.get_log("browser")  # of the tabs before

    def open(self, url):
        self.driver.get(url)
        return self

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def shown(self, selector):
        return any(e.is_displayed() for e in self.find_all(selector))

    def expect(self, selector, words, seconds=20):
        """Waits until the element's text has the words."""
        wait_for(lambda: words in self.text(selector), seconds, f"{selector} shows {words!r}")

    def click(self, selector):
        self.find(selector).click()

    def focus(self):
        """The id, or the text, of what has the focus."""
        e = self.driver.switch_to.active_element
        return e.get_attribute("id") or e.text

    def press(self, *keys):
        """Types to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def complaints(self):
        """All that the browser holds against the page."""
        return [m for m in self.driver.get_log("browser") if m["level"] == "SEVERE"]
