// Shows that each check can fail: pages with one known fault each, from a small server of their own.
import { createServer } from 'node:http';
import { newContext } from './browser.mjs';
import { Crawl, kindOf } from './crawl.mjs';
import { inspect } from './page_checks.mjs';
import { Report } from './report.mjs';
import { totp } from './totp.mjs';

const STYLE = 'body{margin:0;font:16px sans-serif;color:#111;background:#fff}.skip:not(:focus){position:absolute;left:-999px}'
  + 'a:focus,button:focus,input:focus{outline:3px solid #05a}button,input{min-height:44px;font:inherit}a{color:#036}'
  + '@media(prefers-color-scheme:dark){body{color:#eee;background:#111}a{color:#9cf}}';

/** A page without fault, with some parts replaced. */
function page({ title = 'A page', lang = ' lang="en"', head = '', skip = '<a class="skip" href="#main">Skip to content</a>', body = '', h1 = '<h1>A page</h1>' } = {}) {
  return `<!DOCTYPE html><html${lang}><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`
    + `<title>${title}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">${head}</head><body>${skip}`
    + `<header><p><a href="/">Town</a></p></header><main id="main">${h1}<p>Some text.</p>${body}</main></body></html>`;
}

const FIELD = '<form><p><label for="name">Name</label> <input id="name" name="name"></p><p><button>Send</button></p></form>';

/** Each fault: what is on the page, and the rule that must see it. */
const FAULTS = [
  ['axe:label', { body: '<form><input name="name"><button>Send</button></form>' }],
  ['axe:html-has-lang', { lang: '' }],
  ['axe:color-contrast', { head: '<link rel="stylesheet" href="/pale.css">' }],
  ['axe:color-contrast', { head: '<link rel="stylesheet" href="/pale-in-the-dark.css">' }],
  ['axe:image-alt', { body: '<img src="/dot.svg">' }],
  ['axe:region', { skip: '<a class="skip" href="#main">Skip to content</a><p>Outside of everything</p>' }],
  ['overflow', { body: '<pre class="wide">wide</pre>', head: '<link rel="stylesheet" href="/wide.css">' }],
  ['h1', { h1: '<h2>None</h2>' }],
  ['h1', { h1: '<h1>One</h1><h1>Two</h1>' }],
  ['title', { title: ' ' }],
  ['ids', { body: '<p id="same">a</p><p id="same">b</p>' }],
  ['fragment', { body: '<p><a href="#nowhere">There</a></p>' }],
  ['skip-link', { skip: '' }],
  ['skip-link', { skip: '<a class="skip" href="#top">Skip to content</a><p id="top" tabindex="-1"></p>' }],
  ['focus', { body: FIELD, head: '<link rel="stylesheet" href="/no-outline.css">' }],
  ['focus', { body: '<p><a href="/hidden" class="tiny">Tiny</a></p>', head: '<link rel="stylesheet" href="/tiny.css">' }],
  ['keyboard', { body: '<dialog class="inert" open inert><a href="/x">Never reached</a></dialog>' }],
  ['tap-target', { body: '<button class="low">Low</button>', head: '<link rel="stylesheet" href="/low.css">' }],
  ['console', { body: '<p style="color:red">Style that the content policy refuses</p>' }],
  ['console', { body: '<script>document.title = "never"</script>' }],
  ['status', { body: '<img src="/missing.svg" alt="Nothing">' }],
  ['request', { body: '<img src="/broken.svg" alt="Cut off">' }],
];

const STYLES = {
  '/style.css': STYLE,
  '/pale.css': '@media(prefers-color-scheme:light){p{color:#ccc}}',
  '/pale-in-the-dark.css': '@media(prefers-color-scheme:dark){p{color:#333}}',
  '/wide.css': '.wide{width:500px}',
  '/no-outline.css': 'input:focus{outline:none}',
  '/tiny.css': '.tiny{position:absolute;width:1px;height:1px;overflow:hidden}',
  '/low.css': 'button.low{min-height:0;height:26px}',
};

function answer(request, response) {
  const path = new URL(request.url, 'http://localhost').pathname;
  const policy = { 'Content-Security-Policy': "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'" };
  const send = (status, type, text) => response.writeHead(status, { 'Content-Type': type, ...policy }).end(text);
  const fault = /^\/fault-(\d+)$/.exec(path);
  if (STYLES[path]) send(200, 'text/css', STYLES[path]);
  else if (fault) send(200, 'text/html; charset=utf-8', page(FAULTS[Number(fault[1])][1]));
  else if (path === '/clean') send(200, 'text/html; charset=utf-8', page({ body: FIELD }));
  else if (path === '/dead-links') send(200, 'text/html; charset=utf-8', page({ title: 'Links', body: '<p><a href="/file.csv">File</a></p>' }));
  else if (path === '/same-title') send(200, 'text/html; charset=utf-8', page({ title: 'Links' }));
  else if (path === '/dot.svg') send(200, 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>');
  else if (path === '/broken.svg') request.socket.destroy();
  else send(404, 'text/plain', 'not here');
}

async function problemsOf(context, url) {
  const tab = await context.newPage();
  context.complaints.length = 0;
  await tab.goto(url, { waitUntil: 'load' });
  const problems = [...(await inspect(tab)), ...context.complaints];
  await tab.close();
  return problems;
}

export async function selfTest(browser, report) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  const context = await newContext(browser, base);
  await report.story('a page without fault passes', async () => {
    report.problems('clean page', await problemsOf(context, `${base}/clean`));
  });
  await report.story(`each of ${FAULTS.length} faults is seen`, async () => {
    const waiting = [...FAULTS.entries()];
    const look = async () => {
      const own = await newContext(browser, base);
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [at, [rule, parts]] = next;
        const rules = (await problemsOf(own, `${base}/fault-${at}`)).map((problem) => problem.rule);
        report.check(rules.includes(rule), `the fault ${rule} of ${JSON.stringify(parts)} was not seen; seen: ${rules.join(', ') || 'nothing'}`);
      }
      await own.close();
    };
    await Promise.all([look(), look()]);
  });
  await report.story('the crawl sees dead links, repeated titles and pages that may be kept', () => crawlFaults(context, report, base));
  await report.story('pure parts', async () => pureParts(report));
  await context.close();
  server.closeAllConnections();
  server.close();
}

async function crawlFaults(context, report, base) {
  const inner = new Report();
  inner.fail = (message) => inner.failures.push(message);
  await new Crawl(inner).run(context, 'tester', [`${base}/dead-links`, `${base}/same-title`], { signedIn: true });
  const seen = (text) => inner.failures.some((failure) => failure.includes(text));
  report.check(seen('file.csv: a link leads to 404'), 'a dead link was not seen');
  report.check(seen('belongs to another kind of page'), 'a title used twice was not seen');
  report.check(seen('may be kept'), 'a page that may be kept was not seen');
  report.check(seen('expected 200, saw 404'), 'a page that is not there was not seen');
}

function pureParts(report) {
  report.equal(kindOf('http://x/staff/accounts/12?page=2&sort=a'), '/staff/accounts/*?page&sort', 'the kind of a page');
  // The test values of RFC 6238, appendix B.
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  report.equal(totp(secret, Math.floor(59 / 30)), '287082', 'the code at 59 s');
  report.equal(totp(secret, Math.floor(1111111109 / 30)), '081804', 'the code at 1111111109 s');
}
