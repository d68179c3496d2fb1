// The pages of AquaBills in a real browser. tests/browser.rs starts a demonstration town and then this:
//
//   node run.mjs http://127.0.0.1:PORT SIGN-INS.json MAIL    every story against the town
//   node run.mjs --self-test                            shows that each check can fail
//
// SIGN-INS.json: a list of { role, email, password, secret } as `aquabills demo` prints them. MAIL: the folder
// that its letters go to. NODE_PATH names the
// npm packages (tests/run --install). AQUABILLS_SCREENSHOTS names a folder for pictures of every page.
// To see one story only: AQUABILLS_STORY=clerk.
import { readFile } from 'node:fs/promises';
import { launch } from './browser.mjs';
import { Report } from './report.mjs';
import { selfTest } from './self_test.mjs';
import { stories } from './stories.mjs';

/** Everything together takes a part of this, also on a busy machine; what hangs is named and cut off. */
const MOST_MS = 480_000;

async function main() {
  const report = new Report();
  const watchdog = setTimeout(() => {
    console.log(`browser: not done after ${MOST_MS / 1000} s, in: ${[...report.current].join(', ')}`);
    report.conclude();
    process.exit(1);
  }, MOST_MS).unref();
  const browser = await launch();
  console.log(`browser: Chromium ${browser.version()}`);
  try {
    if (process.argv[2] === '--self-test') {
      await selfTest(browser, report);
    } else {
      const [base, file, mail] = process.argv.slice(2);
      if (!base || !file || !mail) throw new Error('expected --self-test, or an address, a file of sign-ins and the folder of letters');
      await stories(browser, report, base, JSON.parse(await readFile(file, 'utf8')), mail);
    }
  } finally {
    await browser.close();
    clearTimeout(watchdog);
  }
  return report.conclude();
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.log(`browser: ${error.message}`);
  process.exitCode = 1;
}
