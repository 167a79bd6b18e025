// Runs several command lines in one process, each given as a list of arguments in the JSON of the first argument, and
// prints what each wrote and how it ended.
import { UpdraftError } from '@updraft/graph';
import { createProgram } from '../program.js';

const write = process.stdout.write.bind(process.stdout);
const results: unknown[] = [];
for (const command of JSON.parse(process.argv[2] ?? '[]') as string[][]) {
  let output = '';
  process.stdout.write = (chunk: string | Uint8Array): boolean => {
    output += String(chunk);
    return true;
  };
  let error: string | undefined;
  process.exitCode = 0;
  try {
    await createProgram().exitOverride().parseAsync(command, { from: 'user' });
  } catch (failure) {
    error = failure instanceof UpdraftError ? failure.message : String((failure as Error).stack);
  }
  process.stdout.write = write;
  results.push({ output, error, code: error === undefined ? process.exitCode : 1 });
}
process.exitCode = 0;
write(JSON.stringify(results));
