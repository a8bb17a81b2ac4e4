"""A real browser, and what a user does with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import attrs
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PROGRAM = shutil.which("chromium")
DRIVER_PROGRAM = shutil.which("chromedriver")
TIMEOUT_SECONDS = 10
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
# The driver is on this machine, and so is all that the library may use: it fetches nothing.
OFFLINE = {"no_proxy": "*", "SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}

GotT = TypeVar("GotT")

# The contrast of each piece of text with what is behind it (WCAG 2.2, success criterion 1.4.3).
_LOW_CONTRAST = """
const channel = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
const brightness = (color) => {
  const [red, green, blue] = numbers(color).map((value) => channel(value / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (numbers(color).length === 3 || numbers(color)[3] > 0) return color;
  }
  return "rgb(255, 255, 255)";
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const low = []; let seen = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  seen += 1;
  const style = getComputedStyle(element);
  const [text, back] = [brightness(style.color), brightness(behind(element))];
  const contrast = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (contrast < (isLarge ? 3 : 4.5)) low.push(`${walker.currentNode.data.trim()}: ${contrast}`);
}
return [seen, low];
"""


@attrs.frozen
class Browser:
    """Chromium, driven from outside."""

    driver: webdriver.Chrome

    def open(self, url: str) -> None:
        """Go to an address and wait until its page is there."""
        self.driver.get(url)

    def wait(self, condition: Callable[[], GotT]) -> GotT:
        """Wait until a condition is true, at most `TIMEOUT_SECONDS`, and return its value."""
        waiting: WebDriverWait[webdriver.Chrome] = WebDriverWait(
            self.driver, TIMEOUT_SECONDS, poll_frequency=0.02
        )
        return waiting.until(lambda _: condition())

    def arrive(self, url_start: str) -> str:
        """Wait until the browser is at an address that begins so, and return the whole of it."""
        return self.wait(
            lambda: self.driver.current_url if self.driver.current_url.startswith(url_start) else ""
        )

    def find(self, css: str) -> WebElement:
        """Return the first element of a selector."""
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def find_all(self, css: str) -> list[WebElement]:
        """Return all elements of a selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def button(self, words: str) -> WebElement:
        """Return the button that says this."""
        (found,) = (each for each in self.find_all("button") if each.text == words)
        return found

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def press_with_shift(self, key: str) -> None:
        """Press a key while Shift is held."""
        keys = ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT)
        keys.perform()

    @property
    def focused(self) -> WebElement:
        """The element that has the focus."""
        return self.driver.switch_to.active_element

    def has_visible_focus(self) -> bool:
        """Tell whether the element that has the focus has a ring around it, and is in view."""
        style = "getComputedStyle(document.activeElement)"
        outline = self.run(f"return {style}.outlineStyle + ' ' + {style}.outlineWidth")
        return str(outline) == "solid 3px" and self.is_in_view(self.focused)

    def is_in_view(self, element: WebElement) -> bool:
        """Tell whether an element can be seen without scrolling, with nothing on top of it."""
        return bool(
            self.run(
                "const box = arguments[0].getBoundingClientRect();"
                "const top = document.elementFromPoint("
                "  box.left + box.width / 2, box.top + box.height / 2);"
                "return box.top >= 0 && box.bottom <= innerHeight && box.left >= 0"
                "  && box.right <= innerWidth && arguments[0].contains(top);",
                element,
            )
        )

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script from outside of the page, where the page's policy does not hold."""
        return self.driver.execute_script(script, *arguments)

    def text(self) -> str:
        """Return the visible text of the page."""
        return self.find("body").text

    def looks(
        self, *, width: int = 1280, height: int = 800, scheme: str = "light", scripts: bool = True
    ) -> None:
        """Give the screen a size, choose light or dark, and let pages run scripts or not."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        preference = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[preference])
        self.command("Emulation.setScriptExecutionDisabled", value=not scripts)

    def scrolls_sideways(self) -> bool:
        """Tell whether the page is wider than the screen."""
        return bool(self.run("return document.documentElement.scrollWidth > innerWidth"))

    def low_contrasts(self, *, at_least: int = 11) -> list[str]:
        """Return the texts, of so many at least, that are hard to read on what is behind them."""
        seen, low = self.run(_LOW_CONTRAST)
        assert seen >= at_least
        return list(low)

    def roles(self) -> set[str]:
        """Return the roles that assistive technology finds in the page."""
        nodes = self.command("Accessibility.getFullAXTree")["nodes"]
        return {node["role"]["value"] for node in nodes if not node["ignored"]}

    def complaints(self) -> list[str]:
        """Return the messages of the browser's console since the last call."""
        log = self.driver.execute("getLog", {"type": "browser"})
        return [each["message"] for each in log["value"]]

    def command(self, name: str, **parameters: object) -> dict[str, Any]:
        """Send a command of the DevTools protocol."""
        result: dict[str, Any] = self.driver.execute_cdp_cmd(name, parameters)
        return result


@contextmanager
def open_browser(folder: Path) -> Generator[Browser]:
    """Start the browser, with its profile in a folder, and end it with the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAM or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with patch.dict(os.environ, OFFLINE):
        driver = webdriver.Chrome(options, Service(DRIVER_PROGRAM or "chromedriver"))
    try:
        driver.set_page_load_timeout(30)
        yield Browser(driver)
    finally:
        driver.quit()
