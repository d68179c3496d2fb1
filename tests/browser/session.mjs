// Signing in as people do, and reading what pages say.
import { nextCode } from './totp.mjs';

/** Signs in through the pages, with the second factor when it is asked for. */
export async function signIn(page, who) {
  await page.goto('/sign-in');
  await page.locator('main input[autocomplete~="username"], main input[type="email"]').first().fill(who.email);
  await page.locator('main input[type="password"]').fill(who.password);
  await page.locator('main form button[type="submit"], main form button:not([type])').first().click();
  const code = page.locator('main input[autocomplete="one-time-code"]');
  if (new URL(page.url()).pathname === '/sign-in/set-up-factor') who.secret = (await page.locator('main dd code').innerText()).trim();
  if (who.secret) {
    await code.fill(nextCode(who.secret));
    await page.locator('main form', { has: page.locator('input[autocomplete="one-time-code"]') }).getByRole('button').first().click();
  }
  const at = new URL(page.url()).pathname;
  if (at.startsWith('/sign-in')) throw new Error(`${who.role} is still at ${at} after signing in: ${(await page.locator('main').innerText()).slice(0, 400)}`);
}

/** An amount in cents, as pages write it: `$1,234.56`, `−$12.34 credit`. Nothing when there is none. */
export function cents(text) {
  const found = /([−-]?)\s*[$€£]\s*([\d,]+)\.(\d\d)/.exec(text ?? '');
  if (!found) return null;
  return (found[1] ? -1 : 1) * Number(found[2].replaceAll(',', '') + found[3]);
}

/** Every row of tables and term of lists with an amount: what it says, and its last amount in cents. */
export async function amounts(scope) {
  const rows = await scope.evaluate((root) => {
    const visible = (element) => element.innerText ?? '';
    const tables = [...root.querySelectorAll('tr')].map((row) => [...row.children].map(visible));
    const terms = [...root.querySelectorAll('dt')].map((term) => [visible(term), visible(term.nextElementSibling ?? term)]);
    return [...tables, ...terms];
  });
  return rows.flatMap(([label, ...cells]) => {
    const found = cells.map(cents).filter((amount) => amount !== null);
    return found.length > 0 ? [{ label: label.replace(/\s+/g, ' ').trim(), cents: found.at(-1), cells }] : [];
  });
}

/** A form of a page by its button, filled in by the names of its fields and sent. Returns the request that was sent. */
export async function send(page, button, fields = {}) {
  const submit = page.locator('main').getByRole('button', { name: button }).first();
  const form = page.locator('main form', { has: page.getByRole('button', { name: button }) }).first();
  for (const [name, value] of Object.entries(fields)) {
    const field = form.locator(`[name="${name}"]`);
    const [tag, type] = await field.first().evaluate((element) => [element.tagName, element.type]);
    if (tag === 'SELECT') await field.selectOption(value);
    else if (type === 'checkbox') await field.setChecked(Boolean(value));
    else if (type === 'radio') await form.locator(`[name="${name}"][value="${value}"]`).check();
    else await field.fill(value);
  }
  const [request] = await Promise.all([page.waitForRequest((sent) => sent.method() === 'POST'), submit.click()]);
  await page.waitForLoadState('load');
  return request;
}

/** Sends a form again, as an impatient hand or a reloaded page does. Returns where it leads. */
export async function sendAgain(context, base, request) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: base };
  const response = await context.request.post(request.url(), { data: request.postData(), headers, maxRedirects: 0 });
  return { status: response.status(), location: response.headers().location ?? '' };
}
