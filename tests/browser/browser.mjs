// The browser: Debian's Chromium (or Chrome) driven by playwright-core. Nothing is downloaded and nothing is written
// into the checkout: the npm packages are found through NODE_PATH, which is why they are taken with `require`.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const HELP = 'run tests/run --install';

/** An npm package, or a sentence that says how to get it. */
export function npmPackage(name) {
  try {
    return require(name);
  } catch (error) {
    throw new Error(`the npm package ${name} is missing (NODE_PATH is ${process.env.NODE_PATH ?? 'not set'}): ${HELP}`, { cause: error });
  }
}

/** How long one step may take: far more than it needs, so that only what hangs is cut off. */
export const STEP_TIMEOUT_MS = 20_000;
export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 900 };

function chromiumPath() {
  const names = [process.env.AQUABILLS_CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  for (const name of names.filter(Boolean)) {
    const found = spawnSync('sh', ['-c', 'command -v "$0" && "$0" --version', name], { encoding: 'utf8' });
    if (found.status === 0) return found.stdout.split('\n')[0];
  }
  throw new Error(`no Chromium and no Chrome that starts is on the PATH: ${HELP}`);
}

/** Starts the browser. Its sandbox is off only where it cannot be on: as root, or where the kernel refuses it. */
export async function launch() {
  const { chromium } = npmPackage('playwright-core');
  const executablePath = chromiumPath();
  const start = (args) => chromium.launch({ executablePath, headless: true, timeout: 60_000, args: ['--disable-dev-shm-usage', ...args] });
  if (process.getuid?.() === 0) return start(['--no-sandbox']);
  try {
    return await start([]);
  } catch (error) {
    if (!/sandbox/i.test(String(error))) throw error;
    console.log('the sandbox of Chromium cannot be used here: it is off');
    return start(['--no-sandbox']);
  }
}

/** A context that is cut off from every other, with everything it complains about noted in `complaints`. */
export async function newContext(browser, base, options = {}) {
  const context = await browser.newContext({
    baseURL: base, viewport: PHONE, colorScheme: 'light', locale: 'en-US', timezoneId: 'UTC', reducedMotion: 'reduce', ...options,
  });
  context.setDefaultTimeout(STEP_TIMEOUT_MS);
  context.setDefaultNavigationTimeout(STEP_TIMEOUT_MS);
  const complaints = [];
  const note = (rule, message) => complaints.push({ rule, message });
  context.on('console', (message) => message.type() === 'error' && note('console', message.text()));
  context.on('weberror', (error) => note('script', String(error.error())));
  context.on('requestfailed', (request) => {
    const error = request.failure()?.errorText;
    // A picture that was still loading when the next page was opened.
    if (error !== 'net::ERR_ABORTED') note('request', `${request.method()} ${request.url()}: ${error}`);
  });
  context.on('response', (response) => {
    if (response.status() >= 400) note('status', `${response.status()} for ${response.request().method()} ${response.url()}`);
  });
  context.complaints = complaints;
  return context;
}
