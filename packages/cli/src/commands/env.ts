import { Command } from 'commander';
import { machineClass, probeDevices, versions } from '../environment.js';

/** `updraft env` */
export const envCommand = (): Command =>
  new Command('env')
    .description('show versions, machine and devices, for reports of faults')
    .option('--json', 'print as JSON', false)
    .action(async ({ json }: { readonly json: boolean }) => {
      const facts = { versions: versions(), machine: machineClass(), devices: await probeDevices() };
      if (json) {
        process.stdout.write(`${JSON.stringify(facts)}\n`);
        return;
      }
      const line = (name: string, value: string): void => void process.stdout.write(`${name.padEnd(13)}${value}\n`);
      for (const [name, version] of Object.entries(facts.versions)) line(name, version);
      line('machine', facts.machine);
      for (const { device, works, description } of facts.devices)
        line(device, works ? description : `not available: ${description}`);
    });
