#!/usr/bin/env node
import { UpdraftError } from '@updraft/graph';
import { createProgram } from './program.js';

const controller = new AbortController();
let interrupts = 0;
process.on('SIGINT', () => {
  interrupts++;
  // The first Ctrl-C ends the run after the current step, with a checkpoint; the second one leaves at once.
  if (interrupts > 1) process.exit(130);
  controller.abort();
});

try {
  await createProgram(controller.signal).parseAsync();
} catch (error) {
  if (!(error instanceof UpdraftError)) throw error;
  process.stderr.write(`Error (${error.code}): ${error.message}\n`);
  process.exitCode = 1;
}
