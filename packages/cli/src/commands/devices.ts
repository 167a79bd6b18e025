import { Command } from 'commander';
import { probeDevices } from '../environment.js';

/** `updraft devices` */
export const devicesCommand = (): Command =>
  new Command('devices')
    .description('show which devices work here, and why others do not')
    .option('--json', 'print as JSON', false)
    .action(async ({ json }: { readonly json: boolean }) => {
      const rows = await probeDevices();
      if (json) process.stdout.write(`${JSON.stringify(rows)}\n`);
      else
        for (const { device, works, description } of rows)
          process.stdout.write(`${works ? '✓' : '✗'} ${device.padEnd(7)} ${description}\n`);
    });
