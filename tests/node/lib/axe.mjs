// What axe-core says of a page, as people see it: on a desktop and on a phone, light and dark.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCREENS = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];

/** Every rule of axe's, its best practices included, in `frame`; and nothing that has to be scrolled sideways. */
export async function assertAccessible(page, what, frame = page.mainFrame()) {
  // Not as a script element: the page's policy would rightly stop one.
  await frame.evaluate(AXE);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const screen of SCREENS) {
      await page.setViewportSize(screen);
      const { violations, passes } = await frame.evaluate(() => globalThis.axe.run());
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`);
      assert.deepEqual(found, [], `${what}, ${colorScheme}, ${screen.width} px`);
      assert.ok(passes.some(({ id }) => id === 'color-contrast'), `${what}: there is text to look at`);
      const overhang = await frame.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overhang, 0, `${what}, ${screen.width} px: wider than the screen`);
    }
  }
  await page.setViewportSize(SCREENS[0]);
  await page.emulateMedia({ colorScheme: 'light' });
}

/** The contrast of each text field's border to what is around it, light and dark (WCAG 2.2, 1.4.11, which axe leaves out). */
export async function fieldContrasts(page) {
  const contrasts = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    contrasts.push(...await page.evaluate(() => {
      const luminance = (color) => {
        const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255)
          .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
      };
      const sheet = getComputedStyle(document.querySelector('main')).backgroundColor;
      return [...document.querySelectorAll('input:not([type=hidden])')]
        .map((field) => contrast(getComputedStyle(field).borderTopColor, sheet));
    }));
  }
  await page.emulateMedia({ colorScheme: 'light' });
  return contrasts;
}
