// What was checked and what failed: one line for each story, every failure with the place it was seen at.

import { AsyncLocalStorage } from 'node:async_hooks';

export class Report {
  /** The story that is told, as two are told at a time. */
  telling = new AsyncLocalStorage();
  checks = 0;
  failures = [];
  current = new Set();

  /** Notes one check; a failed one says what was seen. */
  check(ok, message) {
    this.checks += 1;
    if (!ok) this.fail(message);
    return Boolean(ok);
  }

  equal(seen, expected, what) {
    return this.check(seen === expected, `${what}: expected ${JSON.stringify(expected)}, saw ${JSON.stringify(seen)}`);
  }

  fail(message) {
    this.failures.push(message);
    const story = this.telling.getStore();
    if (story) story.failed = true;
    console.log(`  FAILED ${message}`);
  }

  /** Notes the problems that a page check found; none is one passed check. */
  problems(where, problems) {
    this.checks += 1;
    for (const { rule, message } of problems) this.fail(`${where}: [${rule}] ${message}`);
  }

  /** Runs one story; an exception in it is a failure of that story only. */
  async story(name, body) {
    const started = Date.now();
    const story = { failed: false };
    this.current.add(name);
    await this.telling.run(story, async () => {
      try {
        await body();
      } catch (error) {
        this.fail(`${name}: ${error.stack ?? error}`);
      }
    });
    this.current.delete(name);
    const verdict = story.failed ? 'FAILED' : 'ok    ';
    console.log(`${verdict} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  }

  /** Prints the sum; true when everything was right. */
  conclude() {
    console.log(`browser: ${this.checks} checks, ${this.failures.length} failures`);
    for (const failure of this.failures) console.log(`  - ${failure}`);
    return this.failures.length === 0 && this.checks > 0;
  }
}
