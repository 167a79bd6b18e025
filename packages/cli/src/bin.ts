#!/usr/bin/env node
import { UpdraftError } from '@updraft/graph';
import { createProgram } from './program.js';

// A reader that has seen enough (`| head`) is no fault.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof UpdraftError) process.stderr.write(`Error (${error.code}): ${error.message}\n`);
  else {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`This is a fault of Updraft; please report it with what follows.\n${stack}\n`);
  }
  process.exitCode = 1;
}
