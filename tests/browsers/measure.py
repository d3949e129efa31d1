"""What is measured of a page: accessibility by axe-core, sizes of targets, sideways scroll, bytes and requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from playwright.async_api import Page

from browsers.engine import LOOKS, PHONE, SCHEMES, Look

_AXE: Final = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
_RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_COLOURS: Final = ("color-contrast",)
"""All that the dark changes."""
_RUN: Final = """async rules => {
  const live = document.getElementById('issue');
  let swapped = false;
  const watch = new MutationObserver(() => { swapped = true; });
  if (live) watch.observe(live, {childList: true});
  let found;
  for (let tries = 0; tries < 5; tries++) {
    swapped = false;
    found = await axe.run(document, {runOnly: rules, resultTypes: ['violations', 'incomplete']});
    if (!swapped && !watch.takeRecords().length) break;
  }
  watch.disconnect();
  const told = kind => each => kind + ' ' + each.id + ': ' + each.nodes.map(n => n.html.slice(0, 120)).join(' | ');
  return found.violations.map(told('violation')).concat(found.incomplete.map(told('incomplete')));
}"""
"""A page that a stream exchanged while axe looked is looked at again: it cannot place headings that are gone."""
_SMALL: Final = """() => [...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary')]
  .map(each => /^(radio|checkbox|file)$/.test(each.type || '') && each.closest('label') || each)
  .filter(each => each.checkVisibility({visibilityProperty: true}))
  .map(each => [each, each.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && box.height > 0 && (box.width < 43.9 || box.height < 43.9))
  .map(([each, box]) => each.outerHTML.slice(0, 120) + ' ' + Math.round(box.width) + 'x' + Math.round(box.height))"""
_WIDE: Final = """() => {
  const root = document.documentElement, wide = [];
  if (root.scrollWidth > innerWidth) {
    for (const each of document.querySelectorAll('body *'))
      if (each.getBoundingClientRect().right > innerWidth + 1) wide.push(each.outerHTML.slice(0, 120));
    wide.push('page ' + root.scrollWidth + ' > ' + innerWidth);
  }
  for (const each of document.querySelectorAll('body *'))
    if (getComputedStyle(each).overflowX === 'hidden' && each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 1)
      wide.push('cut: ' + each.outerHTML.slice(0, 120));
  return wide.slice(0, 5);
}"""
_KEPT: Final = """async () => {
  const entries = [];
  for (const each of await indexedDB.databases()) {
    const base = await new Promise(found => {
      const asked = indexedDB.open(each.name);
      asked.onsuccess = () => found(asked.result);
    });
    for (const name of base.objectStoreNames)
      entries.push(...await new Promise(found => {
        const asked = base.transaction(name).objectStore(name).getAll();
        asked.onsuccess = () => found(asked.result);
      }));
    base.close();
  }
  const cached = [];
  for (const name of window.caches ? await caches.keys() : [])
    for (const asked of await (await caches.open(name)).keys()) cached.push(asked.url);
  const plain = (_, each) => each instanceof ArrayBuffer ? 'bytes ' + each.byteLength : each;
  return JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, cached, entries], plain);
}"""
"""All that a script could read of what the device keeps of this origin."""
_TEXT: Final = "size => document.documentElement.style.fontSize = size"


@dataclass
class Load:
    """What came over the network for a page."""

    requests: int = 0
    bytes: int = 0


async def accessible(page: Page, looks: Sequence[Look] = LOOKS) -> list[str]:
    """What axe-core finds, or cannot decide, on the page as it is, at each size, and light and dark."""
    if not await page.evaluate("() => 'axe' in window"):
        client = await page.context.new_cdp_session(page)
        await client.send("Runtime.evaluate", {"expression": _AXE})
    found: list[str] = []
    before = page.viewport_size
    for look in looks:
        await page.set_viewport_size(look.size)
        for scheme in SCHEMES:
            if scheme == "dark" and look is not looks[0]:
                continue  # the dark changes colours, which no size does
            await page.emulate_media(color_scheme=scheme)
            rules = _RULES if scheme == "light" else _COLOURS
            found += [f"{look.name} {scheme}: {each}" for each in await page.evaluate(_RUN, list(rules))]
    await page.set_viewport_size(before or PHONE.size)  # type: ignore[arg-type]
    await page.emulate_media(color_scheme="light")
    return found


async def small_targets(page: Page) -> list[str]:
    """What a thumb would miss on a phone."""
    await page.set_viewport_size(PHONE.size)
    return await page.evaluate(_SMALL)


async def sideways(page: Page) -> list[str]:
    """What is wider than a screen of 320 px, with text as it is and at 200 %."""
    await page.set_viewport_size({"width": 320, "height": 700})
    found = [f"at 320 px: {each}" for each in await page.evaluate(_WIDE)]
    await page.evaluate(_TEXT, "200%")
    found += [f"at 320 px, text at 200 %: {each}" for each in await page.evaluate(_WIDE)]
    await page.evaluate(_TEXT, "")
    return found


async def kept_of(page: Page) -> str:
    """What the device keeps of the site: cookies, storage, cache and the outbox."""
    return await page.evaluate(_KEPT)


async def loaded(page: Page, path: str) -> Load:
    """What a first load of this path takes; streams, which never finish, are not counted."""
    client = await page.context.new_cdp_session(page)
    found = Load()

    def finished(event: dict[str, Any]) -> None:
        found.requests += 1
        found.bytes += int(event["encodedDataLength"])

    client.on("Network.loadingFinished", finished)
    await client.send("Network.enable")
    await page.goto(path, wait_until="load")
    await page.wait_for_timeout(300)  # the icon comes after the page
    await client.detach()
    return found
