import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Backend } from '@updraft/backend';
import { CrossEntropy } from '@updraft/nn';
import { AdamW, Mean, Muon } from '@updraft/rules';
import { aggregatorKit, rewardKit, updateRuleKit, type ContractKit } from '../index.js';
import { childBackend } from './index.js';

// The software adapter is slow, and machines that run checks are busy.
jest.setTimeout(300_000);

// `npm test` points Vulkan at the software driver of Debian's Chromium where that is installed.
const webgpu = process.env['VK_ICD_FILENAMES'] === undefined ? describe.skip : describe;
const execArgv = ['--import', 'tsx', '--conditions=@updraft/source'];

webgpu('kits on WebGPU, in a process of its own', () => {
  let device: Backend;
  beforeAll(async () => {
    device = await childBackend({ execArgv });
  });
  afterAll(() => device.dispose());

  const rows = { dataType: 'float32', shape: ['batch', 3] } as const;
  const otherBackend = (): Promise<Backend> => Promise.resolve({ ...device, dispose: () => Promise.resolve() });
  const matrices = { a: { shape: [3, 2], role: 'weight' }, b: { shape: [2, 4], role: 'weight' } } as const;

  test.each<[string, () => ContractKit]>([
    ['adamw', () => updateRuleKit(AdamW, { otherBackend, options: { learningRate: 0.05 } })],
    ['muon', () => updateRuleKit(Muon, { otherBackend, params: matrices })],
    ['mean', () => aggregatorKit(Mean, { otherBackend })],
    [
      'cross-entropy',
      () =>
        rewardKit(CrossEntropy, {
          otherBackend,
          objective: { columns: { label: { dataType: 'int64', shape: ['batch'] } }, outputs: { logits: rows } },
        }),
    ],
  ])('%s agrees with the CPU', async (_, make) => {
    expect(device.device).toBe('webgpu');
    const kit = make();
    const check = kit.checks.find(({ id }) => id === 'devices');
    expect(check?.skip).toBeUndefined();
    await check?.run();
    await kit.dispose();
  });
});

test('a device that is not there is named', async () => {
  await expect(childBackend({ device: 'no-such-device' as 'cuda', execArgv })).rejects.toThrow(/no-such-device/);
});
