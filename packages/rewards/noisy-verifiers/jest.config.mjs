import { preset } from '../../../tools/jest/preset.mjs';

export default preset('noisy-verifiers', import.meta.dirname);
